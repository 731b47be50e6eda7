/** RMSNorm without gamma: n = x / sqrt(mean(x^2) + 1e-6). */
import { dot } from './math';

/** x, n: [rows, columns]; inverse: [rows], 1 / root mean square. */
export function rmsNorm(x: usize, n: usize, inverse: usize, rows: i32, columns: i32): void {
  const stride = <usize>columns << 2;
  for (let row = 0; row < rows; row++) {
    const factor: f32 = <f32>1 / sqrt<f32>(dot(x, x, columns) / <f32>columns + <f32>1e-6);
    store<f32>(inverse + (<usize>row << 2), factor);
    for (let at: usize = 0; at < stride; at += 4) store<f32>(n + at, load<f32>(x + at) * factor);
    x += stride;
    n += stride;
  }
}

/** dx += (dn - n mean(dn n)) / rms. */
export function rmsNormBackward(dn: usize, n: usize, inverse: usize, dx: usize, rows: i32, columns: i32): void {
  const stride = <usize>columns << 2;
  for (let row = 0; row < rows; row++) {
    const factor = load<f32>(inverse + (<usize>row << 2));
    const mean: f32 = dot(dn, n, columns) / <f32>columns;
    for (let at: usize = 0; at < stride; at += 4) {
      const gradient = (load<f32>(dn + at) - load<f32>(n + at) * mean) * factor;
      store<f32>(dx + at, load<f32>(dx + at) + gradient);
    }
    dn += stride;
    n += stride;
    dx += stride;
  }
}
