/** Writes a recording while it happens: CSV files of bounded size and number, and the recording.json beside them. */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { median } from '../statistics/statistics.ts';
import type { RecordingTask } from './description.ts';
import { RecordingError } from './recording-error.ts';
import { parseTime } from './time.ts';

export interface RecordingLayout {
  readonly name: string;
  readonly source: string;
  readonly task: RecordingTask;
  readonly channels: readonly { readonly name: string; readonly unit: string }[];
  readonly classes: readonly string[];
  readonly horizon?: number;
  readonly hasLabels: boolean;
  /** Nominal seconds between rows; absent: the median of those that came. */
  readonly intervalS?: number;
}

export interface WriterLimits {
  /** A file that would grow beyond this is closed and the next one begun. */
  readonly fileBytes: number;
  /** Files kept; the oldest goes first. */
  readonly files: number;
}

/** A file of the recording. */
interface Part {
  readonly name: string;
  rows: number;
}

/** Fewer rows are no recording: nothing could be set aside to judge by. */
export const rowsMin = 20;
const gapsMax = 10_000;
const describeEachMs = 60_000;
const fileName = /^rows-(\d{6})\.csv$/;

/**
 * Rows go to memory, `flush` writes them. A power cut costs what was not flushed; a row that it cut in two is removed
 * when the same folder is written to again, which adds files to what is there.
 */
export class RecordingWriter {
  /** Rows added, and rows whose time was not later than that of the row before. */
  rows = 0;
  stale = 0;
  readonly #directory: string;
  readonly #layout: RecordingLayout;
  readonly #limits: WriterLimits;
  readonly #header: string;
  readonly #parts: Part[];
  #number: number;
  #file: FileHandle | undefined;
  #fileBytes = 0;
  #lines: string[] = [];
  #lastMs = Number.NEGATIVE_INFINITY;
  readonly #gapsMs: number[] = [];
  #flushing: Promise<void> = Promise.resolve();
  #describedMs = Number.NEGATIVE_INFINITY;

  /** Makes the folder, or goes on with what lies there. Throws RecordingError if that is another recording. */
  constructor(directory: string, layout: RecordingLayout, limits: WriterLimits) {
    this.#directory = directory;
    this.#layout = layout;
    this.#limits = limits;
    const names = [
      'time',
      ...layout.channels.map(({ name }) => name),
      ...(layout.hasLabels ? ['label'] : []),
    ];
    this.#header = `${names.map(quoted).join(',')}\n`;
    mkdirSync(directory, { recursive: true });
    this.#parts = this.#findParts();
    this.#number = Number(fileName.exec(this.#parts.at(-1)?.name ?? '')?.[1] ?? 0);
  }

  /** Rows in the files that are kept, those of earlier runs too. */
  get rowsKept(): number {
    return this.#parts.reduce((sum, { rows }) => sum + rows, this.#lines.length);
  }

