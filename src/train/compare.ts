/** How far the int8 engine is from the float network on the same rows. */
import type { Channel, Task } from '../engine/model.ts';
import type { Series } from '../recording/recording.ts';
import type { Dataset } from './dataset.ts';
import type { Predictor } from './evaluate.ts';
import { encodeSeries } from './tokens.ts';

/** One output, or one channel's outputs over a forecast's horizon. */
export interface OutputComparison {
  readonly name: string;
  /** Standard deviation of the float output over the rows, in its own unit. */
  readonly deviation: number;
  /** Root mean square and largest of int8 minus float. */
  readonly error: number;
  readonly worst: number;
  /**
   * Classes: of the rows that the float network gives to this class, the share that int8 gives to it, too; NaN where
   * there are none. Else: share of the numbers that are within a tenth of the deviation.
   */
  readonly agreement: number;
}

export interface Comparison {
  readonly rows: number;
  readonly outputs: readonly OutputComparison[];
  /** Root mean square of the differences over that of the float outputs' deviations, all outputs together. */
  readonly relativeError: number;
  /** Share of rows with the same class, or of numbers within a tenth of their output's deviation. */
  readonly agreement: number;
}

/** What the features are made of, and what the outputs mean. */
type Compared = Pick<Dataset, 'channels' | 'intervalMs' | 'task' | 'spikes' | 'features'>;

/** Compares engines with the float network on these series, every tick a token, from a cold start each. */
export function comparer(
  dataset: Compared,
  series: readonly Series[],
  float: Predictor,
): (engine: Predictor) => Comparison {
  const streams = series.map((one) => encodeSeries(one, { ...dataset, dense: true }));
  const logitsOf = (predict: Predictor) =>
    streams.map(({ features, rows, marks }) =>
      predict({ features, count: rows.length, ticks: rows, marks, forecasts: null }),
    );
  const expected = joined(logitsOf(float));
  const rows = streams.reduce((sum, stream) => sum + stream.rows.length, 0);
  return (engine) => compareLogits(dataset, { float: expected, engine: joined(logitsOf(engine)) }, rows);
}

interface Logits {
  /** [rows, outputs] each. */
  readonly float: Float32Array;
  readonly engine: Float32Array;
}

/** The same of logits that are there. */
export function compareLogits(
  { task, channels }: Pick<Dataset, 'task' | 'channels'>,
  logits: Logits,
  rows: number,
): Comparison {
  const count = logits.float.length / Math.max(1, rows);
  const groups = outputGroups(task, channels, count);
  const named = task.kind === 'classify' ? namedClasses(logits, count) : null;
  const outputs = groups.map((group, index) => compareGroup(group, index, logits, count, named));
  const root = (of: (one: OutputComparison) => number) =>
    Math.sqrt(outputs.reduce((sum, one) => sum + of(one) ** 2, 0) / outputs.length);
  return {
    rows,
    outputs,
    relativeError:
      root(({ error }) => error) /
      Math.max(
        1e-12,
        root(({ deviation }) => deviation),
      ),
    agreement: named
      ? named.float.filter((own, row) => own === named.engine[row]).length / rows
      : outputs.reduce((sum, { agreement }) => sum + agreement, 0) / outputs.length,
  };
}

interface Group {
  readonly name: string;
  /** Outputs [from, to). */
  readonly from: number;
  readonly to: number;
}

function outputGroups(task: Task, channels: readonly Channel[], outputs: number): Group[] {
  const one = (name: string, index: number) => ({ name, from: index, to: index + 1 });
  if (task.kind === 'classify') return task.classes.map(one);
  const names = channels.map(({ name }) => name);
  if (task.kind === 'anomaly') return [...names, ...names.map((name) => `log scale of ${name}`)].map(one);
  const horizon = outputs / names.length;
  return names.map((name, index) => ({ name, from: index * horizon, to: (index + 1) * horizon }));
}

interface Named {
  readonly float: readonly number[];
  readonly engine: readonly number[];
}

function namedClasses({ float, engine }: Logits, count: number): Named {
  const classes = (logits: Float32Array) =>
    Array.from({ length: logits.length / count }, (_, row) => {
      const own = logits.subarray(row * count, (row + 1) * count);
      return own.indexOf(Math.max(...own));
    });
  return { float: classes(float), engine: classes(engine) };
}

function compareGroup(
  { name, from, to }: Group,
  index: number,
  { float, engine }: Logits,
  count: number,
  named: Named | null,
): OutputComparison {
  const values: number[] = [];
  const differences: number[] = [];
  for (let row = 0; row * count < float.length; row++) {
    for (let at = row * count + from; at < row * count + to; at++) {
      values.push(float[at]!);
      differences.push(engine[at]! - float[at]!);
    }
  }
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const deviation = rootMeanSquare(values.map((value) => value - mean));
  const near = differences.filter((difference) => Math.abs(difference) <= deviation / 10).length;
  return {
    name,
    deviation,
    error: rootMeanSquare(differences),
    worst: differences.reduce((largest, difference) => Math.max(largest, Math.abs(difference)), 0),
    agreement: named ? recall(named, index) : near / differences.length,
  };
}

function recall({ float, engine }: Named, index: number): number {
  const rows = float.flatMap((own, row) => (own === index ? [row] : []));
  return rows.filter((row) => engine[row] === index).length / rows.length;
}

function rootMeanSquare(values: readonly number[]): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
