/** Faults of one channel, injected into rows without any, so that what a detector sees can be measured fault by fault. */
import type { Series } from '../recording/recording.ts';

export const faultNames = ['stuck', 'decoupled', 'noise', 'drift', 'shift', 'dropout'] as const;
export type FaultName = (typeof faultNames)[number];

/** In standard deviations of the channel: of the noise, of the step, and where a drift ends. */
const NOISE = 1;
const SHIFT = 2;
const DRIFT = 3;
/** Share of the values that a dropout loses. */
const LOSS = 0.8;

export interface Fault {
  readonly name: FaultName;
  readonly channel: number;
  /** The first row that is faulty; all after it are. */
  readonly onset: number;
  /** Of the channel, in its units. */
  readonly deviation: number;
  /** What a decoupled channel says instead: rows of the same channel from another time. */
  readonly elsewhere: Series;
}

/** A copy with the fault in it, labelled 1 from the onset on. `random`: 0 to 1. */
export function injectFault(series: Series, fault: Fault, random: () => number): Series {
  const channels = series.values.length / series.rows;
  const values = series.values.slice();
  const labels = new Int8Array(series.rows).fill(1, fault.onset);
  for (let row = fault.onset; row < series.rows; row++) {
    const at = row * channels + fault.channel;
    values[at] = faulty(
      fault,
      row,
      values[at]!,
      values[fault.onset * channels + fault.channel]!,
      series.rows,
      random,
    );
  }
  return { ...series, values, labels };
}

function faulty(
  { name, channel, onset, deviation, elsewhere }: Fault,
  row: number,
  value: number,
  first: number,
  rows: number,
  random: () => number,
): number {
  switch (name) {
    case 'stuck':
      return first;
    case 'decoupled': {
      const channels = elsewhere.values.length / elsewhere.rows;
      const other = (at: number) => elsewhere.values[(at % elsewhere.rows) * channels + channel]!;
      return first + other(row) - other(onset); // goes on from where it was
    }
    case 'noise':
      return value + NOISE * deviation * normal(random);
    case 'drift':
      return value + (DRIFT * deviation * (row - onset)) / (rows - onset);
    case 'shift':
      return value + SHIFT * deviation;
    case 'dropout':
      return random() < LOSS ? Number.NaN : value;
  }
}

/** Box and Muller. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
