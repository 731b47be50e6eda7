/** Means, deviations, quantiles. Tables are row-major [rows x columns] without NaN. */
import { assert } from '../engine/limits.ts';

/** Per column: (x - mean) / deviation is a z-score. */
export interface Standardiser {
  readonly mean: Float64Array;
  /** Population deviation; 1 for a column that never changes. */
  readonly deviation: Float64Array;
}

export function fitStandardiser(values: Float64Array, columns: number): Standardiser {
  const rows = values.length / columns;
  assert(rows >= 1, 'rows to fit a standardiser on');
  const mean = new Float64Array(columns);
  const deviation = new Float64Array(columns);
  for (let i = 0; i < values.length; i++) mean[i % columns]! += values[i]! / rows;
  for (let i = 0; i < values.length; i++)
    deviation[i % columns]! += (values[i]! - mean[i % columns]!) ** 2 / rows;
  for (let c = 0; c < columns; c++) {
    const root = Math.sqrt(deviation[c]!);
    deviation[c] = root > 1e-9 * (1 + Math.abs(mean[c]!)) ? root : 1;
  }
  return { mean, deviation };
}

/** A new table of z-scores. */
export function standardise(values: Float64Array, { mean, deviation }: Standardiser): Float64Array {
  const columns = mean.length;
  return values.map((value, i) => (value - mean[i % columns]!) / deviation[i % columns]!);
}

/** Mean over rows of (x - m)(x - m)', [columns x columns]. */
export function covariance(values: Float64Array, columns: number): Float64Array {
  const { mean } = fitStandardiser(values, columns);
  const matrix = new Float64Array(columns * columns);
  const rows = values.length / columns;
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < columns; i++) {
      const x = (values[row * columns + i]! - mean[i]!) / rows;
      for (let j = 0; j < columns; j++)
        matrix[i * columns + j]! += x * (values[row * columns + j]! - mean[j]!);
    }
  }
  return matrix;
}

/** Adds `amount` to the diagonal, in place. */
export function addRidge(matrix: Float64Array, n: number, amount: number): Float64Array {
  for (let i = 0; i < n; i++) matrix[i * n + i]! += amount;
  return matrix;
}

/** The q-quantile, 0..1, between the two nearest values. */
export function quantile(values: ArrayLike<number>, q: number): number {
  assert(values.length >= 1, 'values to take a quantile of');
  const sorted = Float64Array.from(values).sort();
  const at = q * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low]! + (at - low) * (sorted[high]! - sorted[low]!);
}

export function median(values: ArrayLike<number>): number {
  return quantile(values, 0.5);
}

/** Each NaN becomes the column's last known value, or `start[column]` before there is one. A new table. */
export function fillForward(values: Float64Array, start: ArrayLike<number>): Float64Array {
  const columns = start.length;
  const filled = values.slice();
  for (let i = 0; i < filled.length; i++) {
    if (Number.isNaN(filled[i]!)) filled[i] = i < columns ? start[i]! : filled[i - columns]!;
  }
  return filled;
}

/** Per column, the mean of what is known; 0 if nothing is. */
export function knownMeans(values: Float64Array, columns: number): Float64Array {
  const counts = new Float64Array(columns);
  const sums = new Float64Array(columns);
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i]!)) continue;
    counts[i % columns]!++;
    sums[i % columns]! += values[i]!;
  }
  return sums.map((sum, column) => (counts[column] === 0 ? 0 : sum / counts[column]!));
}
