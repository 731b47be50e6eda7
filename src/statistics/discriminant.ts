/** Fisher's linear discriminant, in closed form. */
import { cholesky, solveCholesky } from './linear-algebra.ts';
import { covariance } from './statistics.ts';

/** score[class] = bias[class] + weights[class] . x; the differences of scores are log odds. */
export interface Discriminant {
  /** [classes x columns]. */
  readonly weights: Float64Array;
  /** [classes]. */
  readonly biases: Float64Array;
}

/**
 * Fits classes with one covariance and the rows' own class shares.
 * `table` [rows x columns] without NaN; `labels` [rows], every class at least once; `ridge` [columns] is added to the
 * variances: so much more the columns are expected to wander than they do here.
 */
export function fitDiscriminant(
  table: Float64Array,
  labels: ArrayLike<number>,
  columns: number,
  classes: number,
  ridge: ArrayLike<number>,
): Discriminant {
  const counts = new Float64Array(classes);
  for (let row = 0; row < labels.length; row++) counts[labels[row]!]!++;
  const means = classMeans(table, labels, columns, counts);
  const within = table.map((x, i) => x - means[labels[Math.floor(i / columns)]! * columns + (i % columns)]!);
  const withRidge = covariance(within, columns);
  for (let i = 0; i < columns; i++) withRidge[i * columns + i]! += ridge[i]!;
  const lower = cholesky(withRidge, columns);
  const weights = means.slice();
  const biases = new Float64Array(classes);
  for (let c = 0; c < classes; c++) {
    const weight = weights.subarray(c * columns, (c + 1) * columns);
    solveCholesky(lower, columns, weight);
    biases[c] = Math.log(counts[c]! / labels.length);
    for (let i = 0; i < columns; i++) biases[c]! -= (weight[i]! * means[c * columns + i]!) / 2;
  }
  return { weights, biases };
}

/** [classes x columns]. */
function classMeans(
  table: Float64Array,
  labels: ArrayLike<number>,
  columns: number,
  counts: Float64Array,
): Float64Array {
  const means = new Float64Array(counts.length * columns);
  for (let i = 0; i < table.length; i++) {
    const label = labels[Math.floor(i / columns)]!;
    means[label * columns + (i % columns)]! += table[i]! / counts[label]!;
  }
  return means;
}
