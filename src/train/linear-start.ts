/**
 * Where a classifier starts: its linear path is the closed-form discriminant of the training rows, and stays it;
 * its head is zero, so that the transformer only ever learns what the line does not know.
 */
import type { Channel } from '../engine/model.ts';
import { FEATURES_PER_CHANNEL } from '../gate/features.ts';
import type { Series } from '../recording/recording.ts';
import { type Discriminant, fitDiscriminant } from '../statistics/discriminant.ts';
import type { ParameterLayout } from './layout.ts';

/** Parameters that stay as this start sets them. */
export const heldByLinearStart: ReadonlySet<string> = new Set(['linear.weight', 'head.bias']);

/** Rows with a label and no unknown value, normalised. */
function labelledRows(
  series: readonly Series[],
  channels: readonly Channel[],
): { table: Float64Array; labels: number[] } {
  const rows: number[] = [];
  const labels: number[] = [];
  for (const { rows: count, values, labels: own } of series) {
    for (let row = 0; row < count; row++) {
      const label = own?.[row] ?? -1;
      const z = channels.map(({ center, scale }, c) => (values[row * channels.length + c]! - center) / scale);
      if (label < 0 || z.some(Number.isNaN)) continue;
      labels.push(label);
      rows.push(...z);
    }
  }
  return { table: Float64Array.from(rows), labels };
}

/**
 * Writes the start into `parameters` [layout.count]. `wander` [channels]: the variances that augmentation adds to the
 * normalised channels, so that the line trusts each as far as the transformer will be taught to.
 */
export function startLinear(
  parameters: Float32Array,
  layout: ParameterLayout,
  series: readonly Series[],
  channels: readonly Channel[],
  classes: number,
  wander: readonly number[],
): void {
  const { table, labels } = labelledRows(series, channels);
  const discriminant = centred(fitDiscriminant(table, labels, channels.length, classes, wander));
  const { offset, columns } = layout.linear;
  for (let c = 0; c < classes; c++) {
    parameters[layout.head.bias.offset + c] = discriminant.biases[c]!;
    for (let i = 0; i < channels.length; i++) {
      parameters[offset + c * columns + FEATURES_PER_CHANNEL * i] =
        discriminant.weights[c * channels.length + i]!;
    }
  }
  const { offset: head, rows: outputs, columns: hidden } = layout.head.weight;
  parameters.fill(0, head, head + outputs * hidden);
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
