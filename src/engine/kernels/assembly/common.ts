/**
 * What all WebAssembly kernels share: requantisation, the linear layers over int16, RMSNorm and attention.
 *
 * AssemblyScript with only load, store and v128 built-ins: no objects, no allocation, no data segment.
 * The contract: ../contract.ts. The formulas: docs/integer-rules.md.
 */

/** Adding and dropping this rounds a double to a whole number, ties to even; its low 32 bits are the int32. */
const ROUNDER: f64 = 6755399441055744.0;

export const STORE_INT8: i32 = 0;
export const STORE_RESIDUAL: i32 = 1;
export const ADD_RESIDUAL: i32 = 2;
export const STORE_GELU: i32 = 3;
export const STORE_INT32: i32 = 4;
export const ADD_INT32: i32 = 5;

/** round(accumulators x multipliers) of four outputs. */
// @ts-ignore: decorator
@inline
export function requantise(accumulators: v128, multiplier: usize): v128 {
  const rounder = f64x2.splat(ROUNDER);
  const low = f64x2.mul(
    f64x2.convert_low_i32x4_s(accumulators),
    f64x2.promote_low_f32x4(v128.load64_zero(multiplier)),
  );
  const high = f64x2.mul(
    f64x2.convert_low_i32x4_s(v128.shuffle<i32>(accumulators, accumulators, 2, 3, 2, 3)),
    f64x2.promote_low_f32x4(v128.load64_zero(multiplier, 8)),
  );
  return v128.shuffle<i32>(f64x2.add(low, rounder), f64x2.add(high, rounder), 0, 2, 4, 6);
}

/** Eight int16, saturated to +-32767. */
// @ts-ignore: decorator
@inline
export function toResidual(low: v128, high: v128): v128 {
  return i16x8.max_s(i16x8.narrow_i32x4_s(low, high), i16x8.splat(-32767));
}

/** residual[8] = saturate(residual[8] + change). */
// @ts-ignore: decorator
@inline
export function addResidual(at: usize, low: v128, high: v128): void {
  const before = v128.load(at);
  v128.store(
    at,
    toResidual(
      i32x4.add(low, i32x4.extend_low_i16x8_s(before)),
      i32x4.add(high, i32x4.extend_high_i16x8_s(before)),
    ),
  );
}

/** uint8[8] -> table[uint8[8]]. Written out: as a loop it takes twice the time. */
// @ts-ignore: decorator
@inline
function lookUpEight(at: usize, table: usize): void {
  store<u8>(at, load<u8>(table + <usize>load<u8>(at)));
  store<u8>(at, load<u8>(table + <usize>load<u8>(at, 1)), 1);
  store<u8>(at, load<u8>(table + <usize>load<u8>(at, 2)), 2);
  store<u8>(at, load<u8>(table + <usize>load<u8>(at, 3)), 3);
  store<u8>(at, load<u8>(table + <usize>load<u8>(at, 4)), 4);
  store<u8>(at, load<u8>(table + <usize>load<u8>(at, 5)), 5);
  store<u8>(at, load<u8>(table + <usize>load<u8>(at, 6)), 6);
  store<u8>(at, load<u8>(table + <usize>load<u8>(at, 7)), 7);
}

/** What becomes of 16 accumulators. Inlined: a call would spill the accumulators that wait for theirs. */
// @ts-ignore: decorator
@inline
export function finish(mode: i32, a: v128, b: v128, c: v128, d: v128, multiplier: usize, output: usize, gelu: usize): void {
  a = requantise(a, multiplier);
  b = requantise(b, multiplier + 16);
  c = requantise(c, multiplier + 32);
  d = requantise(d, multiplier + 48);
  if (mode == STORE_RESIDUAL) {
    v128.store(output, toResidual(a, b));
    v128.store(output, toResidual(c, d), 16);
  } else if (mode == ADD_RESIDUAL) {
    addResidual(output, a, b);
    addResidual(output + 16, c, d);
  } else if (mode == STORE_INT32) {
    v128.store(output, a);
    v128.store(output, b, 16);
    v128.store(output, c, 32);
    v128.store(output, d, 48);
  } else if (mode == ADD_INT32) {
    v128.store(output, i32x4.add(a, v128.load(output)));
    v128.store(output, i32x4.add(b, v128.load(output, 16)), 16);
    v128.store(output, i32x4.add(c, v128.load(output, 32)), 32);
    v128.store(output, i32x4.add(d, v128.load(output, 48)), 48);
  } else {
    const narrow = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
    if (mode == STORE_INT8) {
      v128.store(output, i8x16.max_s(narrow, i8x16.splat(-127)));
    } else {
      v128.store(output, v128.xor(narrow, i8x16.splat(-128)));
      for (let i: usize = 0; i < 16; i += 8) lookUpEight(output + i, gelu);
    }
  }
}

