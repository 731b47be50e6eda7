/**
 * The linear path over the past in closed form: ridge regression of what comes, above the last value, by the past above
 * it (NLinear, Zeng et al. 2023), the same for every channel, then reduced in rank (Izenman 1975): the components are the
 * directions in which the forecasts vary most. Length, ridge and ranks are chosen on the validation rows.
 */
import { assert, HISTORY_RANK_MAX } from '../engine/limits.ts';
import type { Series } from '../recording/recording.ts';
import { cholesky, eigenSymmetric, solveCholesky } from '../statistics/linear-algebra.ts';
import { addRidge, fillForward } from '../statistics/statistics.ts';
import { type NormalEquations, normalEquations, WindowMoments } from '../statistics/window-moments.ts';
import type { Dataset } from './dataset.ts';
import { warmUp } from './warm-up.ts';

type Ranks = HistoryFit['ranks'];

/** In normalised units. */
export interface HistoryFit {
  readonly rows: number;
  /** Components that tiers 0, 1 and 2 use. */
  readonly ranks: readonly [number, number, number];
  readonly horizon: number;
  /** [rank x rows], oldest first; the present value, which is zero above itself, has weight 0. */
  readonly basis: Float64Array;
  /** [rank]. */
  readonly bias: Float64Array;
  /** [horizon x rank], orthonormal columns. */
  readonly readout: Float64Array;
  /** Of the variance of a channel. */
  readonly ridge: number;
  /** Mean squared error on the validation rows with the ranks of each tier. */
  readonly validation: readonly [number, number, number];
}

/** Of the windows' number. */
const ridges: readonly number[] = [1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1];
/** What a lower tier keeps of tier 0's quality on validation rows: more than it must on rows that nobody has seen. */
const keptByTier: readonly [number, number] = [0.985, 0.97];

/**
 * Chooses among these lengths, and the ranks if none are given. Throws RangeError where the rows do not suffice, or for
 * ranks that do not fall or are larger than the horizon or a length.
 */
export function fitHistory(dataset: Dataset, lengths: readonly number[], ranks?: Ranks): HistoryFit {
  const { task } = dataset;
  assert(task.kind === 'forecast', 'a forecast has a history');
  const { horizon } = task;
  const longest = Math.max(...lengths);
  if (ranks !== undefined) requireRanks(ranks, Math.min(HISTORY_RANK_MAX, horizon, ...lengths));
  // The same windows for every length, so that they can be compared.
  const known = momentsOf(dataset, dataset.train, longest + horizon);
  const held = momentsOf(
    dataset,
    warmUp(dataset, dataset.validation, longest).map(({ series }) => series),
    longest + horizon,
  );
  if (known.windows === 0 || held.windows === 0) {
    const expected = `training and validation rows for windows of ${longest} + ${horizon}`;
    throw new RangeError(`history: expected ${expected}, got ${known.windows} and ${held.windows} windows`);
  }
  const candidates = lengths.flatMap((rows) => {
    const [training, validation] = [known, held].map((moments) => normalEquations(moments, rows, horizon));
    return ridges.map((ridge) => reducedRank(training!, validation!, rows, horizon, ridge, ranks));
  });
  const best = candidates.reduce((most, one) => (one.validation[0] < most.validation[0] ? one : most));
  // A length by itself has more windows.
  return best.rows === longest ? best : fitHistory(dataset, [best.rows], ranks);
}

function requireRanks(ranks: Ranks, max: number): void {
  const falls = ranks.every((rank, tier) => rank >= 1 && rank <= (tier === 0 ? max : ranks[tier - 1]!));
  if (!falls) throw new RangeError(`ranks: expected three that fall, from ${max} at most, got ${ranks}`);
}

function momentsOf({ channels }: Dataset, all: readonly Series[], length: number): WindowMoments {
  const moments = new WindowMoments(length);
  for (const { values } of all) {
    const filled = fillForward(
      values,
      channels.map(({ center }) => center),
    );
    for (const [index, { center, scale }] of channels.entries()) {
      const own = filled.filter((_, i) => i % channels.length === index);
      moments.add(own.map((value) => (value - center) / scale));
    }
  }
  return moments;
}

