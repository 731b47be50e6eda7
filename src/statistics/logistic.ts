/** Logistic regression by Newton's method, with a ridge. */
import { assert } from '../engine/limits.ts';
import { cholesky, solveCholesky } from './linear-algebra.ts';
import { fitStandardiser, standardise } from './statistics.ts';

/** log odds = bias + weights . x, in the units of the table that it was fitted on. */
export interface Logistic {
  readonly weights: Float64Array;
  readonly bias: number;
}

const STEPS_MAX = 50;
const TOLERANCE = 1e-9;

/**
 * Fits P(label = 1). `table` [rows x columns] without NaN, `labels` [rows] of 0 and 1; `ridge` > 0 times the squared
 * weights of standardised columns is added to the loss of all rows, so that separable rows have a fit too. The bias is
 * held by as little.
 */
export function fitLogistic(
  table: Float64Array,
  labels: ArrayLike<number>,
  columns: number,
  ridge: number,
): Logistic {
  assert(ridge > 0 && table.length === labels.length * columns, 'a table, its labels and a ridge');
  const standardiser = fitStandardiser(table, columns);
  const z = standardise(table, standardiser);
  const size = columns + 1;
  const solution = new Float64Array(size);
  for (let step = 0; step < STEPS_MAX; step++) {
    const change = newtonStep(z, labels, columns, ridge, solution);
    for (let i = 0; i < size; i++) solution[i]! += change[i]!;
    if (change.every((part) => Math.abs(part) < TOLERANCE)) break;
  }
  const weights = solution.slice(0, columns).map((weight, i) => weight / standardiser.deviation[i]!);
  const shift = weights.reduce((sum, weight, i) => sum + weight * standardiser.mean[i]!, 0);
  return { weights, bias: solution[columns]! - shift };
}

/** [columns + 1] what Newton's method adds; the last is the bias. Long steps are cut: the loss is not quadratic. */
function newtonStep(
  z: Float64Array,
  labels: ArrayLike<number>,
  columns: number,
  ridge: number,
  solution: Float64Array,
): Float64Array {
  const size = columns + 1;
  const gradient = solution.map((part) => -2 * ridge * part);
  const curvature = new Float64Array(size * size);
  for (let i = 0; i < size; i++) curvature[i * size + i] = 2 * ridge;
  const row = new Float64Array(size).fill(1);
  for (let at = 0; at < labels.length; at++) {
    for (let i = 0; i < columns; i++) row[i] = z[at * columns + i]!;
    const p = sigmoid(dot(row, solution));
    for (let i = 0; i < size; i++) {
      gradient[i]! += (labels[at]! - p) * row[i]!;
      const weight = p * (1 - p) * row[i]!;
      for (let j = 0; j < size; j++) curvature[i * size + j]! += weight * row[j]!;
    }
  }
  solveCholesky(cholesky(curvature, size), size, gradient);
  const length = Math.hypot(...gradient);
  return length > STEP_LENGTH_MAX ? gradient.map((part) => (part * STEP_LENGTH_MAX) / length) : gradient;
}

const STEP_LENGTH_MAX = 4;

/** The log odds of row `row` of a table [rows x columns]. */
export function logOdds({ weights, bias }: Logistic, table: Float64Array, row: number): number {
  let sum = bias;
  for (let i = 0; i < weights.length; i++) sum += weights[i]! * table[row * weights.length + i]!;
  return sum;
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