/** Bytes of one output: the stride of the output rows. */
// @ts-ignore: decorator
@inline
export function outputBytes(mode: i32): usize {
  if (mode == STORE_INT32 || mode == ADD_INT32) return 4;
  return mode == STORE_RESIDUAL || mode == ADD_RESIDUAL ? 2 : 1;
}

/** Multiply-accumulate of one pair of inputs for four outputs. */
// @ts-ignore: decorator
@inline
export function meet(accumulator: v128, weights: v128, inputs: v128): v128 {
  return i32x4.add(accumulator, i32x4.dot_i16x8_s(weights, inputs));
}

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

/** Sum of squares of int16[count], |x| <= 32767; count is a multiple of 8. */
// @ts-ignore: decorator
@inline
function sumOfSquares(x: usize, count: usize): i64 {
  let sum = i64x2.splat(0);
  for (let i: usize = 0; i < count; i += 8) {
    const values = v128.load(x + 2 * i);
    const squares = i32x4.dot_i16x8_s(values, values);
    sum = i64x2.add(sum, i64x2.add(i64x2.extend_low_i32x4_u(squares), i64x2.extend_high_i32x4_u(squares)));
  }
  return i64x2.extract_lane(sum, 0) + i64x2.extract_lane(sum, 1);
}

/** round(x scale) of four int32. */
// @ts-ignore: decorator
@inline
export function scaleFour(x: v128, scale: v128): v128 {
  const rounder = f64x2.splat(ROUNDER);
  const low = f64x2.mul(f64x2.convert_low_i32x4_s(x), scale);
  const high = f64x2.mul(f64x2.convert_low_i32x4_s(v128.shuffle<i32>(x, x, 2, 3, 2, 3)), scale);
  return v128.shuffle<i32>(f64x2.add(low, rounder), f64x2.add(high, rounder), 0, 2, 4, 6);
}

/** 16 activations: clamp(64 + value, 0, 127). */
// @ts-ignore: decorator
@inline
export function toActivations(a: v128, b: v128, c: v128, d: v128): v128 {
  const zero = i16x8.splat(64);
  const low = i16x8.add_sat_s(i16x8.narrow_i32x4_s(a, b), zero);
  const high = i16x8.add_sat_s(i16x8.narrow_i32x4_s(c, d), zero);
  return i8x16.min_u(i8x16.narrow_i16x8_u(low, high), i8x16.splat(127));
}

/** In Q8, at least 256. */
// @ts-ignore: decorator
@inline
function rootMeanSquare(x: usize, hidden: usize, stride: usize): f64 {
  const meanSquare = sumOfSquares(x, stride) / <i64>hidden;
  return max<f64>(256.0, floor<f64>(sqrt<f64>(<f64>meanSquare * 65536.0)));
}

/** round(x gain unit) of four int32 and four float32; x gain is exact. */
// @ts-ignore: decorator
@inline
function scaleFourChannels(x: v128, gains: v128, unit: v128): v128 {
  const rounder = f64x2.splat(ROUNDER);
  const low = f64x2.mul(f64x2.convert_low_i32x4_s(x), f64x2.promote_low_f32x4(gains));
  const high = f64x2.mul(
    f64x2.convert_low_i32x4_s(v128.shuffle<i32>(x, x, 2, 3, 2, 3)),
    f64x2.promote_low_f32x4(v128.shuffle<i32>(gains, gains, 2, 3, 2, 3)),
  );
  const a = f64x2.add(f64x2.mul(low, unit), rounder), b = f64x2.add(f64x2.mul(high, unit), rounder);
  return v128.shuffle<i32>(a, b, 0, 2, 4, 6);
}

