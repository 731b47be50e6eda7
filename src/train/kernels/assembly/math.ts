/** Vector helpers. */

/**
 * e^x for |x| <= 87 (clamped), relative error below 2e-7: x = n ln 2 + r, Taylor to the 7th power on |r| <= 0.35.
 */
// @ts-ignore: decorator
@inline
export function exponential(x: v128): v128 {
  x = f32x4.min(f32x4.max(x, f32x4.splat(-87)), f32x4.splat(87));
  const n = f32x4.nearest(f32x4.mul(x, f32x4.splat(1.4426950408889634)));
  let r = f32x4.sub(x, f32x4.mul(n, f32x4.splat(0.693145751953125)));
  r = f32x4.sub(r, f32x4.mul(n, f32x4.splat(0.0000014286067653)));
  let y = f32x4.splat(1.0 / 5040.0);
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(1.0 / 720.0));
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(1.0 / 120.0));
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(1.0 / 24.0));
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(1.0 / 6.0));
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(0.5));
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(1));
  y = f32x4.add(f32x4.mul(y, r), f32x4.splat(1));
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
  return f32x4.mul(y, power);
}

// @ts-ignore: decorator
@inline
export function sumLanes(x: v128): f32 {
  return f32x4.extract_lane(x, 0) + f32x4.extract_lane(x, 1)
    + (f32x4.extract_lane(x, 2) + f32x4.extract_lane(x, 3));
}

/** Dot product of two rows of `count` floats. */
// @ts-ignore: decorator
@inline
export function dot(a: usize, b: usize, count: i32): f32 {
  let sum = f32x4.splat(0);
  const whole = <usize>(count & ~3) << 2;
  for (let at: usize = 0; at < whole; at += 16) {
    sum = f32x4.add(sum, f32x4.mul(v128.load(a + at), v128.load(b + at)));
  }
  let total = sumLanes(sum);
  for (let at = whole; at < <usize>count << 2; at += 4) total += load<f32>(a + at) * load<f32>(b + at);
  return total;
}

/** y += factor * x over `count` floats. */
// @ts-ignore: decorator
@inline
export function addScaled(y: usize, x: usize, factor: f32, count: i32): void {
  const f = f32x4.splat(factor);
  const whole = <usize>(count & ~3) << 2;
  for (let at: usize = 0; at < whole; at += 16) {
    v128.store(y + at, f32x4.add(v128.load(y + at), f32x4.mul(f, v128.load(x + at))));
  }
  for (let at = whole; at < <usize>count << 2; at += 4) {
    store<f32>(y + at, load<f32>(y + at) + factor * load<f32>(x + at));
  }
}
