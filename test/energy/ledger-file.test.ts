import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LedgerDisk, LedgerFile, realDisk } from '../../src/energy/ledger-file.ts';
import { encodeRecord, type LedgerRecord, readLedger } from '../../src/energy/ledger-record.ts';
import { ledgerRecord } from './fixture.ts';

const record = (ticks: number): LedgerRecord =>
  ledgerRecord({ ticks, skips: ticks, tiers: [0, 0, 0, ticks], energyAboveIdleJ: null });

const bytesOf = (text: string) => new TextEncoder().encode(text);

describe('a ledger record', () => {
  it('is a line of JSON with a checksum, and comes back as it was', () => {
    const line = encodeRecord(record(3));
    expect(JSON.parse(line)).toEqual({ ...record(3), crc32: expect.stringMatching(/^[0-9a-f]{8}$/) });
    expect(readLedger(bytesOf(line)).records).toEqual([record(3)]);
  });

  it('does not pass when any one bit of it is flipped', () => {
    const line = bytesOf(encodeRecord(record(3)));
    for (let at = 0; at < line.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = line.slice();
        damaged[at]! ^= 1 << bit;
        expect(readLedger(damaged).records, `byte ${at} bit ${bit}`).toEqual([]);
      }
    }
  });
});

describe('readLedger', () => {
  const text = [1, 2, 3].map((n) => encodeRecord(record(n))).join('');
  const bytes = bytesOf(text);

  it('finds every whole record before a cut at any byte', () => {
    for (let cut = 0; cut <= bytes.length; cut++) {
      const whole = text.slice(0, cut).split('\n').length - 1;
      const contents = readLedger(bytes.subarray(0, cut));
      expect(contents.records, `cut at ${cut}`).toEqual([1, 2, 3].slice(0, whole).map(record));
      expect(contents.damagedLines).toBe(0);
      expect(contents.wholeBytes).toBe(text.slice(0, cut).lastIndexOf('\n') + 1);
    }
  });

  it('passes over a damaged line and counts it', () => {
    const lines = text.split('\n');
    lines[1] = lines[1]!.replace('"ticks":2', '"ticks":9');
    const contents = readLedger(bytesOf(lines.join('\n')));
    expect(contents.records).toEqual([record(1), record(3)]);
    expect(contents.damagedLines).toBe(1);
  });

  it('survives any foreign file', () => {
    expect(readLedger(bytesOf('hello\n\n{}\n\0\0\0')).damagedLines).toBe(3);
    expect(readLedger(new Uint8Array(0))).toEqual({ records: [], damagedLines: 0, wholeBytes: 0 });
  });
});

describe('LedgerFile', () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'dormouse-ledger-'));
    // A folder that is not there yet.
    path = join(directory, 'energy', 'ledger.ndjson');
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const read = (file = path) => readLedger(readFileSync(file)).records.map(({ ticks }) => ticks);

  it('goes on after the last whole record when the file was cut at any byte', async () => {
    const text = encodeRecord(record(1)) + encodeRecord(record(2));
    for (let cut = 0; cut <= text.length; cut += 7) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text.slice(0, cut));
      await new LedgerFile({ path }).append(encodeRecord(record(9)));
      const whole = text.slice(0, cut).split('\n').length - 1;
      expect(read(), `cut at ${cut}`).toEqual([...[1, 2].slice(0, whole), 9]);
    }
  });

  it('leaves no hole when somebody else cut the file', async () => {
    const file = new LedgerFile({ path });
    await file.append(encodeRecord(record(1)));
    truncateSync(path, 0);
    await file.append(encodeRecord(record(2)));
    await file.append(encodeRecord(record(3)));
    expect(read()).toEqual([2, 3]);
  });

  it('keeps so many files of so many bytes, the newest records in the first', async () => {
    const file = new LedgerFile({ path, maxBytes: 4096, files: 3 });
    const perFile = Math.floor(4096 / encodeRecord(record(10)).length);
    const count = 10 + 4 * perFile;
    for (let n = 10; n < count; n++) await file.append(encodeRecord(record(n)));
    const all = [...read(`${path}.2`), ...read(`${path}.1`), ...read()];
    expect(all.at(-1)).toBe(count - 1);
    expect(all).toEqual(all.map((_, i) => all[0]! + i));
    for (const each of [path, `${path}.1`, `${path}.2`]) {
      expect(readFileSync(each).length).toBeLessThanOrEqual(4096);
    }
    expect(() => readFileSync(`${path}.3`)).toThrow(/ENOENT/);
  });

  it('appends all or nothing: what a failed write left is removed by the next', async () => {
    let fail = false;
    const disk: LedgerDisk = {
      ...realDisk,
      async append(at, keepBytes, text) {
        if (!fail) return realDisk.append(at, keepBytes, text);
        await realDisk.append(at, keepBytes, text.slice(0, 50));
        throw new Error('ENOSPC: no space left on device, write');
      },
    };
    const file = new LedgerFile({ path, disk });
    await file.append(encodeRecord(record(1)));
    fail = true;
    await expect(file.append(encodeRecord(record(2)))).rejects.toThrow('ENOSPC');
    fail = false;
    await file.append(encodeRecord(record(2)));
    expect(read()).toEqual([1, 2]);
  });

  it('refuses bounds that hold nothing', () => {
    expect(() => new LedgerFile({ path, maxBytes: 10 })).toThrow(RangeError);
    expect(() => new LedgerFile({ path, files: 0 })).toThrow(RangeError);
  });
});
