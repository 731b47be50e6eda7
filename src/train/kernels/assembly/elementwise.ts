/** Elementwise kernels on float32 arrays; `count` may be any number, arrays are padded to whole vectors. */
import { addScaled, exponential } from './math';

/** y += x. */
export function add(y: usize, x: usize, count: i32): void {
  addScaled(y, x, 1, count);
}

/** y[r, c] += bias[c]. */
export function addBias(y: usize, bias: usize, rows: i32, columns: i32): void {
  for (let row = 0; row < rows; row++) addScaled(y + (<usize>(row * columns) << 2), bias, 1, columns);
}

/** sums[c] += sum over r of y[r, c]. */
export function sumColumns(y: usize, sums: usize, rows: i32, columns: i32): void {
  for (let row = 0; row < rows; row++) addScaled(sums, y + (<usize>(row * columns) << 2), 1, columns);
}

/** out = x + keep[sequence] * branch, over sequences of `count` floats each. */
export function addResidual(out: usize, x: usize, branch: usize, keep: usize, sequences: i32, count: i32): void {
  for (let sequence = 0; sequence < sequences; sequence++) {
    const from = <usize>(sequence * count) << 2;
    memory.copy(out + from, x + from, <usize>count << 2);
    addScaled(out + from, branch + from, load<f32>(keep + (<usize>sequence << 2)), count);
  }
}

/** out = keep[sequence] * x, over sequences of `count` floats each. */
export function scaleSequences(out: usize, x: usize, keep: usize, sequences: i32, count: i32): void {
  memory.fill(out, 0, <usize>(sequences * count) << 2);
  for (let sequence = 0; sequence < sequences; sequence++) {
    const from = <usize>(sequence * count) << 2;
    addScaled(out + from, x + from, load<f32>(keep + (<usize>sequence << 2)), count);
  }
}

/** sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)): GELU (tanh form) is x times this. */
// @ts-ignore: decorator
@inline
function gate(x: v128): v128 {
  const cubic = f32x4.add(f32x4.splat(1), f32x4.mul(f32x4.splat(0.044715), f32x4.mul(x, x)));
  const u = f32x4.mul(f32x4.mul(x, f32x4.splat(1.5957691216057308)), cubic);
  return f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), exponential(f32x4.neg(u))));
}

/** y = GELU(x); writes whole vectors. */
export function gelu(x: usize, y: usize, count: i32): void {
  const end = <usize>count << 2;
  for (let at: usize = 0; at < end; at += 16) {
    const value = v128.load(x + at);
    v128.store(y + at, f32x4.mul(value, gate(value)));
  }
}

/** dy *= GELU'(x); writes whole vectors. */
export function geluBackward(x: usize, dy: usize, count: i32): void {
  const end = <usize>count << 2;
  for (let at: usize = 0; at < end; at += 16) {
    const value = v128.load(x + at);
    const s = gate(value);
    const square = f32x4.mul(f32x4.splat(3.0 * 0.044715), f32x4.mul(value, value));
    const slope = f32x4.mul(f32x4.splat(1.5957691216057308), f32x4.add(f32x4.splat(1), square));
    const inner = f32x4.mul(f32x4.mul(value, slope), f32x4.sub(f32x4.splat(1), s));
    const derivative = f32x4.mul(s, f32x4.add(f32x4.splat(1), inner));
    v128.store(dy + at, f32x4.mul(v128.load(dy + at), derivative));
  }
}

/** Straight-through: dy = 0 where x <= low or x >= high, since a clamped value does not move. */
export function maskClipped(x: usize, dy: usize, low: f32, high: f32, count: i32): void {
  const l = f32x4.splat(low), h = f32x4.splat(high);
  const end = <usize>count << 2;
  for (let at: usize = 0; at < end; at += 16) {
    const value = v128.load(x + at);
    const inside = v128.and(f32x4.gt(value, l), f32x4.lt(value, h));
    v128.store(dy + at, v128.and(v128.load(dy + at), inside));
  }
}

/** The same with one symmetric limit per column: dy = 0 where |x| >= limit. */
export function maskColumns(x: usize, dy: usize, limits: usize, rows: i32, columns: i32): void {
  for (let i = 0; i < rows * columns; i++) {
    const at = <usize>i << 2;
    if (abs(load<f32>(x + at)) >= load<f32>(limits + (<usize>(i % columns) << 2))) store<f32>(dy + at, 0);
  }
}
