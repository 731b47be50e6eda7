import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { crc32 } from '../../../src/engine/crc32.ts';
import { headerBytes, readRecordFile } from '../../../src/gateway/disk/record-file.ts';
import {
  logFileName,
  logFileNumbers,
  RecordLog,
  type RecordLogOptions,
} from '../../../src/gateway/disk/record-log.ts';

/** A double and its checksum. */
const recordBytes = 12;
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-log-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function open(options: Partial<RecordLogOptions> = {}) {
  return RecordLog.open({
    directory,
    name: 'witness',
    recordBytes,
    fileBytes: 1 << 20,
    files: 3,
    flushMs: 60_000,
    ...options,
  });
}

function add(log: RecordLog, value: number) {
  log.append((into, offset) => {
    into.setFloat64(offset, value, true);
    into.setUint32(offset + 8, crc32(new Uint8Array(into.buffer, into.byteOffset + offset, 8)), true);
  });
}

function stored(number = 1): number[] {
  const file = readRecordFile(readFileSync(join(directory, logFileName('witness', number))));
  return Array.from({ length: file.count }, (_, index) => file.record(index).readDoubleLE());
}

test('keeps what was appended, over several runs', async () => {
  for (const values of [[1, 2], [3], []]) {
    const log = await open();
    for (const value of values) add(log, value);
    await log.close();
  }
  expect(stored()).toEqual([1, 2, 3]);
});

test('writes a batch when it is full, without being told', async () => {
  const log = await open({ batchRecords: 4 });
  for (let value = 0; value < 8; value++) add(log, value);
  await expect.poll(() => log.written).toBe(8);
  expect(stored()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  await log.close();
});

test('writes what waits after flushMs', async () => {
  const log = await open({ flushMs: 10 });
  add(log, 5);
  await expect.poll(() => log.written).toBe(1);
  await log.close();
});

test('cut at every byte: whole records stay, and appending goes on behind them', async () => {
  const first = await open();
  for (const value of [1, 2, 3]) add(first, value);
  await first.close();
  const path = join(directory, logFileName('witness', 1));
  const whole = readFileSync(path);
  expect(whole.length).toBe(headerBytes + 3 * recordBytes);
  for (let length = 0; length <= whole.length; length++) {
    for (const name of readdirSync(directory)) rmSync(join(directory, name));
    writeFileSync(path, whole.subarray(0, length));
    const log = await open();
    add(log, 9);
    await log.close();
    const kept = Math.max(0, Math.floor((length - headerBytes) / recordBytes));
    expect([length, stored()]).toEqual([length, [...[1, 2, 3].slice(0, kept), 9]]);
  }
});

test('opening alone cuts off what is no whole record, so that no reader ever sees it', async () => {
  const first = await open();
  add(first, 1);
  await first.close();
  const path = join(directory, logFileName('witness', 1));
  const whole = readFileSync(path);
  writeFileSync(path, Buffer.concat([whole, Buffer.alloc(recordBytes + 5, 1)]));
  const log = await open();
  expect(log.repairedBytes).toBe(recordBytes + 5);
  expect(readFileSync(path)).toEqual(whole);
  await log.close();
});

test('a flipped bit ends what is read, at every byte', async () => {
  const log = await open();
  for (const value of [1, 2]) add(log, value);
  await log.close();
  const whole = readFileSync(join(directory, logFileName('witness', 1)));
  for (let at = headerBytes; at < whole.length; at++) {
    const damaged = Buffer.from(whole);
    damaged[at]! ^= 1;
    expect(readRecordFile(damaged).count).toBe(Math.floor((at - headerBytes) / recordBytes));
  }
});

test('a file with another record size is left alone', async () => {
  const other = await open({ recordBytes: 16 });
  other.append((into, offset) => into.setFloat64(offset, 7));
  await other.close();
  const before = readFileSync(join(directory, logFileName('witness', 1)));
  const log = await open();
  add(log, 1);
  await log.close();
  expect(readFileSync(join(directory, logFileName('witness', 1)))).toEqual(before);
  expect(stored(2)).toEqual([1]);
});

test('begins a new file when one is full, and removes the oldest', async () => {
  const log = await open({ fileBytes: headerBytes + 2 * recordBytes, files: 3 });
  for (let value = 0; value < 10; value++) {
    add(log, value);
    await log.flush();
  }
  await log.close();
  expect(logFileNumbers(readdirSync(directory), 'witness')).toEqual([3, 4, 5]);
  expect([stored(3), stored(4), stored(5)]).toEqual([
    [4, 5],
    [6, 7],
    [8, 9],
  ]);
});

test('a disk that refuses costs nothing until memory is full; then the loss is counted', async () => {
  const problems: string[] = [];
  const log = await open({
    batchRecords: 2,
    fileBytes: headerBytes + 1,
    onProblem: (text) => problems.push(text),
  });
  add(log, 0);
  await log.flush();
  // The next batch needs a new file, and there is no directory any more to put it in.
  rmSync(directory, { recursive: true });
  for (let value = 1; value <= 6; value++) add(log, value);
  await log.flush();
  expect(log.failures).toBeGreaterThan(0);
  expect(problems[0]).toContain('ENOENT');
  expect(log.lost).toBe(2);
  mkdirSync(directory);
  await log.close();
  expect(log.written).toBe(5);
  expect([...stored(2), ...stored(3)]).toEqual([1, 2, 3, 4]);
});

test('other files in the directory are none of its', () => {
  expect(
    logFileNumbers(['witness-00000002.log', 'ledger-00000009.log', 'witness-1.log', 'x'], 'witness'),
  ).toEqual([2]);
});
