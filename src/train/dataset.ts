/** The rows of a recording that training may see, split, and what they say of the channels. */
import type { Channel, FeatureSet, SpikeSettings, Task } from '../engine/model.ts';
import { calibrateChannels } from '../gate/calibrate-channels.ts';
import type { Recording, RowRange } from '../recording/recording.ts';
import {
  RecordingError,
  readSeries,
  resolveRange,
  type Series,
  sliceSeries,
} from '../recording/recording.ts';
import { median } from '../statistics/statistics.ts';
import { refuseClockChannels } from './clock-channels.ts';

export interface Dataset {
  readonly train: readonly Series[];
  readonly validation: readonly Series[];
  /** Neither trained nor validated on, but scored at the end; normally none. */
  readonly leftOut?: readonly Series[];
  readonly channels: readonly Channel[];
  /** Per channel, normalised: the level at which it rests, and how far that wanders through the training rows. */
  readonly restingLevel: readonly number[];
  readonly levelDrift: readonly number[];
  readonly intervalMs: number;
  readonly task: Task;
  /** The thresholds that the model ships with. */
  readonly spikes: SpikeSettings;
  /** What the model sees of each channel; default `changes`. */
  readonly features?: FeatureSet;
}

export interface DatasetSettings {
  readonly features: FeatureSet;
  /** Share of the training rows, the last ones, that becomes validation if the recording names none. */
  readonly validationShare: number;
  /** A channel fires when it moved this share of its interquartile range. */
  readonly deltaShare: number;
  readonly heartbeatIntervals: number;
  readonly refractoryIntervals: number;
  /** Ranges [from, to) of the training rows, counted through all of them, that are left out to be scored. */
  readonly leaveOut: readonly (readonly [from: number, to: number])[];
  /** Train even on a channel that only counts rows. */
  readonly allowClocks: boolean;
}

/** Of a control chart; docs/training.md says how they were chosen. */
const chartDefaults = {
  levelHalfLife: 3,
  surpriseHalfLife: 5,
  unit: 'average',
  release: 0.75,
  recovery: { share: 0.4, halfLife: 80, intervals: 10 },
} as const;
/** An alarm: T2 five times as large as it is on average. */
const CHART_THRESHOLD = 5;

/**
 * A class is named by the recording or by its number. An anomaly's threshold is set after training, but where devices
 * calibrate themselves.
 */
export function taskOf(recording: Recording): Task {
  if (recording.task === 'classify') return { kind: 'classify', classes: recording.classes ?? [] };
  if (calibrates(recording)) {
    const chart = { calibrationTicks: recording.calibrationRows, ...chartDefaults };
    return { kind: 'anomaly', threshold: CHART_THRESHOLD, chart };
  }
  if (recording.task === 'anomaly') return { kind: 'anomaly', threshold: 0 };
  return { kind: 'forecast', horizon: recording.horizon ?? 1 };
}

/** Outputs of a model for this task. */
export function outputCount(task: Task, channels: number): number {
  if (task.kind === 'classify') return task.classes.length;
  return channels * (task.kind === 'anomaly' ? 2 : task.horizon);
}

/** Reads the training (and validation) rows and nothing else. Throws RecordingError. */
export function loadDataset(recording: Recording, settings: DatasetSettings): Dataset {
  const cache = new Map<string, Series>();
  const load = (ranges: readonly RowRange[]) => ranges.map((range) => loadRange(recording, range, cache));
  const read = leaveOut(load(recording.train), settings.leaveOut);
  const calibrated = calibrates(recording) ? calibrateSeries(recording, read.kept) : undefined;
  const all = calibrated?.series ?? read.kept;
  const { leftOut } = read;
  if (all.length === 0)
    throw new RecordingError(recording.name, {}, 'expected training rows that are not left out');
  const { train, validation } =
    recording.validation.length > 0
      ? { train: all, validation: load(recording.validation) }
      : splitLast(all, settings.validationShare);
  if (!settings.allowClocks) refuseClockChannels(recording, all);
  const columns = recording.channels.map((_, channel) => column(train, channel, recording.channels.length));
  const count = recording.channels.length;
  const channels =
    calibrated?.channels ??
    recording.channels.map((channel, index) => ({ ...channel, ...normaliser(columns[index]!) }));
  const rows = channels.map((channel, index) => normalised(train, channel, index, count));
  const labels = recording.task === 'classify' ? train.flatMap((one) => [...(one.labels ?? [])]) : null;
  return {
    train,
    validation,
    leftOut,
    channels,
    restingLevel: rows.map(restingLevel),
    levelDrift: rows.map((values) => {
      const blockRows = driftBlockRows(values.length, recording.intervalMs);
      return labels === null ? levelDrift(values, blockRows) : classDrift(values, labels, blockRows);
    }),
    intervalMs: recording.intervalMs,
    task: taskOf(recording),
    features: settings.features,
    spikes: {
      delta: columns.map((values) => significant(settings.deltaShare * spread(values))),
      heartbeat: Array(count).fill(settings.heartbeatIntervals),
      refractory: Array(count).fill(settings.refractoryIntervals),
    },
  };
}