  /** One row: values float64[channels], NaN where unknown; a label where there are labels. */
  add(timeMs: number, values: Float64Array, label: string | undefined): void {
    const rounded = Math.round(timeMs * 1000) / 1000;
    if (!(rounded > this.#lastMs)) {
      this.stale++;
      return;
    }
    if (Number.isFinite(this.#lastMs) && this.#gapsMs.length < gapsMax)
      this.#gapsMs.push(rounded - this.#lastMs);
    this.#lastMs = rounded;
    const fields = [
      timeText(rounded),
      ...Array.from(values, (value) => (Number.isFinite(value) ? `${value}` : '')),
    ];
    if (this.#layout.hasLabels) fields.push(quoted(label!));
    this.#lines.push(`${fields.join(',')}\n`);
    this.rows++;
  }

  /** Writes what waits in memory, one call after another. Rejects with what the disk says; then all of it still waits. */
  flush(nowMs = performance.now()): Promise<void> {
    const flushed = this.#flushing.then(() => this.#flush(nowMs));
    this.#flushing = flushed.catch(() => {});
    return flushed;
  }

  async #flush(nowMs: number): Promise<void> {
    if (this.#lines.length > 0) await this.#write();
    if (nowMs - this.#describedMs < describeEachMs) return;
    this.#describedMs = nowMs;
    this.#describe();
  }

  /** Flushes, describes, closes. */
  async close(): Promise<void> {
    await this.flush(Number.POSITIVE_INFINITY);
    await this.#file?.close();
    this.#file = undefined;
  }

  /** The description as it stands, or undefined while there are too few rows for one. */
  description(): Record<string, unknown> | undefined {
    const { name, source, task, channels, classes, horizon, hasLabels } = this.#layout;
    if (this.#parts.reduce((sum, { rows }) => sum + rows, 0) < rowsMin) return undefined;
    return {
      name,
      task,
      ...(task === 'classify' ? { classes } : {}),
      ...(horizon === undefined ? {} : { horizon }),
      time: 'time',
      ...(hasLabels ? { label: 'label' } : {}),
      channels: Object.fromEntries(channels.map((channel) => [channel.name, channel.unit])),
      intervalS: this.#layout.intervalS ?? medianSeconds(this.#gapsMs),
      source,
      ...splitOf(this.#parts.filter(({ rows }) => rows > 0)),
    };
  }

  async #write(): Promise<void> {
    const lines = this.#lines;
    const text = lines.join('');
    if (this.#file === undefined || this.#fileBytes + text.length > this.#limits.fileBytes)
      await this.#next();
    const bytes = Buffer.from(text);
    // At a place of our own: a refused write may have left a part behind.
    await this.#file!.write(bytes, 0, bytes.length, this.#fileBytes);
    await this.#file!.datasync();
    this.#fileBytes += bytes.length;
    this.#parts.at(-1)!.rows += lines.length;
    this.#lines = this.#lines.slice(lines.length);
  }

  async #next(): Promise<void> {
    const last = this.#file;
    this.#number++;
    const name = `rows-${String(this.#number).padStart(6, '0')}.csv`;
    const file = await open(join(this.#directory, name), 'w');
    await file.write(this.#header, 0);
    await last?.close();
    this.#file = file;
    this.#fileBytes = Buffer.byteLength(this.#header);
    this.#parts.push({ name, rows: 0 });
    while (this.#parts.length > this.#limits.files) {
      rmSync(join(this.#directory, this.#parts.shift()!.name), { force: true });
      this.#describedMs = Number.NEGATIVE_INFINITY;
    }
  }

  /** In one move: whoever reads it meanwhile sees the old one or the new one. */
  #describe(): void {
    const description = this.description();
    if (description === undefined) return;
    const path = join(this.#directory, 'recording.json');
    writeFileSync(`${path}.new`, `${JSON.stringify(description, null, 2)}\n`);
    renameSync(`${path}.new`, path);
  }

  #findParts(): Part[] {
    const names = readdirSync(this.#directory).filter((name) => name.endsWith('.csv'));
    return names.sort().map((name) => {
      const rows = fileName.test(name) ? this.#repair(name) : undefined;
      if (rows === undefined)
        throw new RecordingError(
          name,
          {},
          `expected a folder of its own, or a recording with the columns ${this.#header.trim()}`,
        );
      return { name, rows };
    });
  }

  /** Rows of a file of ours, after removing one that was cut in two; undefined: it is none of ours. */
  #repair(name: string): number | undefined {
    const path = join(this.#directory, name);
    const text = readFileSync(path, 'utf8');
    if (!text.startsWith(this.#header))
      return this.#header.startsWith(text) ? this.#restart(path) : undefined;
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    if (whole.length < text.length) truncateSync(path, Buffer.byteLength(whole));
    const lines = whole.split('\n');
    const last = lines.at(-2)!;
    if (lines.length > 2) this.#lastMs = Math.max(this.#lastMs, parseTime(last.slice(0, last.indexOf(','))));
    return lines.length - 2;
  }

  /** A file whose very header was cut. */
  #restart(path: string): number {
    writeFileSync(path, this.#header);
    return 0;
  }
}

/**
 * By time, so that nothing is judged on what lies between rows it was trained on: of one file its first 70 % to train, 15 % to
 * choose by, 15 % to judge by; of several the last that hold a fifth of the rows to judge by.
 */
export function splitOf(
  parts: readonly { readonly name: string; readonly rows: number }[],
): Record<string, unknown> {
  if (parts.length === 1) {
    const { name, rows } = parts[0]!;
    const [validation, test] = [Math.floor(rows * 0.7), Math.floor(rows * 0.85)];
    return {
      files: [name],
      rows: { train: [0, validation], validation: [validation, test], test: `${test}..end` },
    };
  }
  const total = parts.reduce((sum, { rows }) => sum + rows, 0);
  let first = parts.length;
  for (let rows = 0; first > 1 && rows < total / 5; ) rows += parts[--first]!.rows;
  const names = parts.map(({ name }) => name);
  return { train: names.slice(0, first), test: names.slice(first) };
}

/** ISO 8601, UTC; microseconds only where there are some. */
export function timeText(timeMs: number): string {
  const whole = Math.floor(timeMs);
  const micros = Math.round((timeMs - whole) * 1000);
  const text = new Date(whole).toISOString();
  return micros === 0 ? text : `${text.slice(0, -1)}${String(micros).padStart(3, '0')}Z`;
}

function medianSeconds(gapsMs: readonly number[]): number {
  return gapsMs.length === 0 ? 1 : Math.max(1, Math.round(median(gapsMs))) / 1000;
}

/** RFC 4180. */
function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