export function normaliseChannels(residual: usize, gains: usize, hidden: usize, stride: usize, activations: usize, rows: usize): void {
  for (let row: usize = 0; row < rows; row++) {
    const x = residual + row * stride * 2;
    const to = activations + row * stride;
    const unit = f64x2.splat(256.0 / rootMeanSquare(x, hidden, stride));
    for (let i: usize = 0; i < stride; i += 16) {
      const low = v128.load(x + 2 * i);
      const high = v128.load(x + 2 * i, 16);
      const g = gains + 4 * i;
      const a = scaleFourChannels(i32x4.extend_low_i16x8_s(low), v128.load(g), unit);
      const b = scaleFourChannels(i32x4.extend_high_i16x8_s(low), v128.load(g, 16), unit);
      const c = scaleFourChannels(i32x4.extend_low_i16x8_s(high), v128.load(g, 32), unit);
      const d = scaleFourChannels(i32x4.extend_high_i16x8_s(high), v128.load(g, 48), unit);
      v128.store(to + i, toActivations(a, b, c, d));
    }
  }
}

export function normalise(residual: usize, gain: f64, hidden: usize, stride: usize, activations: usize, rows: usize): void {
  for (let row: usize = 0; row < rows; row++) {
    const x = residual + row * stride * 2;
    const to = activations + row * stride;
    const scale = f64x2.splat((gain * 256.0) / rootMeanSquare(x, hidden, stride));
    for (let i: usize = 0; i < stride; i += 16) {
      const low = v128.load(x + 2 * i);
      const high = v128.load(x + 2 * i, 16);
      const a = scaleFour(i32x4.extend_low_i16x8_s(low), scale);
      const b = scaleFour(i32x4.extend_high_i16x8_s(low), scale);
      const c = scaleFour(i32x4.extend_low_i16x8_s(high), scale);
      const d = scaleFour(i32x4.extend_high_i16x8_s(high), scale);
      v128.store(to + i, toActivations(a, b, c, d));
    }
  }
}

/** Adds the products of 16 components: query int16, key int8. */
// @ts-ignore: decorator
@inline
export function meetKey(sum: v128, query: usize, key: usize): v128 {
  sum = meet(sum, v128.load_ext<i8>(key), v128.load(query));
  return meet(sum, v128.load_ext<i8>(key, 8), v128.load(query, 16));
}

/** q . k of one head: query int16[size], key int8[size]; size is a multiple of 16. */
// @ts-ignore: decorator
@inline
export function dotKey(query: usize, key: usize, size: usize): i32 {
  let sum = i32x4.splat(0);
  for (let d: usize = 0; d < size; d += 16) sum = meetKey(sum, query + 2 * d, key + d);
  return i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1) + i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3);
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

/** q . k of one head and four slots, whose `offsets` are int32[4], at once: each part of the query is loaded once. */
// @ts-ignore: decorator
@inline
export function dotFourKeys(query: usize, keys: usize, offsets: usize, size: usize): v128 {
  const k0 = keys + <usize>load<u32>(offsets), k1 = keys + <usize>load<u32>(offsets, 4);
  const k2 = keys + <usize>load<u32>(offsets, 8), k3 = keys + <usize>load<u32>(offsets, 12);
  let a = i32x4.splat(0), b = a, c = a, d = a;
  for (let i: usize = 0; i < size; i += 16) {
    a = meetKey(a, query + 2 * i, k0 + i);
    b = meetKey(b, query + 2 * i, k1 + i);
    c = meetKey(c, query + 2 * i, k2 + i);
    d = meetKey(d, query + 2 * i, k3 + i);
  }
  const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
  const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7));
  return i32x4.add(v128.shuffle<i32>(ab, cd, 0, 1, 4, 5), v128.shuffle<i32>(ab, cd, 2, 3, 6, 7));
}