/** Whether devices calibrate themselves: each file begins with rows for that. */
function calibrates({ task, calibrationRows }: Recording): boolean {
  return task === 'anomaly' && calibrationRows >= 2;
}

/** Longer series than this many calibrations are cut: what was learned at the start is true for a while. */
const CALIBRATIONS_MAX = 3;

/**
 * Every series as a device sees it that has calibrated itself by its first rows, but all in the units of the same
 * channels: those in the middle of all.
 */
export function calibrateSeries(
  { channels, calibrationRows }: Pick<Recording, 'channels' | 'calibrationRows'>,
  series: readonly Series[],
): { series: Series[]; channels: Channel[] } {
  const pieces = series.flatMap((one) => cutSeries(one, CALIBRATIONS_MAX * calibrationRows));
  const own = (fallback: readonly Channel[]) =>
    pieces.map(({ values }) =>
      calibrateChannels(fallback, values.subarray(0, calibrationRows * channels.length)),
    );
  const raw = own(channels.map((channel) => ({ ...channel, center: 0, scale: 0 })));
  const middle = (index: number, key: 'center' | 'scale') =>
    significant(median(raw.map((calibrated) => calibrated[index]![key])));
  const shared = channels.map((channel, index) => ({
    ...channel,
    center: middle(index, 'center'),
    scale: middle(index, 'scale') || 1,
  }));
  const calibrated = own(shared);
  return {
    series: pieces.map((piece, index) => inUnitsOf(shared, calibrated[index]!, piece)),
    channels: shared,
  };
}

function cutSeries(series: Series, rows: number): Series[] {
  const count = Math.max(1, Math.round(series.rows / rows));
  const edge = (piece: number) => Math.round((piece * series.rows) / count);
  return Array.from({ length: count }, (_, piece) => sliceSeries(series, edge(piece), edge(piece + 1)));
}

function inUnitsOf(shared: readonly Channel[], own: readonly Channel[], series: Series): Series {
  const values = series.values.map((value, i) => {
    const channel = i % shared.length;
    const { center, scale } = shared[channel]!;
    return center + (scale * (value - own[channel]!.center)) / own[channel]!.scale;
  });
  return { ...series, values };
}

function loadRange(recording: Recording, range: RowRange, cache: Map<string, Series>): Series {
  const series = cache.get(range.file) ?? readSeries(recording, range.file);
  cache.set(range.file, series);
  const { from, to } = resolveRange(range, series);
  return sliceSeries(series, from, to);
}

/** Cuts ranges of rows, counted through all series, out of them. Ranges may come in any order. */
export function leaveOut(
  series: readonly Series[],
  ranges: DatasetSettings['leaveOut'],
): { kept: readonly Series[]; leftOut: readonly Series[] } {
  const kept: Series[] = [];
  const leftOut: Series[] = [];
  let start = 0;
  for (const one of series) {
    const inside = (row: number) => ranges.some(([from, to]) => start + row >= from && start + row < to);
    for (let from = 0, to = 0; from < one.rows; from = to) {
      const isOut = inside(from);
      while (to < one.rows && inside(to) === isOut) to++;
      (isOut ? leftOut : kept).push(sliceSeries(one, from, to));
    }
    start += one.rows;
  }
  return { kept, leftOut };
}

/** Sets the last `share` of all rows aside, in reading order, cutting at most one series. */
export function splitLast(
  series: readonly Series[],
  share: number,
): { train: readonly Series[]; validation: readonly Series[] } {
  const total = series.reduce((sum, { rows }) => sum + rows, 0);
  let before = total - Math.floor(total * share);
  const train: Series[] = [];
  const validation: Series[] = [];
  for (const one of series) {
    const kept = Math.min(one.rows, before);
    before -= kept;
    if (kept > 0) train.push(sliceSeries(one, 0, kept));
    if (kept < one.rows) validation.push(sliceSeries(one, kept, one.rows));
  }
  return { train, validation };
}

