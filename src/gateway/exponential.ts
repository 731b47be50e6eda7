/**
 * e^x from additions and multiplications alone: the same bits everywhere, which `Math.exp` does not promise, so that
 * an anomaly on one machine is an anomaly on every other.
 */

/** e^x overflows a double above this and is zero to it below the negative. */
const RANGE = 700;
const HALVINGS = 12;
const TERMS = 12;

/** Relative error below 1e-12 for |x| <= 700, beyond which x is clamped. NaN stays NaN. */
export function exponential(x: number): number {
  const small = Math.max(-RANGE, Math.min(RANGE, x)) / 2 ** HALVINGS;
  let sum = 1;
  for (let term = TERMS; term > 0; term--) sum = 1 + (small / term) * sum;
  for (let halving = 0; halving < HALVINGS; halving++) sum *= sum;
  return sum;
}
