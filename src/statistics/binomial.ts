/** The binomial distribution, summed in logarithms. */

/** P(X <= k) for X successes in `trials` of probability `p`, 0 < p < 1. */
export function binomialTail(k: number, trials: number, p: number): number {
  let logTerm = trials * Math.log1p(-p);
  let sum = Math.exp(logTerm);
  for (let i = 1; i <= Math.min(k, trials); i++) {
    logTerm += Math.log((trials - i + 1) / i) + Math.log(p) - Math.log1p(-p);
    sum += Math.exp(logTerm);
  }
  return Math.min(1, sum);
}

/** The largest probability that `k` successes in `trials` do not rule out: Clopper and Pearson's upper bound. */
export function binomialUpperBound(k: number, trials: number, significance: number): number {
  if (k >= trials) return 1;
  let low = k / trials;
  let high = 1;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (binomialTail(k, trials, middle) > significance) low = middle;
    else high = middle;
  }
  return high;
}