/** All known values of one channel, sorted. */
function column(series: readonly Series[], channel: number, channels: number): Float64Array {
  const values: number[] = [];
  for (const one of series) {
    for (let row = 0; row < one.rows; row++) {
      const value = one.values[row * channels + channel]!;
      if (!Number.isNaN(value)) values.push(value);
    }
  }
  return Float64Array.from(values).sort();
}

/** Mean and standard deviation; a channel that never moves keeps its unit. */
function normaliser(sorted: Float64Array): { center: number; scale: number } {
  if (sorted.length === 0) return { center: 0, scale: 1 };
  const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  const variance = sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / sorted.length;
  const deviation = Math.sqrt(variance);
  return { center: significant(mean), scale: deviation > 0 ? significant(deviation) : 1 };
}

const DRIFT_BLOCKS = 6;
const DRIFT_DAYS_MIN = 3;
const DAY_MS = 86_400_000;
const LEVEL_BIN = 0.25;

/** All values of one channel in reading order, normalised, NaN where unknown. */
function normalised(
  series: readonly Series[],
  { center, scale }: Channel,
  index: number,
  channels: number,
): number[] {
  return series.flatMap((one) =>
    Array.from({ length: one.rows }, (_, row) => (one.values[row * channels + index]! - center) / scale),
  );
}

/**
 * Standard deviation of the resting level from block to block of `blockRows` rows. A level that wanders will be
 * elsewhere again when the model is used.
 */
export function levelDrift(values: readonly number[], blockRows: number): number {
  const levels: number[] = [];
  for (let start = 0; start === 0 || start + blockRows / 2 <= values.length; start += blockRows) {
    levels.push(restingLevel(values.slice(start, start + blockRows)));
  }
  return deviationOf(levels);
}

/**
 * The same for a classifier, which knows more: how far the mean of a channel wanders from block to block while the
 * class is the same. The largest over the classes; what goes with the class is no drift.
 */
export function classDrift(values: readonly number[], labels: readonly number[], blockRows: number): number {
  const cells = new Map<number, Map<number, { sum: number; count: number }>>();
  for (const [row, value] of values.entries()) {
    const label = labels[row] ?? -1;
    if (label < 0 || Number.isNaN(value)) continue;
    const blocks = cells.get(label) ?? new Map<number, { sum: number; count: number }>();
    cells.set(label, blocks);
    const block = Math.floor(row / blockRows);
    const cell = blocks.get(block) ?? { sum: 0, count: 0 };
    blocks.set(block, { sum: cell.sum + value, count: cell.count + 1 });
  }
  const drifts = [...cells.values()].map((blocks) =>
    deviationOf(
      [...blocks.values()]
        .filter(({ count }) => count >= blockRows / 24)
        .map(({ sum, count }) => sum / count),
    ),
  );
  return Math.max(0, ...drifts);
}

/** Population deviation; 0 of nothing. */
function deviationOf(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, values.length));
}

/** A day, so that a daily rhythm counts as no drift; of a recording of less than three days, a sixth. */
function driftBlockRows(rows: number, intervalMs: number): number {
  const day = Math.round(DAY_MS / intervalMs);
  return rows >= DRIFT_DAYS_MIN * day ? day : Math.ceil(rows / DRIFT_BLOCKS);
}

/** The middle of the fullest bin, a quarter of a standard deviation wide. */
export function restingLevel(values: readonly number[]): number {
  const counts = new Map<number, number>();
  let fullest = 0;
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    const bin = Math.floor(value / LEVEL_BIN);
    counts.set(bin, (counts.get(bin) ?? 0) + 1);
    if (counts.get(bin)! > (counts.get(fullest) ?? 0)) fullest = bin;
  }
  return (fullest + 0.5) * LEVEL_BIN;
}

/** Interquartile range; of a channel that rests for most of the time, the standard deviation. */
function spread(sorted: Float64Array): number {
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  return at(0.75) - at(0.25) || normaliser(sorted).scale;
}

/** Six significant digits: what people read in a model file is what it computes with. */
function significant(value: number): number {
  return Number(value.toPrecision(6));
}
