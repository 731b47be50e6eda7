/** Isotonic regression: from scores to calibrated probabilities, by pooling adjacent violators. */

/** `probabilities[0]` below all `scores`, `probabilities[i + 1]` from `scores[i]` on; both ascend. */
export interface StepFunction {
  readonly scores: readonly number[];
  readonly probabilities: readonly number[];
}

interface Pool {
  readonly from: number;
  readonly count: number;
  readonly hits: number;
}

/**
 * Fits P(label = 1 | score), never falling, on bins of `binMin` or more neighbouring scores, at most `stepsMax` of
 * them. A pool of n with k hits says (k + 1) / (n + 2): that nothing was seen in few tries proves little.
 */
export function fitIsotonic(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  binMin: number,
  stepsMax: number,
): StepFunction {
  const pools: Pool[] = [];
  for (const bin of binsOf(scores, labels, Math.max(binMin, Math.ceil(scores.length / stepsMax)))) {
    pools.push(bin);
    while (pools.length > 1 && share(pools.at(-2)!) >= share(pools.at(-1)!)) {
      const [a, b] = pools.splice(-2) as [Pool, Pool];
      pools.push({ from: a.from, count: a.count + b.count, hits: a.hits + b.hits });
    }
  }
  let least = 0;
  const probabilities = pools.map((pool) => {
    least = Math.max(least, (pool.hits + 1) / (pool.count + 2)); // a small pool may say less than a large one before it
    return least;
  });
  return { scores: pools.slice(1).map(({ from }) => from), probabilities };
}

function share({ hits, count }: Pool): number {
  return hits / count;
}

/** Equal scores stay together; what is left at the end joins the last bin. */
function binsOf(scores: ArrayLike<number>, labels: ArrayLike<number>, size: number): Pool[] {
  const order = Array.from({ length: scores.length }, (_, i) => i).sort((a, b) => scores[a]! - scores[b]!);
  const bins: Pool[] = [];
  for (let start = 0; start < order.length; ) {
    let end = Math.min(start + size, order.length);
    while (end < order.length && scores[order[end]!] === scores[order[end - 1]!]) end++;
    if (order.length - end < size) end = order.length;
    const hits = order.slice(start, end).reduce((sum, i) => sum + labels[i]!, 0);
    bins.push({ from: scores[order[start]!]!, count: end - start, hits });
    start = end;
  }
  return bins;
}

/** At each score the larger of the two. */
export function largerOf(a: StepFunction, b: StepFunction): StepFunction {
  const scores = [...new Set([...a.scores, ...b.scores])].sort((one, other) => one - other);
  const at = [Number.NEGATIVE_INFINITY, ...scores];
  return { scores, probabilities: at.map((score) => Math.max(stepAt(a, score), stepAt(b, score))) };
}

export function stepAt({ scores, probabilities }: StepFunction, score: number): number {
  let step = 0;
  while (step < scores.length && score >= scores[step]!) step++;
  return probabilities[step]!;
}
