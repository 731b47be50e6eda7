/** Recordings on disk: CSV files with a recording.json beside them, read into series. */
import { readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { parseDescription, type Recording, type RowRange } from './description.ts';
import { RecordingError } from './recording-error.ts';
import { parseSeries, type Series } from './series.ts';

export type { Recording, RecordingTask, RowRange } from './description.ts';
export { RecordingError } from './recording-error.ts';
export { type Series, sliceSeries } from './series.ts';

/** A text longer than this would not fit a JavaScript string. */
const fileBytesMax = 2 ** 28;

/**
 * Opens a directory with a recording.json, that file, or one CSV file beside a recording.json; that file then is the whole of
 * `test` (its listed rows, or all when it is not listed), while `train` and `validation` stay as they are.
 * Reads no CSV. Throws RecordingError.
 */
export function openRecording(path: string): Recording {
  const directory = isDirectory(path) ? path : dirname(path);
  const recording = naming(directory, () =>
    parseDescription(readText(directory, 'recording.json'), resolve(directory)),
  );
  const file = basename(path);
  return directory === path || file === 'recording.json' ? recording : onlyTestFile(recording, file);
}

function onlyTestFile(recording: Recording, file: string): Recording {
  const listed = recording.test.filter((range) => range.file === file);
  const all = [{ file, from: 0, to: Number.POSITIVE_INFINITY }];
  return listed.length > 0 ? { ...recording, test: listed } : { ...recording, test: all, calibrationRows: 0 };
}

/**
 * The same recording with these channels alone, in this order; its other channels' columns are read over. Throws
 * RecordingError if it has not all of them.
 */
export function selectChannels(recording: Recording, names: readonly string[]): Recording {
  const channels = names.map((name) => {
    const channel = recording.channels.find((known) => known.name === name);
    if (channel !== undefined) return channel;
    const has = recording.channels.map((known) => known.name).join(', ');
    throw new RecordingError(recording.name, {}, `expected a channel '${name}', got ${has}`);
  });
  const others = recording.channels.map(({ name }) => name).filter((name) => !names.includes(name));
  return { ...recording, channels, ignoredColumns: [...recording.ignoredColumns, ...others] };
}

/** The same recording without these channels. Throws RecordingError if it has not all of them, or no others. */
export function withoutChannels(recording: Recording, names: readonly string[]): Recording {
  selectChannels(recording, names);
  const left = recording.channels.map(({ name }) => name).filter((name) => !names.includes(name));
  if (left.length === 0)
    throw new RecordingError(recording.name, {}, 'expected a channel that is not left out');
  return names.length === 0 ? recording : selectChannels(recording, left);
}

/** The same recording with the change points that an ignored column holds. Throws RecordingError if it ignores no such column. */
export function withChangePoints(recording: Recording, column: string): Recording {
  const { name, ignoredColumns } = recording;
  if (recording.changePointColumn === column) return recording;
  if (!ignoredColumns.includes(column)) {
    const has = ignoredColumns.join(', ') || 'none';
    throw new RecordingError(
      name,
      {},
      `change points: expected one of the ignored columns (${has}), got '${column}'`,
    );
  }
  return {
    ...recording,
    changePointColumn: column,
    ignoredColumns: ignoredColumns.filter((ignored) => ignored !== column),
  };
}

/** Reads and checks one CSV file whole. Labels are null if the file has no label column. Throws RecordingError. */
export function readSeries(recording: Recording, file: string): Series {
  const { directory } = recording;
  return naming(directory, () => parseSeries(recording, file, readText(directory, file)));
}

/** The range's rows of its file, `to` made finite. Throws RecordingError if the file has not so many rows. */
export function resolveRange(range: RowRange, series: Series): RowRange {
  const to = Math.min(range.to, series.rows);
  if (range.from < to && (range.to === to || range.to === Number.POSITIVE_INFINITY)) return { ...range, to };
  const end = range.to === Number.POSITIVE_INFINITY ? 'end' : range.to;
  throw new RecordingError(range.file, {}, `expected rows ${range.from}..${end}, got ${series.rows} rows`);
}

function isDirectory(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw new RecordingError(path, {}, 'expected a recording, found nothing there');
  return found.isDirectory();
}

/** What is wrong with a file within `directory` names its whole path. */
function naming<T>(directory: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof RecordingError ? error.within(directory) : error;
  }
}

function readText(directory: string, file: string): string {
  const path = join(directory, file);
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || !found.isFile()) {
    throw new RecordingError(file, {}, 'expected a file, found none');
  }
  if (found.size > fileBytesMax) {
    throw new RecordingError(file, {}, `expected at most ${fileBytesMax} bytes, got ${found.size}`);
  }
  return readFileSync(path, 'utf8');
}