/** round(x), 0 <= x < 2^31, ties to even. */
// @ts-ignore: decorator
@inline
export function roundToInt(x: f64): i32 {
  return <i32>reinterpret<i64>(x + ROUNDER);
}

/** 2^-(drop scale / 256) in Q16. */
// @ts-ignore: decorator
@inline
export function exponential(drop: i32, scale: f64, table: usize): i32 {
  const steps = roundToInt(min<f64>(<f64>drop * scale, 4095.0));
  return load<i32>(table + ((steps & 255) << 2)) >> (steps >> 8);
}

/**
 * 16 components of a head's context: clamp(64 + round(sum of p v, scaled)). `probabilities` int16[count], zero after
 * an odd last one. Two slots at a time: a pair of values meets a pair of probabilities.
 */
// @ts-ignore: decorator
@inline
export function contextOf(value: usize, offsets: usize, probabilities: usize, count: usize, scale: v128, to: usize): void {
  let a = i32x4.splat(0), b = a, c = a, d = a;
  for (let i: usize = 0; i < count; i += 2) {
    const other = i + 1 < count ? i + 1 : i;
    const v0 = v128.load(value + <usize>load<u32>(offsets + 4 * i));
    const v1 = v128.load(value + <usize>load<u32>(offsets + 4 * other));
    const p = v128.load32_splat(probabilities + 2 * i);
    const low = v128.shuffle<i8>(v0, v1, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const high = v128.shuffle<i8>(v0, v1, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    a = meet(a, i16x8.extend_low_i8x16_s(low), p);
    b = meet(b, i16x8.extend_high_i8x16_s(low), p);
    c = meet(c, i16x8.extend_low_i8x16_s(high), p);
    d = meet(d, i16x8.extend_high_i8x16_s(high), p);
  }
  v128.store(to, toActivations(scaleFour(a, scale), scaleFour(b, scale), scaleFour(c, scale), scaleFour(d, scale)));
}

/**
 * Gives the token's own slot its key and value, and lists the slots that it sees: offsets into the ring and ages,
 * itself first. Returns how many.
 */
// @ts-ignore: decorator
@inline
function seeSlots(
  queryKeyValue: usize, keys: usize, values: usize, positions: usize,
  self: i32, newest: i32, filled: i32, position: f64, window: i32, width: usize, slots: i32, offsets: usize, ages: usize,
): usize {
  memory.copy(keys + <usize>self * width, queryKeyValue + width, width);
  memory.copy(values + <usize>self * width, queryKeyValue + 2 * width, width);
  store<f64>(positions + (<usize>self << 3), position);
  store<u32>(offsets, <u32>self * <u32>width);
  store<i32>(ages, 0);
  let count: usize = 1;
  let slot = newest;
  for (let i = 0; i < filled; i++) {
    const age = position - load<f64>(positions + (<usize>slot << 3));
    if (age >= <f64>window) break;
    store<u32>(offsets + 4 * count, <u32>slot * <u32>width);
    store<i32>(ages + 4 * count, <i32>age);
    count++;
    slot = slot == 0 ? slots - 1 : slot - 1;
  }
  return count;
}

/**
 * Spike-driven attention (Yao et al. 2023): a channel fires if its query is positive and its key and value both were
 * at enough of the visible slots. Comparisons, masks and counts only.
 */
export function countSpikes(
  queryKeyValue: usize, keys: usize, values: usize, positions: usize,
  self: i32, newest: i32, filled: i32, position: f64, window: i32, context: usize,
  width: usize, thresholds: usize, slots: i32, scratch: usize,
): i32 {
  const ages = scratch + (<usize>window << 2);
  const count = seeSlots(
    queryKeyValue, keys, values, positions, self, newest, filled, position, window, width, slots, scratch, ages,
  );
  const zero = i8x16.splat(0);
  for (let d: usize = 0; d < width; d += 16) {
    let low = i16x8.splat(0), high = low;
    for (let i: usize = 0; i < count; i++) {
      const at = <usize>load<u32>(scratch + 4 * i) + d;
      const both = v128.and(i8x16.gt_s(v128.load(keys + at), zero), i8x16.gt_s(v128.load(values + at), zero));
      // A mask is -1.
      low = i16x8.sub(low, i16x8.extend_low_i8x16_s(both));
      high = i16x8.sub(high, i16x8.extend_high_i8x16_s(both));
    }
    const at = thresholds + 4 * d;
    const enoughLow = i16x8.ge_s(low, i16x8.narrow_i32x4_s(v128.load(at), v128.load(at, 16)));
    const enoughHigh = i16x8.ge_s(high, i16x8.narrow_i32x4_s(v128.load(at, 32), v128.load(at, 48)));
    const fires = v128.and(i8x16.narrow_i16x8_s(enoughLow, enoughHigh), i8x16.gt_s(v128.load(queryKeyValue + d), zero));
    v128.store(context + d, i8x16.add(i8x16.splat(64), v128.and(fires, i8x16.splat(63))));
  }
  return <i32>count;
}

export function attend(
  queryKeyValue: usize, keys: usize, values: usize, positions: usize,
  self: i32, newest: i32, filled: i32, position: f64, window: i32, context: usize,
  heads: usize, headStride: usize, width: usize, biasStride: usize,
  ageBias: usize, sinks: usize, exponentScales: usize, contextScales: usize, exponentTable: usize, slots: i32, scratch: usize,
): i32 {
  // Scratch: the query widened to int16, then for each visible slot int32 offset, age and
  // score (later weight), and int16 probability.
  for (let i: usize = 0; i < width; i += 16) {
    const q = v128.load(queryKeyValue + i);
    v128.store(scratch + 2 * i, i16x8.extend_low_i8x16_s(q));
    v128.store(scratch + 2 * i, i16x8.extend_high_i8x16_s(q), 16);
  }
  const offsets = scratch + 2 * width;
  const ages = offsets + (<usize>window << 2);
  const scores = ages + (<usize>window << 2);
  const probabilities = scores + (<usize>window << 2);
  const count = seeSlots(
    queryKeyValue, keys, values, positions, self, newest, filled, position, window, width, slots, offsets, ages,
  );

  for (let head: usize = 0; head < heads; head++) {
    const first = head * headStride;
    const bias = ageBias + 4 * head * biasStride;
    const sink = load<i32>(sinks + 4 * head);
    const query = scratch + 2 * first;
    let slotIndex: usize = 0;
    for (; slotIndex + 4 <= count; slotIndex += 4) {
      v128.store(scores + 4 * slotIndex, dotFourKeys(query, keys + first, offsets + 4 * slotIndex, headStride));
    }
    for (; slotIndex < count; slotIndex++) {
      const key = keys + <usize>load<u32>(offsets + 4 * slotIndex) + first;
      store<i32>(scores + 4 * slotIndex, dotKey(query, key, headStride));
    }
    let top = sink;
    for (let i: usize = 0; i < count; i++) {
      const score = load<i32>(scores + 4 * i) + load<i32>(bias + 4 * <usize>load<i32>(ages + 4 * i));
      store<i32>(scores + 4 * i, score);
      top = max<i32>(top, score);
    }
    const scale = <f64>load<f32>(exponentScales + 4 * head);
    let total = exponential(top - sink, scale, exponentTable);
    for (let i: usize = 0; i < count; i++) {
      const weight = exponential(top - load<i32>(scores + 4 * i), scale, exponentTable);
      store<i32>(scores + 4 * i, weight);
      total += weight;
    }
    const share = 32767.0 / <f64>total;
    for (let i: usize = 0; i < count; i++) {
      store<i16>(probabilities + 2 * i, <i16>roundToInt(<f64>load<i32>(scores + 4 * i) * share));
    }
    store<i16>(probabilities + 2 * count, 0);
    const contextScale = f64x2.splat(<f64>load<f32>(contextScales + 4 * head));
    for (let d = first; d < first + headStride; d += 16) {
      contextOf(values + d, offsets, probabilities, count, contextScale, context + d);
    }
  }
  return <i32>count;
}
