/**
 * The rows that thresholds are fitted on: all that training may see and none that is scored. Rows that the model was
 * trained on and rows that were set aside are two groups, and what is asked must hold in both.
 */
import type { Model } from '../engine/model.ts';
import type { Recording, RowRange } from '../recording/recording.ts';
import {
  RecordingError,
  readSeries,
  resolveRange,
  type Series,
  sliceSeries,
} from '../recording/recording.ts';
import { splitLast } from '../train/dataset.ts';
import { Random } from '../train/random.ts';
import { defaultSettings } from '../train/settings.ts';
import { faultKinds, injectFault } from '../workloads/faults.ts';
import { loadProtocol, type Protocol } from './protocols.ts';

export interface TuneRows {
  readonly protocol: Protocol;
  /** [tests]: index of the group that a tested series belongs to. */
  readonly groupOf: readonly number[];
  readonly rows: number;
  /** Faults were injected into pieces that have no anomalies of their own. */
  readonly injected: boolean;
}

/** Reads the rows of a recording that was matched to the model. Throws RecordingError. */
export function loadTuneRows(model: Model, recording: Recording): TuneRows {
  const trained = load(recording, recording.train);
  const { train, validation } =
    recording.validation.length > 0
      ? { train: trained, validation: load(recording, recording.validation) }
      : splitLast(trained, defaultSettings.dataset.validationShare);
  const groups = [train, validation].map((series) => usable(recording, series));
  const lead = calibrationRowsOf(model);
  const pieces = groups.map((series) => series.flatMap((one) => inPieces(one, lead)));
  const played =
    recording.task === 'anomaly'
      ? pieces.map((series) => series.map((piece, at) => withAnomalies(model, piece, lead, at)))
      : groups;
  const tests = played.flat().map((series) => ({ series, scoredFrom: lead }));
  if (tests.length === 0) throw tooShort(recording);
  if (recording.task === 'classify')
    requireLabels(
      recording,
      tests.map(({ series }) => series),
    );
  // Only the standardiser of the train rows is wanted: nothing of the tests is read.
  const { standardiser, channels } = loadProtocol({ ...recording, test: [] });
  return {
    protocol: {
      recording: { ...recording, calibrationRows: 0 },
      channels,
      train: trained,
      tests,
      standardiser,
    },
    groupOf: played.flatMap((series, group) => series.map(() => group)),
    rows: tests.reduce((sum, { series }) => sum + series.rows, 0),
    injected: recording.task === 'anomaly' && pieces.flat().some(isHealthy),
  };
}

function load(recording: Recording, ranges: readonly RowRange[]): Series[] {
  const files = new Map<string, Series>();
  return ranges.map((range) => {
    const series = files.get(range.file) ?? readSeries(recording, range.file);
    files.set(range.file, series);
    const { from, to } = resolveRange(range, series);
    return sliceSeries(series, from, to);
  });
}

const ROWS_MIN = 20;

function usable({ horizon = 0 }: Recording, series: readonly Series[]): Series[] {
  return series.filter(({ rows }) => rows >= ROWS_MIN + horizon);
}

function tooShort({ name, horizon = 0 }: Recording): RecordingError {
  const expected = `expected training or validation rows, ${ROWS_MIN + horizon} of them in one piece`;
  return new RecordingError(name, {}, `${expected}, got none`);
}

function requireLabels(recording: Recording, tests: readonly Series[]): void {
  const bare = tests.find(({ labels }) => labels === null);
  if (bare === undefined) return;
  const place = recording.labelColumn === undefined ? {} : { line: 1, column: recording.labelColumn };
  throw new RecordingError(bare.name, place, 'expected a label column, since what is kept must be measured');
}

function isHealthy({ labels }: Series): boolean {
  return labels?.every((label) => label === 0) ?? true;
}

/** Rows by which a model with a control chart calibrates itself: the first of every piece, neither faulty nor scored. */
function calibrationRowsOf({ meaning: { task } }: Model): number {
  return task.kind === 'anomaly' ? (task.chart?.calibrationTicks ?? 0) : 0;
}

/** An anomaly's quality is bootstrapped over files: one long file becomes several. */
const PIECE_ROWS = 400;

/** Pieces of so many rows behind `lead` others, which are the rows of the pieces before. */
function inPieces(series: Series, lead: number): Series[] {
  const rows = series.rows - lead;
  if (rows < ROWS_MIN) return [];
  const pieces = Math.max(1, Math.floor(rows / PIECE_ROWS));
  return Array.from({ length: pieces }, (_, piece) =>
    sliceSeries(
      series,
      Math.floor((piece * rows) / pieces),
      lead + Math.floor(((piece + 1) * rows) / pieces),
    ),
  );
}

/** Training rows have few anomalies or none: what is ordinary gets faults. */
function withAnomalies(model: Model, piece: Series, lead: number, index: number): Series {
  return isHealthy(piece) ? withFaults(model, piece, lead, index) : piece;
}

/** Faults of a fifth of the rows behind `lead` each, in their second and fourth fifth, of every kind and channel in turn. */
function withFaults({ meaning }: Model, series: Series, lead: number, index: number): Series {
  const { channels } = meaning;
  const random = new Random(FAULT_SEED, index);
  const values = series.values.slice();
  const labels = new Int8Array(series.rows);
  const fifth = Math.floor((series.rows - lead) / 5);
  for (const [turn, from] of [lead + fifth, lead + 3 * fifth].entries()) {
    const number = 2 * index + turn;
    const kind = faultKinds[number % faultKinds.length]!;
    const channel = Math.floor(number / faultKinds.length) % channels.length;
    const size = (random.below(2) === 0 ? -1 : 1) * FAULT_SIGMAS * channels[channel]!.scale;
    injectFault(
      values,
      series.values,
      channels.length,
      { kind, channel, from, to: from + fifth, size },
      random,
    );
    labels.fill(1, from, from + fifth);
  }
  return { ...series, values, labels };
}

const FAULT_SEED = 0x5455;
const FAULT_SIGMAS = 3;
