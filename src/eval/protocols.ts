/** What is shown to whom, and which rows are scored: the three tasks' protocols, shared by the model and its rivals. */
import {
  type Recording,
  RecordingError,
  readSeries,
  resolveRange,
  type Series,
  sliceSeries,
} from '../recording/recording.ts';
import { fillForward, fitStandardiser, knownMeans, type Standardiser } from '../statistics/statistics.ts';

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

/** Scores of one file, and what makes an alarm of them. */
export interface AlarmScores {
  /** [rows], higher is stranger. */
  readonly scores: Float64Array;
  /** What an ordinary score is, and the score that is an alarm; from rows that are not scored. */
  readonly ordinary: number;
  readonly limit: number;
  /** [rows], 1 where an alarm stands; absent: where a score reaches the limit. */
  readonly alarms?: Int8Array;
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
