/** AdamW (Loshchilov and Hutter 2019) on flat arrays. */

/** Sum of squares in double precision, in index order by lane. */
export function sumOfSquares(x: usize, count: i32): f64 {
  let total: f64 = 0;
  for (let at: usize = 0; at < <usize>count << 2; at += 4) {
    const value = <f64>load<f32>(x + at);
    total += value * value;
  }
  return total;
}

/**
 * One step on parameters[count] with gradient times `gradientScale`; `rate` is the learning rate with both bias
 * corrections folded in, `decay` is learning rate times weight decay.
 */
export function adamW(
  parameter: usize, gradient: usize, first: usize, second: usize, count: i32, gradientScale: f32, rate: f32,
  beta1: f32, beta2: f32, epsilon: f32, decay: f32,
): void {
  const scale = f32x4.splat(gradientScale), r = f32x4.splat(rate), e = f32x4.splat(epsilon);
  const keep = f32x4.splat(<f32>1 - decay);
  const b1 = f32x4.splat(beta1), c1 = f32x4.splat(<f32>1 - beta1);
  const b2 = f32x4.splat(beta2), c2 = f32x4.splat(<f32>1 - beta2);
  const end = <usize>count << 2;
  for (let at: usize = 0; at < end; at += 16) {
    const g = f32x4.mul(v128.load(gradient + at), scale);
    const m = f32x4.add(f32x4.mul(b1, v128.load(first + at)), f32x4.mul(c1, g));
    const v = f32x4.add(f32x4.mul(b2, v128.load(second + at)), f32x4.mul(c2, f32x4.mul(g, g)));
    v128.store(first + at, m);
    v128.store(second + at, v);
    const step = f32x4.div(f32x4.mul(r, m), f32x4.add(f32x4.sqrt(v), e));
    v128.store(parameter + at, f32x4.sub(f32x4.mul(v128.load(parameter + at), keep), step));
  }
}
