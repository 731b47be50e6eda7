/**
 * Linear layers over int16 inputs, and the blend of a residual row.
 *
 * AssemblyScript with only load, store and v128 built-ins: no objects, no allocation, no data segment.
 * The contract: ../contract.ts. The formulas: docs/integer-rules.md.
 */
import { ADD_INT32, finish, meet, outputBytes, STORE_RESIDUAL } from './requantise';
/**
 * A weight matrix for int16 inputs is packed [outputs / 16][inputs / 2][16 outputs][2 inputs], so that one broadcast
 * pair of inputs meets 16 outputs and every lane of an accumulator is one output: no sums across lanes.
 *
 * Not inlined into each kernel: `mode` costs a branch for 16 outputs, a copy costs kilobytes.
 *
 * output[rows, outputs] = finish(bias + weight input), input int16[rows, inputs]: two rows at a time.
 */
export function linearWide(
  mode: i32, input: usize, weight: usize, bias: usize, multiplier: usize, output: usize, gelu: usize,
  inputs: usize, outputs: usize, rows: usize, outputStride: usize,
): void {
  const inputBytes = inputs * 2;
  for (let block: usize = 0; block < outputs; block += 16) {
    const blockWeight = weight + block * inputs;
    const blockBias = bias + block * 4;
    const blockMultiplier = multiplier + block * 4;
    let from = input;
    let to = output + block * outputBytes(mode);
    let row: usize = 0;
    for (; row + 2 <= rows; row += 2) {
      let a0 = v128.load(blockBias), a1 = v128.load(blockBias, 16), a2 = v128.load(blockBias, 32), a3 = v128.load(blockBias, 48);
      let b0 = a0, b1 = a1, b2 = a2, b3 = a3;
      let w = blockWeight;
      const end = from + inputBytes;
      for (let x = from; x < end; x += 4) {
        const xa = v128.load32_splat(x);
        const xb = v128.load32_splat(x + inputBytes);
        const w0 = v128.load_ext<i8>(w);
        a0 = meet(a0, w0, xa);
        b0 = meet(b0, w0, xb);
        const w1 = v128.load_ext<i8>(w, 8);
        a1 = meet(a1, w1, xa);
        b1 = meet(b1, w1, xb);
        const w2 = v128.load_ext<i8>(w, 16);
        a2 = meet(a2, w2, xa);
        b2 = meet(b2, w2, xb);
        const w3 = v128.load_ext<i8>(w, 24);
        a3 = meet(a3, w3, xa);
        b3 = meet(b3, w3, xb);
        w += 32;
      }
      finish(mode, a0, a1, a2, a3, blockMultiplier, to, gelu);
      finish(mode, b0, b1, b2, b3, blockMultiplier, to + outputStride, gelu);
      from += 2 * inputBytes;
      to += 2 * outputStride;
    }
    if (row < rows) {
      let a0 = v128.load(blockBias), a1 = v128.load(blockBias, 16), a2 = v128.load(blockBias, 32), a3 = v128.load(blockBias, 48);
      let w = blockWeight;
      const end = from + inputBytes;
      for (let x = from; x < end; x += 4) {
        const xa = v128.load32_splat(x);
        a0 = meet(a0, v128.load_ext<i8>(w), xa);
        a1 = meet(a1, v128.load_ext<i8>(w, 8), xa);
        a2 = meet(a2, v128.load_ext<i8>(w, 16), xa);
        a3 = meet(a3, v128.load_ext<i8>(w, 24), xa);
        w += 32;
      }
      finish(mode, a0, a1, a2, a3, blockMultiplier, to, gelu);
    }
  }
}

export function embed(
  features: usize, weight: usize, bias: usize, multiplier: usize, residual: usize,
  inputs: usize, outputs: usize, rows: usize,
): void {
  linearWide(STORE_RESIDUAL, features, weight, bias, multiplier, residual, 0, inputs, outputs, rows, outputs * 2);
}

export function addLinearLogits(
  features: usize, weight: usize, bias: usize, multiplier: usize, logits: usize,
  inputs: usize, outputs: usize, rows: usize,
): void {
  linearWide(ADD_INT32, features, weight, bias, multiplier, logits, 0, inputs, outputs, rows, outputs * 4);
}

/** residual[count] = before + (residual - before) gate, Q15; count is a multiple of 8. */
export function blend(residual: usize, before: usize, gate: i32, count: usize): void {
  const gates = i32x4.splat(gate);
  for (let i: usize = 0; i < count; i += 8) {
    const to = v128.load(residual + 2 * i);
    const from = v128.load(before + 2 * i);
    v128.store(residual + 2 * i, i16x8.narrow_i32x4_s(
      towards(i32x4.extend_low_i16x8_s(from), i32x4.extend_low_i16x8_s(to), gates),
      towards(i32x4.extend_high_i16x8_s(from), i32x4.extend_high_i16x8_s(to), gates),
    ));
  }
}

// @ts-ignore: decorator
@inline
function towards(from: v128, to: v128, gates: v128): v128 {
  const change = i32x4.mul(i32x4.sub(to, from), gates);
  return i32x4.add(from, i32x4.shr_s(i32x4.add(change, i32x4.splat(16384)), 15));
}