/** The fit at every rank, and the ranks that its validation error asks for. */
function reducedRank(
  training: NormalEquations,
  validation: NormalEquations,
  rows: number,
  horizon: number,
  share: number,
  given?: Ranks,
): HistoryFit {
  const weights = solveRidge(training, rows, horizon, share * training.windows);
  const { vectors } = eigenSymmetric(variation(weights, training.cross, rows, horizon), horizon);
  const rankMax = Math.min(HISTORY_RANK_MAX, horizon, rows);
  const components = multiply(vectors, weights, rankMax, horizon, rows);
  const errors = errorsByRank(validation, components, vectors, rankMax, rows, horizon);
  const ranks = given ?? chooseRanks(errors);
  const [rank] = ranks;
  const basis = components.slice(0, rank * rows);
  const bias = Float64Array.from({ length: rank }, (_, k) => basis[k * rows + rows - 1]!);
  for (let k = 0; k < rank; k++) basis[k * rows + rows - 1] = 0;
  const readout = Float64Array.from(
    { length: horizon * rank },
    (_, i) => vectors[(i % rank) * horizon + Math.floor(i / rank)]!,
  );
  const validationErrors = ranks.map((one) => errors[one - 1]!) as [number, number, number];
  return { rows, ranks, horizon, basis, bias, readout, ridge: share, validation: validationErrors };
}

/** [horizon x rows]. The bias is not shrunk. */
function solveRidge(
  { gram, cross }: NormalEquations,
  rows: number,
  horizon: number,
  ridge: number,
): Float64Array {
  const penalised = addRidge(gram.slice(), rows, ridge);
  penalised[rows * rows - 1]! -= ridge;
  const lower = cholesky(penalised, rows);
  const weights = cross.slice();
  for (let ahead = 0; ahead < horizon; ahead++) {
    solveCholesky(lower, rows, weights.subarray(ahead * rows, (ahead + 1) * rows));
  }
  return weights;
}

/** [horizon x horizon]: how forecasts vary together, W (G + ridge) W' = W C'. */
function variation(weights: Float64Array, cross: Float64Array, rows: number, horizon: number): Float64Array {
  const matrix = new Float64Array(horizon * horizon);
  for (let i = 0; i < horizon; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let t = 0; t < rows; t++) sum += weights[i * rows + t]! * cross[j * rows + t]!;
      matrix[i * horizon + j] = matrix[j * horizon + i] = sum;
    }
  }
  return matrix;
}

/** The first `m` rows of A times B, [m x n]; A has `inner` columns. */
function multiply(a: Float64Array, b: Float64Array, m: number, inner: number, n: number): Float64Array {
  const product = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let k = 0; k < inner; k++) {
      const factor = a[i * inner + k]!;
      for (let j = 0; j < n; j++) product[i * n + j]! += factor * b[k * n + j]!;
    }
  }
  return product;
}

/**
 * Mean squared error with the first 1, 2, ... components z = P x, from sums alone: directions v are orthonormal, so each
 * takes 2 z (v y) - z^2 from the squares of y.
 */
function errorsByRank(
  { gram, cross, squares, windows }: NormalEquations,
  components: Float64Array,
  directions: Float64Array,
  rankMax: number,
  rows: number,
  horizon: number,
): number[] {
  const towards = multiply(directions, cross, rankMax, horizon, rows);
  const spread = multiply(components, gram, rankMax, rows, rows);
  let left = squares;
  return Array.from({ length: rankMax }, (_, k) => {
    for (let t = k * rows; t < (k + 1) * rows; t++) {
      left -= components[t]! * (2 * towards[t]! - spread[t]!);
    }
    return left / (windows * horizon);
  });
}

/** The best, then the least that keep enough of it. */
function chooseRanks(errors: readonly number[]): [number, number, number] {
  const least = Math.min(...errors);
  const first = errors.indexOf(least);
  const [second, third] = keptByTier.map((kept) => errors.findIndex((error) => least / error >= kept));
  return [first + 1, second! + 1, Math.min(second!, third!) + 1];
}
