/**
 * RMSNorm: int16 residual to 7-bit activations.
 *
 * AssemblyScript with only load, store and v128 built-ins: no objects, no allocation, no data segment.
 * The contract: ../contract.ts. The formulas: docs/integer-rules.md.
 */
import { ROUNDER, scaleFour, toActivations } from './requantise';
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
