/** The rows on which lambda is judged: a recording's labelled files, and faults injected into its rows without any. */
import type { Recording, Series } from '../recording/recording.ts';
import { sliceSeries } from '../recording/recording.ts';
import { randomNumbers } from '../statistics/random.ts';
import { fillForward, fitStandardiser, knownMeans } from '../statistics/statistics.ts';
import { type Dataset, loadDataset } from '../train/dataset.ts';
import { defaultSettings } from '../train/settings.ts';
import { type FaultName, injectFault } from './faults.ts';
import { gateFeatureNames, gateFeatures } from './gate-features.ts';
import type { LabelledRows } from './lambda-value.ts';
import { loadProtocol } from './protocols.ts';

/** Rows of a stream with a fault: the references need 300. */
const SEGMENT_ROWS = 900;
const CALIBRATION_ROWS = 400;
/** The fault begins somewhere between; it lasts to the end. */
const ONSET = [500, 700] as const;
/** Channels of each segment that get the fault, one at a time. */
const CHANNELS_PER_SEGMENT = 3;
const SEED = 1;

/** The tested files' scored rows. Throws RecordingError if they have no labels. */
export function labelledRows(recording: Recording): LabelledRows {
  const dataset = loadDataset(recording, defaultSettings.dataset);
  const parts = loadProtocol(recording).tests.map(({ series, scoredFrom }, file) => ({
    ...part(series, dataset, Math.max(scoredFrom, 2)),
    file,
    from: scoredFrom,
  }));
  return joined(parts);
}

/** Normal rows: what a recording trains on, where that is labelled normal. */
export function normalSegments(recording: Recording): Series[] {
  const { train, validation } = loadDataset(recording, defaultSettings.dataset);
  return [...train, ...validation].flatMap((series) =>
    Array.from({ length: Math.floor(series.rows / SEGMENT_ROWS) }, (_, index) =>
      sliceSeries(series, index * SEGMENT_ROWS, (index + 1) * SEGMENT_ROWS),
    ),
  );
}

/**
 * The segments with one kind of fault in each, in several channels one after another, from the fault's onset on, and
 * beside each the same rows without the fault: nothing but the fault tells the two apart, least of all the time. A
 * segment is a file.
 */
export function faultyRows(recording: Recording, segments: readonly Series[], name: FaultName): LabelledRows {
  const dataset = loadDataset(recording, defaultSettings.dataset);
  const channels = dataset.channels.length;
  const random = randomNumbers(SEED);
  const parts = segments.flatMap((segment, file) => {
    const healthy = part({ ...segment, labels: new Int8Array(segment.rows) }, dataset, CALIBRATION_ROWS);
    return Array.from({ length: Math.min(CHANNELS_PER_SEGMENT, channels) }, (_, turn) => {
      const channel = (file * CHANNELS_PER_SEGMENT + turn) % channels;
      const onset = ONSET[0] + Math.floor(random() * (ONSET[1] - ONSET[0]));
      const elsewhere = segments[(file + Math.ceil(segments.length / 2)) % segments.length]!;
      const deviation = deviationOf(segment, channel, channels);
      const faulty = injectFault(segment, { name, channel, onset, deviation, elsewhere }, random);
      return [part(faulty, dataset, CALIBRATION_ROWS), healthy].map((one) => ({ ...one, file, from: onset }));
    }).flat();
  });
  return joined(parts);
}

function deviationOf(segment: Series, channel: number, channels: number): number {
  const rows = segment.values.subarray(0, CALIBRATION_ROWS * channels);
  const filled = fillForward(rows, knownMeans(rows, channels));
  return fitStandardiser(filled, channels).deviation[channel]!;
}

interface Part {
  readonly table: Float64Array;
  readonly labels: Int8Array;
  readonly file: number;
  readonly from: number;
}

function part(series: Series, { channels, spikes }: Dataset, calibrationRows: number) {
  return { table: gateFeatures(series, channels, spikes, calibrationRows), labels: series.labels! };
}

function joined(parts: readonly Part[]): LabelledRows {
  const width = gateFeatureNames.length;
  const rows = parts.reduce((sum, { labels, from }) => sum + labels.length - from, 0);
  const all = {
    table: new Float64Array(rows * width),
    labels: new Uint8Array(rows),
    files: new Int32Array(rows),
  };
  let at = 0;
  for (const { table, labels, file, from } of parts) {
    all.table.set(table.subarray(from * width), at * width);
    all.labels.set(labels.subarray(from), at);
    all.files.fill(file, at, at + labels.length - from);
    at += labels.length - from;
  }
  return all;
}
