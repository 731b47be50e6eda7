/**
 * Exponential forgetting with nothing but multiplication, so that every machine forgets alike
 * (`Math.pow` and `Math.exp` may differ in the last bit between engines).
 */

/** Beyond so many intervals everything is forgotten anyway. */
const INTERVALS_MAX = 1 << 20;

/**
 * Sets `out[0]` to `base` to the power of a whole number of intervals 0..2^20, by squaring. Into an array, since a
 * returned double would be allocated.
 */
export function wholePower(base: number, intervals: number, out: Float64Array): void {
  let result = 1;
  let factor = base;
  for (let rest = intervals; rest > 0; rest >>= 1) {
    if (rest & 1) result *= factor;
    factor *= factor;
  }
  out[0] = result;
}

/** The nearest whole number of intervals, within 0..2^20. */
export function wholeIntervals(elapsedIntervals: number): number {
  return Math.min(Math.floor(elapsedIntervals + 0.5), INTERVALS_MAX);
}

/**
 * The factor per interval that halves a weight in `halfLife` intervals: the largest double x with x^halfLife <= 1/2.
 * `halfLife`: a whole number 1..2^20. Throws RangeError.
 */
export function factorOfHalfLife(halfLife: number): number {
  if (!Number.isInteger(halfLife) || halfLife < 1 || halfLife > INTERVALS_MAX) {
    throw new RangeError(
      `half-life: expected a whole number of intervals from 1 to ${INTERVALS_MAX}, got ${halfLife}`,
    );
  }
  const power = new Float64Array(1);
  let low = 0;
  let high = 1;
  for (;;) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) return low;
    wholePower(middle, halfLife, power);
    if (power[0]! <= 0.5) low = middle;
    else high = middle;
  }
}

/** How much of a weight is left after so many intervals. */
export class Decay {
  /** In its one place: what `forget` computed last. */
  readonly left = new Float64Array(1);
  /** What is left after one interval. */
  readonly factor: number;

  /** As factorOfHalfLife. */
  constructor(halfLife: number) {
    this.factor = factorOfHalfLife(halfLife);
  }

  /** Sets `left` for a whole number of intervals 0..2^20. */
  forget(intervals: number): void {
    wholePower(this.factor, intervals, this.left);
  }
}
