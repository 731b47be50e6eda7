/**
 * What becomes of accumulators: scaled, rounded, clamped, and stored or added.
 *
 * AssemblyScript with only load, store and v128 built-ins: no objects, no allocation, no data segment.
 * The contract: ../contract.ts. The formulas: docs/integer-rules.md.
 */

/** Adding and dropping this rounds a double to a whole number, ties to even; its low 32 bits are the int32. */
export const ROUNDER: f64 = 6755399441055744.0;

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

/** round(x), 0 <= x < 2^31, ties to even. */
// @ts-ignore: decorator
@inline
export function roundToInt(x: f64): i32 {
  return <i32>reinterpret<i64>(x + ROUNDER);
}
