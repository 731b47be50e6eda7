import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openRecording, readSeries } from '../../src/recording/recording.ts';
import { type RecordingLayout, RecordingWriter, splitOf, timeText } from '../../src/recording/writer.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-writer-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const startMs = Date.UTC(2026, 0, 1);
const layout: RecordingLayout = {
  name: 'desk',
  source: 'a test',
  task: 'classify',
  channels: [
    { name: 'a,b', unit: 'Celsius' },
    { name: 'c', unit: '%' },
  ],
  classes: ['idle', 'say "hi"'],
  hasLabels: true,
};
const limits = { fileBytes: 1 << 20, files: 4 };

function fill(writer: RecordingWriter, rows: number, from = 0): void {
  for (let row = from; row < from + rows; row++) {
    const values = Float64Array.of(row / 3, row % 5 === 0 ? Number.NaN : -row);
    writer.add(startMs + row * 1000, values, layout.classes[row % 2]);
  }
}

test('what was written is what is read', async () => {
  const writer = new RecordingWriter(directory, layout, limits);
  fill(writer, 100);
  await writer.close();
  const recording = openRecording(directory);
  expect(recording).toMatchObject({
    name: 'desk',
    task: 'classify',
    intervalMs: 1000,
    classes: layout.classes,
  });
  expect(recording.channels).toEqual(layout.channels);
  expect([recording.train, recording.validation, recording.test].map(([range]) => range)).toMatchObject([
    { from: 0, to: 70 },
    { from: 70, to: 85 },
    { from: 85 },
  ]);
  const series = readSeries(recording, 'rows-000001.csv');
  expect(series.rows).toBe(100);
  expect(series.timeMs[99]).toBe(startMs + 99_000);
  expect(series.values[2 * 7]).toBe(7 / 3);
  expect(series.values[2 * 5 + 1]).toBeNaN();
  expect([...series.labels!.subarray(0, 3)]).toEqual([0, 1, 0]);
});

test('it is a recording while it is being written, and after a cut at any byte of the last row', async () => {
  const writer = new RecordingWriter(directory, layout, limits);
  fill(writer, 40);
  await writer.flush(0);
  expect(openRecording(directory).test[0]!.from).toBe(34);
  await writer.close();
  const path = join(directory, 'rows-000001.csv');
  const whole = readFileSync(path, 'utf8');
  const row = '2026-01-01T00:00:40.000Z,13.3,-40,idle\n';
  for (let cut = 1; cut < row.length; cut++) {
    writeFileSync(path, whole + row.slice(0, cut));
    expect(new RecordingWriter(directory, layout, limits).rowsKept).toBe(40);
    expect(readFileSync(path, 'utf8')).toBe(whole);
  }
});

test('a folder is gone on with: later files, later times', async () => {
  const first = new RecordingWriter(directory, layout, limits);
  fill(first, 50);
  await first.close();
  const second = new RecordingWriter(directory, layout, limits);
  fill(second, 30, 40);
  expect([second.rows, second.stale]).toEqual([20, 10]);
  await second.close();
  const recording = openRecording(directory);
  expect(recording.train.map(({ file }) => file)).toEqual(['rows-000001.csv']);
  expect(recording.test.map(({ file }) => file)).toEqual(['rows-000002.csv']);
  expect(readSeries(recording, 'rows-000002.csv').rows).toBe(20);
});

test('a folder with other columns, or with files of somebody else, is left alone', async () => {
  const writer = new RecordingWriter(directory, layout, limits);
  fill(writer, 25);
  await writer.close();
  const other = { ...layout, channels: [{ name: 'x', unit: '' }] };
  expect(() => new RecordingWriter(directory, other, limits)).toThrow('expected a folder of its own');
  writeFileSync(join(directory, 'mine.csv'), 'hello\n');
  expect(() => new RecordingWriter(directory, layout, limits)).toThrow(
    'mine.csv: expected a folder of its own',
  );
});

test('files are bounded in size and number, and the description names those that are left', async () => {
  const writer = new RecordingWriter(directory, layout, { fileBytes: 2000, files: 3 });
  for (let row = 0; row < 300; row += 20) {
    fill(writer, 20, row);
    await writer.flush(0);
  }
  await writer.close();
  const files = readdirSync(directory).filter((name) => name.endsWith('.csv'));
  expect(files).toHaveLength(3);
  for (const file of files) expect(readFileSync(join(directory, file)).length).toBeLessThanOrEqual(2000);
  const recording = openRecording(directory);
  expect([...recording.train, ...recording.test].map(({ file }) => file)).toEqual(files.sort());
  expect(readSeries(recording, recording.test.at(-1)!.file).timeMs.at(-1)).toBe(startMs + 299_000);
});

test('too few rows are no recording', async () => {
  const writer = new RecordingWriter(directory, layout, limits);
  fill(writer, 19);
  await writer.close();
  expect(readdirSync(directory)).toEqual(['rows-000001.csv']);
});

test('rows that the disk refused are written when it takes them, once', async () => {
  const writer = new RecordingWriter(directory, layout, limits);
  rmSync(directory, { recursive: true });
  fill(writer, 30);
  await expect(writer.flush()).rejects.toThrow('ENOENT');
  mkdirSync(directory);
  await Promise.all([writer.flush(), writer.flush()]);
  await writer.close();
  expect(readSeries(openRecording(directory), openRecording(directory).train[0]!.file).rows).toBe(30);
});

test('times: milliseconds, and microseconds where the clock was finer', () => {
  expect(timeText(startMs + 5)).toBe('2026-01-01T00:00:00.005Z');
  expect(timeText(startMs + 5.25)).toBe('2026-01-01T00:00:00.005250Z');
});

test('splits are by time: of several files the last with a fifth of the rows are judged by', () => {
  const parts = [5, 5, 5, 2, 2].map((rows, index) => ({ name: `f${index}`, rows }));
  expect(splitOf(parts)).toEqual({ train: ['f0', 'f1', 'f2'], test: ['f3', 'f4'] });
  expect(splitOf(parts.slice(0, 2))).toEqual({ train: ['f0'], test: ['f1'] });
});
