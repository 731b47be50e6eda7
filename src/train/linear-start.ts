/**
 * Where a classifier starts: its linear path is the closed-form discriminant of the training rows, and stays it;
 * its head is zero, so that the transformer only ever learns what the line does not know.
 */
import { FEATURE_ONE } from '../engine/limits.ts';
import { CHANGES_PER_CHANNEL, featuresPerChannel } from '../gate/features.ts';
import { type Discriminant, fitDiscriminant } from '../statistics/discriminant.ts';
import type { Dataset } from './dataset.ts';
import type { ParameterLayout } from './layout.ts';
import { encodeSeries } from './tokens.ts';

/** Parameters that stay as this start sets them. */
export const heldByLinearStart: ReadonlySet<string> = new Set(['linear.weight', 'head.bias']);

/** The linear path of the present tick, where there is one over the past. */
export const heldByHistory: ReadonlySet<string> = new Set(['linear.weight']);

/** Head and linear path of the present tick at zero: the transformer corrects nothing yet. */
export function startAtNothing(parameters: Float32Array, { head, linear }: ParameterLayout): void {
  for (const { offset, rows, columns } of [head.weight, linear]) {
    parameters.fill(0, offset, offset + rows * columns);
  }
}

/** Keeps columns that copy each other from making the discriminant singular. */
const LEAST_WANDER = 1e-6;

/** What the line looks at: each channel's value, then its trends if the model sees them; [columns] place among its features. */
function columnsOf({ channels, features }: Dataset): number[] {
  const trends = featuresPerChannel(features) - CHANGES_PER_CHANNEL;
  return channels.flatMap((_, channel) =>
    [0, ...Array.from({ length: trends }, (_, trend) => CHANGES_PER_CHANNEL + trend)].map(
      (feature) => featuresPerChannel(features) * channel + feature,
    ),
  );
}

/** Rows with a label and no unknown value: the columns, values unclamped. */
function labelledRows(
  dataset: Dataset,
  columns: readonly number[],
): { table: Float64Array; labels: number[] } {
  const { channels } = dataset;
  const perChannel = featuresPerChannel(dataset.features);
  const table: number[] = [];
  const labels: number[] = [];
  for (const series of dataset.train) {
    const { features } = encodeSeries(series, { ...dataset, dense: true });
    const width = features.length / series.rows;
    for (let row = 0; row < series.rows; row++) {
      const label = series.labels?.[row] ?? -1;
      const own = columns.map((column) => {
        if (column % perChannel !== 0) return features[row * width + column]! / FEATURE_ONE;
        const channel = column / perChannel;
        const { center, scale } = channels[channel]!;
        return (series.values[row * channels.length + channel]! - center) / scale;
      });
      if (label < 0 || own.some(Number.isNaN)) continue;
      labels.push(label);
      table.push(...own);
    }
  }
  return { table: Float64Array.from(table), labels };
}

/**
 * Writes the start into `parameters` [layout.count]. `wander` [channels]: the variances that augmentation adds to the
 * normalised channels, so that the line trusts each as far as the transformer will be taught to. Trends do not wander.
 * Throws RangeError unless there are rows of every class.
 */
export function startLinear(
  parameters: Float32Array,
  layout: ParameterLayout,
  dataset: Dataset,
  classes: number,
  wander: readonly number[],
): void {
  const columns = columnsOf(dataset);
  const perChannel = featuresPerChannel(dataset.features);
  const { table, labels } = labelledRows(dataset, columns);
  requireEveryClass(labels, dataset.task);
  const ridge = columns.map((column) =>
    column % perChannel === 0 ? LEAST_WANDER + wander[column / perChannel]! : LEAST_WANDER,
  );
  const discriminant = centred(fitDiscriminant(table, labels, columns.length, classes, ridge));
  const { offset, columns: features } = layout.linear;
  for (let c = 0; c < classes; c++) {
    parameters[layout.head.bias.offset + c] = discriminant.biases[c]!;
    columns.forEach((column, i) => {
      parameters[offset + c * features + column] = discriminant.weights[c * columns.length + i]!;
    });
  }
  const { offset: head, rows: outputs, columns: hidden } = layout.head.weight;
  parameters.fill(0, head, head + outputs * hidden);
}

/** A class that nobody has seen has no place. Throws RangeError. */
function requireEveryClass(labels: readonly number[], task: Dataset['task']): void {
  if (task.kind !== 'classify') return;
  const seen = new Set(labels);
  const missing = task.classes.filter((_, label) => !seen.has(label));
  if (missing.length === 0) return;
  throw new RangeError(
    `expected training rows of every class with all channels known, got none of ${missing.join(', ')}: ` +
      'leave them out of the classes, record more, or learn the linear path (--no-line)',
  );
}

/** The same log odds with scores that sum to zero over the classes: the smallest weights. */
function centred({ weights, biases }: Discriminant): Discriminant {
  const classes = biases.length;
  const columns = weights.length / classes;
  const mean = (values: Float64Array, at: number, stride: number) => {
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += values[at + c * stride]!;
    return sum / classes;
  };
  return {
    weights: weights.map((weight, i) => weight - mean(weights, i % columns, columns)),
    biases: biases.map((bias) => bias - mean(biases, 0, 1)),
  };
}
