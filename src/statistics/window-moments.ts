/** Sums over all windows of a series, from which a linear forecast in closed form and its error follow. */

/** Sums over all windows of x_i and x_i x_j; a window's neighbours share all but its ends, so each costs one addition. */
export class WindowMoments {
  /** Values in a window. */
  readonly length: number;
  readonly first: Float64Array;
  readonly second: Float64Array;
  windows = 0;

  constructor(length: number) {
    this.length = length;
    this.first = new Float64Array(length);
    this.second = new Float64Array(length * length);
  }

  /** Adds every window of a series. */
  add(x: Float64Array): void {
    const { length } = this;
    const count = x.length - length + 1;
    if (count < 1) return;
    this.windows += count;
    for (let lag = 0; lag < length; lag++) {
      let sum = 0;
      for (let t = 0; t < count; t++) sum += x[t]! * x[t + lag]!;
      for (let i = 0; i + lag < length; i++) {
        if (i > 0) sum += x[i + count - 1]! * x[i + count - 1 + lag]! - x[i - 1]! * x[i - 1 + lag]!;
        this.second[i * length + i + lag]! += sum;
        if (lag > 0) this.second[(i + lag) * length + i]! += sum;
      }
    }
    let sum = 0;
    for (let t = 0; t < count; t++) sum += x[t]!;
    for (let i = 0; i < length; i++) {
      if (i > 0) sum += x[i + count - 1]! - x[i - 1]!;
      this.first[i]! += sum;
    }
  }

  /** Sum over windows of (x_i - x_last)(x_j - x_last). */
  centred(i: number, j: number, last: number): number {
    const { second, length } = this;
    return (
      second[i * length + j]! -
      second[i * length + last]! -
      second[j * length + last]! +
      second[last * length + last]!
    );
  }
}

/** Least squares of what comes after the last value, above it, by what was before, above it (NLinear, Zeng et al. 2023). */
export interface NormalEquations {
  /** [past x past]; the bias takes the place of the last value, which is always zero above itself. */
  readonly gram: Float64Array;
  /** [horizon x past]. */
  readonly cross: Float64Array;
  /** Sum over windows and horizon of the squares of what came. */
  readonly squares: number;
  readonly windows: number;
}

/** Of windows whose last `horizon` values come, with the `past` before them known. */
export function normalEquations(moments: WindowMoments, past: number, horizon: number): NormalEquations {
  const start = moments.length - horizon - past;
  const last = start + past - 1;
  const sum = (i: number) => moments.first[start + i]! - moments.first[last]!;
  const product = (i: number, j: number) => moments.centred(start + i, start + j, last);
  const gram = new Float64Array(past * past);
  for (let i = 0; i < past - 1; i++) {
    for (let j = 0; j < past - 1; j++) gram[i * past + j] = product(i, j);
    gram[i * past + past - 1] = gram[(past - 1) * past + i] = sum(i);
  }
  gram[past * past - 1] = moments.windows;
  const cross = new Float64Array(horizon * past);
  let squares = 0;
  for (let ahead = 0; ahead < horizon; ahead++) {
    for (let i = 0; i < past - 1; i++) cross[ahead * past + i] = product(i, past + ahead);
    cross[ahead * past + past - 1] = sum(past + ahead);
    squares += product(past + ahead, past + ahead);
  }
  return { gram, cross, squares, windows: moments.windows };
}
