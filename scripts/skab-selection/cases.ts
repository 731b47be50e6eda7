/**
 * Rows to select a control chart on: none that are scored, faults at random times in half of them. A case is a plant that
 * is calibrated on its first rows and judged on the others.
 */
import { calibrateChannels } from '../../src/gate/calibrate-channels.ts';
import {
  type Recording,
  readSeries,
  resolveRange,
  type Series,
  sliceSeries,
} from '../../src/recording/recording.ts';
import { fillForward, knownMeans } from '../../src/statistics/statistics.ts';
import { Random } from '../../src/train/random.ts';
import { injectPumpFault, pumpFaults } from './pump-faults.ts';

/** `stretch`: of the long series, as long as a tested file. `half`: of the rows that calibrate a tested file, one half the other. */
export const caseKinds = ['stretch', 'half'] as const;
export type CaseKind = (typeof caseKinds)[number];

export interface Case {
  readonly kind: CaseKind;
  /** Of the series that it comes from: what is resampled. */
  readonly origin: string;
  /** With labels and change points. */
  readonly series: Series;
  readonly calibrationRows: number;
  readonly fault: string;
}

/** Rows after the calibration, of a stretch. */
const STRETCH_ROWS = 760;
const STRETCHES = 8;
/** A run's share of the rows after the calibration; what the protocol says of the scored rows lies in the middle. */
const SHARE_MIN = 0.3;
const SHARE_MAX = 0.75;

/** The rows that training may see, and not one more. Throws RecordingError. */
export function trainingSeries(recording: Recording): Series[] {
  return recording.train.map((range) => {
    const series = readSeries(recording, range.file);
    const { from, to } = resolveRange(range, series);
    return sliceSeries(series, from, to);
  });
}

/** One random set of cases: number `set`. Stretches begin anywhere, faults too. */
export function makeCases(recording: Recording, training: readonly Series[], set: number): Case[] {
  const random = new Random(0x534b4142, set);
  const { calibrationRows } = recording;
  const long = training.filter(({ rows }) => rows > 2 * calibrationRows);
  const short = training.filter(({ rows }) => rows === calibrationRows);
  const stretches = long.flatMap((series) =>
    Array.from({ length: STRETCHES }, () => {
      const from = random.below(series.rows - calibrationRows - STRETCH_ROWS + 1);
      const stretch = sliceSeries(series, from, from + calibrationRows + STRETCH_ROWS);
      return { ...stretch, name: `${series.name}, part ${Math.floor(from / stretch.rows)}` };
    }),
  );
  const half = Math.floor(calibrationRows / 2);
  return [
    ...stretches.map((series, turn) =>
      makeCase(
        recording,
        'stretch',
        series,
        calibrationRows,
        stretches[(turn + 1) % STRETCHES]!,
        set + turn,
        random,
      ),
    ),
    ...short.map((series, turn) =>
      makeCase(recording, 'half', series, half, short[(turn + 1) % short.length]!, set + turn, random),
    ),
  ];
}

/** Faults take turns. */
function makeCase(
  { channels }: Recording,
  kind: CaseKind,
  healthy: Series,
  calibrationRows: number,
  elsewhere: Series,
  turn: number,
  random: Random,
): Case {
  const count = channels.length;
  const values = fillForward(healthy.values, knownMeans(healthy.values, count));
  const labels = new Int8Array(healthy.rows);
  const judged = healthy.rows - calibrationRows;
  const length = Math.round(judged * (SHARE_MIN + (SHARE_MAX - SHARE_MIN) * random.uniform()));
  const from = calibrationRows + random.below(judged - length + 1);
  const own = calibrateChannels(
    channels.map((channel) => ({ ...channel, center: 0, scale: 0 })),
    values.subarray(0, calibrationRows * count),
  );
  const names = Object.keys(pumpFaults);
  // Every other fault is a generic one.
  const fault = turn % 2 === 0 ? 'generic' : names[Math.floor(turn / 2) % (names.length - 1)]!;
  const deviations = own.map(({ scale }) => scale);
  injectPumpFault(
    values,
    channels.map(({ name }) => name),
    { from, to: from + length },
    pumpFaults[fault]!,
    deviations,
    inUnitsOf(values, elsewhere.values, count, calibrationRows),
    random,
  );
  labels.fill(1, from, from + length);
  const changePoints = new Int8Array(healthy.rows);
  changePoints[from] = 1;
  if (from + length < healthy.rows) changePoints[from + length] = 1;
  return {
    kind,
    origin: healthy.name,
    series: { ...healthy, values, labels, changePoints },
    calibrationRows,
    fault,
  };
}

/** Other rows, moved to the means that `values` has while calibrating. */
function inUnitsOf(values: Float64Array, other: Float64Array, count: number, rows: number): Float64Array {
  const [mine, theirs] = [values, other].map((all) => knownMeans(all.subarray(0, rows * count), count));
  return other.map((value, i) => value - theirs![i % count]! + mine![i % count]!);
}
