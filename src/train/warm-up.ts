/** What was recorded just before a series, so that a model that looks far back can be scored from the first row on. */
import { type Series, sliceSeries } from '../recording/recording.ts';
import type { Dataset } from './dataset.ts';

/** A series that begins with rows which are there to be looked back on. */
export interface WarmedUp {
  readonly series: Series;
  /** So many. */
  readonly past: number;
}

/** Each with up to `rows` of the training rows that end one interval before its first. */
export function warmUp(dataset: Dataset, all: readonly Series[], rows: number): WarmedUp[] {
  return all.map((series) => {
    const before = rows === 0 ? undefined : dataset.train.find((one) => ends(dataset, one, series));
    if (before === undefined) return { series, past: 0 };
    const past = Math.min(rows, before.rows);
    return { series: join(sliceSeries(before, before.rows - past, before.rows), series), past };
  });
}

function ends({ intervalMs }: Dataset, { name, timeMs }: Series, next: Series): boolean {
  return name === next.name && next.timeMs[0]! - timeMs[timeMs.length - 1]! === intervalMs;
}

function join(first: Series, second: Series): Series {
  const labels = first.labels && second.labels && Int8Array.from([...first.labels, ...second.labels]);
  return {
    name: second.name,
    rows: first.rows + second.rows,
    timeMs: Float64Array.from([...first.timeMs, ...second.timeMs]),
    values: Float64Array.from([...first.values, ...second.values]),
    labels,
  };
}
