/** What is shown to whom, and what is scored: the three tasks' protocols, shared by the model and its rivals. */
import {
  type Recording,
  RecordingError,
  readSeries,
  resolveRange,
  type Series,
  sliceSeries,
} from '../recording/recording.ts';
import { fillForward, fitStandardiser, knownMeans, type Standardiser } from '../statistics/statistics.ts';
import { alarmMetric, averagePrecision, Confusion, ForecastError, type Metric } from './metrics.ts';

/** One file that is tested. */
export interface TestSeries {
  /** From the file's first row to the end of its tested rows. */
  readonly series: Series;
  /** Rows before this one may warm up or calibrate; they are not scored. */
  readonly scoredFrom: number;
}

export interface Protocol {
  readonly recording: Recording;
  readonly channels: number;
  /** Rows that rivals may be fitted on. */
  readonly train: readonly Series[];
  readonly tests: readonly TestSeries[];
  /** By the train rows, per channel: forecasts are scored in its units. */
  readonly standardiser: Standardiser;
}

/** Reads every file of a recording. Throws RecordingError. */
export function loadProtocol(recording: Recording): Protocol {
  const files = new Map<string, Series>();
  const read = (file: string) => {
    const series = files.get(file) ?? readSeries(recording, file);
    files.set(file, series);
    return series;
  };
  const cut = (range: Recording['train'][number]) => {
    const { from, to } = resolveRange(range, read(range.file));
    return sliceSeries(read(range.file), from, to);
  };
  const tests = recording.test.map((range) => {
    const { from, to } = resolveRange(range, read(range.file));
    return { series: sliceSeries(read(range.file), 0, to), scoredFrom: from };
  });
  if (recording.task !== 'forecast') requireLabels(recording, tests);
  const channels = recording.channels.length;
  const train = recording.train.map(cut);
  const standardiser = fitStandardiser(concatenate(train, channels), channels);
  return { recording, channels, train, tests, standardiser };
}

function requireLabels(recording: Recording, tests: readonly TestSeries[]): void {
  for (const { series } of tests) {
    if (series.labels !== null) continue;
    const column = recording.labelColumn;
    const place = column === undefined ? {} : { line: 1, column };
    throw new RecordingError(series.name, place, 'expected a label column, since this file is scored');
  }
}

/** All rows of several series below each other, unknown values filled. */
export function concatenate(parts: readonly Series[], channels: number): Float64Array {
  const values = new Float64Array(parts.reduce((sum, part) => sum + part.values.length, 0));
  let at = 0;
  for (const part of parts) {
    values.set(fillForward(part.values, knownMeans(part.values, channels)), at);
    at += part.values.length;
  }
  return values;
}

/** `predictions[file][row]` is a class index; every row of each file is given, the scored ones count. */
export function scoreClasses(protocol: Protocol, predictions: readonly ArrayLike<number>[]): Metric {
  const classes = protocol.recording.classes!.length;
  const all = new Confusion(classes);
  const perFile: Metric = {};
  for (const [index, { series, scoredFrom }] of protocol.tests.entries()) {
    const own = new Confusion(classes);
    for (let row = scoredFrom; row < series.rows; row++) {
      own.add(series.labels![row]!, predictions[index]![row]!);
      all.add(series.labels![row]!, predictions[index]![row]!);
    }
    perFile[`accuracy:${series.name}`] = own.accuracy();
  }
  return {
    accuracy: all.accuracy(),
    balancedAccuracy: all.balancedAccuracy(),
    macroF1: all.macroF1(),
    ...perFile,
  };
}

/** Scores of one file, and what makes an alarm of them. */
export interface AlarmScores {
  /** [rows], higher is stranger. */
  readonly scores: Float64Array;
  /** What an ordinary score is, and the score that is an alarm; from rows that are not scored. */
  readonly ordinary: number;
  readonly limit: number;
}

/** Point-wise over the scored rows of all files together. */
export function scoreAlarms(protocol: Protocol, files: readonly AlarmScores[]): Metric {
  const labels: number[] = [];
  const alarms: number[] = [];
  const relative: number[] = [];
  for (const [index, { series, scoredFrom }] of protocol.tests.entries()) {
    const { scores, ordinary, limit } = files[index]!;
    for (let row = scoredFrom; row < series.rows; row++) {
      labels.push(series.labels![row]!);
      alarms.push(scores[row]! >= limit ? 1 : 0);
      // Files have scores of different size; only their distance to the file's own limit can be ranked together.
      relative.push((scores[row]! - ordinary) / (limit - ordinary));
    }
  }
  return { ...alarmMetric(labels, alarms), auprc: averagePrecision(labels, relative) };
}

/**
 * The limit is so many times as far from an ordinary score as the strangest calibration row: the same rule for the model
 * and its rivals. `skip` rows at the start, where a stream knows nothing yet, do not calibrate.
 */
export function calibrate(
  scores: Float64Array,
  { scoredFrom }: TestSeries,
  { ordinary, factor, skip }: { ordinary: number; factor: number; skip: number },
): AlarmScores {
  let strangest = ordinary + 1e-9;
  for (let row = Math.min(skip, scoredFrom - 1); row < scoredFrom; row++) {
    strangest = Math.max(strangest, scores[row]!);
  }
  return { scores, ordinary, limit: ordinary + factor * (strangest - ordinary) };
}

/**
 * Rows that are counted. Forecast: rows after which one is scored; the first window begins with the first tested row, the
 * last one ends with the last.
 */
export function scoredSpan(
  recording: Recording,
  { series, scoredFrom }: TestSeries,
): { from: number; to: number } {
  if (recording.task !== 'forecast') return { from: scoredFrom, to: series.rows };
  return { from: Math.max(scoredFrom - 1, 0), to: series.rows - recording.horizon! };
}

/** Scores forecasts made one after the other. Values are in physical units, errors in z units of the train rows. */
export class ForecastScore {
  readonly #error = new ForecastError();
  readonly #protocol: Protocol;

  constructor(protocol: Protocol) {
    this.#protocol = protocol;
  }

  /**
   * `values`: [channels x horizon], channel-major; made after row `origin` of `series`. Unknown truths do not count.
   * Returns the sum of this window's squared errors.
   */
  add(series: Series, origin: number, values: ArrayLike<number>): number {
    const { channels, standardiser, recording } = this.#protocol;
    const horizon = recording.horizon!;
    let squares = 0;
    for (let channel = 0; channel < channels; channel++) {
      const scale = standardiser.deviation[channel]!;
      for (let ahead = 0; ahead < horizon; ahead++) {
        const actual = series.values[(origin + 1 + ahead) * channels + channel]!;
        if (Number.isNaN(actual)) continue;
        squares += this.#error.add(values[channel * horizon + ahead]! / scale, actual / scale);
      }
    }
    return squares;
  }

  metric(): Metric {
    return this.#error.metric();
  }
}
