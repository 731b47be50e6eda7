/** One CSV file of a recording as numbers. */
import { CsvReader } from './csv.ts';
import type { Recording } from './description.ts';
import { RecordingError, show } from './recording-error.ts';
import { parseTime } from './time.ts';

export interface Series {
  /** The file's name. */
  readonly name: string;
  readonly rows: number;
  /** [rows], milliseconds, strictly increasing. */
  readonly timeMs: Float64Array;
  /** [rows x channels] in the recording's channel order, physical units; NaN where a field was empty. */
  readonly values: Float64Array;
  /** [rows], index of the class, or 1 for an anomaly; null without a label column. */
  readonly labels: Int8Array | null;
  /** [rows], 1 at a change point; absent where the recording names no such column, or the file has none. */
  readonly changePoints?: Int8Array;
}

/** Rows `from` to `to` (excluded) as views of the same memory. */
export function sliceSeries(series: Series, from: number, to: number): Series {
  const channels = series.values.length / series.rows;
  return {
    name: series.name,
    rows: to - from,
    timeMs: series.timeMs.subarray(from, to),
    values: series.values.subarray(from * channels, to * channels),
    labels: series.labels?.subarray(from, to) ?? null,
    ...(series.changePoints && { changePoints: series.changePoints.subarray(from, to) }),
  };
}

interface Columns {
  readonly count: number;
  readonly time: number;
  readonly channels: readonly number[];
  /** -1: none. */
  readonly label: number;
  readonly changePoint: number;
}

/** Parses a whole CSV text. `file` is only a name. Throws RecordingError at the first thing that is wrong. */
export function parseSeries(recording: Recording, file: string, text: string): Series {
  const reader = new CsvReader(file, text);
  if (!reader.next()) throw new RecordingError(file, {}, 'expected a header line, got an empty file');
  const columns = findColumns(recording, file, reader.fields);
  const rows = new RowParser(recording, file, reader, columns);
  const times: number[] = [];
  const values: number[] = [];
  const labels: number[] = [];
  const changePoints: number[] = [];
  while (reader.next()) {
    rows.checkLength();
    times.push(rows.time(times.at(-1)));
    for (let channel = 0; channel < columns.channels.length; channel++) values.push(rows.value(channel));
    if (columns.label >= 0) labels.push(rows.label());
    if (columns.changePoint >= 0) changePoints.push(rows.changePoint());
  }
  if (times.length === 0) throw new RecordingError(file, {}, 'expected rows after the header, got none');
  return {
    name: file,
    rows: times.length,
    timeMs: Float64Array.from(times),
    values: Float64Array.from(values),
    labels: columns.label < 0 ? null : Int8Array.from(labels),
    ...(columns.changePoint >= 0 && { changePoints: Int8Array.from(changePoints) }),
  };
}

/** Every column must be named by the recording, every named one but label and ignored ones be there. */
function findColumns(recording: Recording, file: string, header: readonly string[]): Columns {
  const names = header.map((name) => name.trim());
  const channelNames = recording.channels.map(({ name }) => name);
  const { timeColumn, labelColumn, changePointColumn, ignoredColumns } = recording;
  const known = [timeColumn, ...channelNames, ...ignoredColumns, labelColumn, changePointColumn];
  for (const [index, name] of names.entries()) {
    const place = { line: 1, column: name };
    if (names.indexOf(name) !== index)
      throw new RecordingError(file, place, 'expected each column once, got it twice');
    if (!known.includes(name)) {
      throw new RecordingError(
        file,
        place,
        'expected a column that recording.json names (channels or ignore)',
      );
    }
  }
  const find = (column: string) => {
    const index = names.indexOf(column);
    if (index < 0)
      throw new RecordingError(file, { line: 1, column }, `expected this column, got ${names.join(', ')}`);
    return index;
  };
  const findIfThere = (column: string | undefined) => (column === undefined ? -1 : names.indexOf(column));
  return {
    count: names.length,
    time: find(timeColumn),
    channels: channelNames.map(find),
    label: findIfThere(labelColumn),
    changePoint: findIfThere(changePointColumn),
  };
}

/** Reads the reader's current row. */
class RowParser {
  readonly #recording: Recording;
  readonly #file: string;
  readonly #reader: CsvReader;
  readonly #columns: Columns;

  constructor(recording: Recording, file: string, reader: CsvReader, columns: Columns) {
    this.#recording = recording;
    this.#file = file;
    this.#reader = reader;
    this.#columns = columns;
  }

  checkLength(): void {
    const { length } = this.#reader.fields;
    if (length === this.#columns.count) return;
    throw this.#error(undefined, `expected ${this.#columns.count} fields, got ${length}`);
  }

  time(previous: number | undefined): number {
    const text = this.#reader.fields[this.#columns.time]!;
    const column = this.#recording.timeColumn;
    const timeMs = parseTime(text);
    if (Number.isNaN(timeMs)) {
      throw this.#error(column, `expected an ISO 8601 time or a number of seconds, got ${show(text)}`);
    }
    if (previous !== undefined && timeMs <= previous) {
      const problem = timeMs === previous ? 'the same time again' : 'an earlier one';
      throw this.#error(column, `expected a time later than the row before, got ${problem}: ${show(text)}`);
    }
    return timeMs;
  }

  value(channel: number): number {
    const text = this.#reader.fields[this.#columns.channels[channel]!]!.trim();
    if (text === '') return Number.NaN;
    const value = Number(text);
    if (Number.isFinite(value)) return value;
    throw this.#error(
      this.#recording.channels[channel]!.name,
      `expected a number or nothing, got ${show(text)}`,
    );
  }

  label(): number {
    const text = this.#reader.fields[this.#columns.label]!.trim();
    const { classes } = this.#recording;
    const count = classes?.length ?? 2;
    const label = classes?.includes(text) ? classes.indexOf(text) : Number(text === '' ? Number.NaN : text);
    if (Number.isInteger(label) && label >= 0 && label < count) return label;
    const expected = classes === undefined ? '0 or 1' : `0 to ${count - 1} or one of ${classes.join(', ')}`;
    throw this.#error(this.#recording.labelColumn!, `expected ${expected}, got ${show(text)}`);
  }

  changePoint(): number {
    const text = this.#reader.fields[this.#columns.changePoint]!.trim();
    const value = Number(text === '' ? Number.NaN : text);
    if (value === 0 || value === 1) return value;
    throw this.#error(this.#recording.changePointColumn!, `expected 0 or 1, got ${show(text)}`);
  }

  #error(column: string | undefined, problem: string): RecordingError {
    const place = column === undefined ? {} : { column };
    return new RecordingError(this.#file, { line: this.#reader.line, ...place }, problem);
  }
}
