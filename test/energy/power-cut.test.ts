/**
 * A thousand power cuts on a disk that forgets: what was not synchronised is lost, whole, in part or turned to garbage,
 * names as well as bytes. What the ledger called written must be there after each of them, and nothing else.
 */
import { describe, expect, it } from 'vitest';
import { Ledger } from '../../src/energy/ledger.ts';
import { type LedgerDisk, LedgerFile, readLedgerFiles } from '../../src/energy/ledger-file.ts';
import { encodeRecord, type LedgerRecord } from '../../src/energy/ledger-record.ts';
import { sumUp } from '../../src/energy/summary.ts';
import { findTarget } from '../../src/energy/target.ts';
import { fakeClock, ledgerRecord, uniform } from './fixture.ts';

class PowerCut extends Error {}

/** Names and contents as they lie on the platter, and as running programs see them. */
class ForgetfulDisk implements LedgerDisk {
  readonly #random: () => number;
  #durable = new Map<string, string>();
  #seen = new Map<string, string>();
  /** Renames that the platter does not know yet, in order. */
  #renames: (readonly [from: string, to: string])[] = [];
  /** Operations until the power goes; Infinity: it stays. */
  operationsLeft = Number.POSITIVE_INFINITY;

  constructor(random: () => number) {
    this.#random = random;
  }

  async read(path: string): Promise<Uint8Array> {
    return Buffer.from(this.#seen.get(path) ?? '', 'latin1');
  }

  async exists(path: string): Promise<boolean> {
    return this.#seen.has(path);
  }

  async append(path: string, keepBytes: number, text: string): Promise<number> {
    const before = this.#seen.get(path) ?? '';
    const kept = before.slice(0, keepBytes);
    if (--this.operationsLeft < 0) this.#cutWhileAppending(path, before, kept, text);
    this.#forgetNothing();
    this.#seen.set(path, kept + text);
    this.#durable.set(path, kept + text);
    return kept.length;
  }

  async rename(from: string, to: string): Promise<void> {
    if (--this.operationsLeft < 0) this.#cut();
    this.#renames.push([from, to]);
    move(this.#seen, from, to);
  }

  /** The file is still what it was, or cut at any byte from the kept ones on, with or without garbage behind. */
  #cutWhileAppending(path: string, before: string, kept: string, text: string): never {
    const applied = Math.floor(this.#random() * (this.#renames.length + 1));
    for (const [from, to] of this.#renames.slice(0, applied)) move(this.#durable, from, to);
    const namesAreThere = applied === this.#renames.length;
    if (namesAreThere && this.#random() < 0.9) {
      const whole = this.#random() < 0.2 ? before : kept + text;
      const length = kept.length + Math.floor(this.#random() * (whole.length - kept.length + 1));
      this.#durable.set(path, whole.slice(0, length) + this.#garbage());
    }
    this.#forget();
    throw new PowerCut();
  }

  #garbage(): string {
    if (this.#random() < 0.5) return '';
    const zeros = this.#random() < 0.5;
    const length = Math.floor(this.#random() * 600);
    return Array.from({ length }, () => String.fromCharCode(zeros ? 0 : this.#random() * 256)).join('');
  }

  #cut(): never {
    const applied = Math.floor(this.#random() * (this.#renames.length + 1));
    for (const [from, to] of this.#renames.slice(0, applied)) move(this.#durable, from, to);
    this.#forget();
    throw new PowerCut();
  }

  #forgetNothing(): void {
    for (const [from, to] of this.#renames) move(this.#durable, from, to);
    this.#renames = [];
  }

  #forget(): void {
    this.#renames = [];
    this.#seen = new Map(this.#durable);
    this.operationsLeft = Number.POSITIVE_INFINITY;
  }
}

function move(files: Map<string, string>, from: string, to: string): void {
  const content = files.get(from);
  if (content === undefined) return;
  files.set(to, content);
  files.delete(from);
}

const files = 4;

/** One life of a gateway, from its start to the power cut: what it recorded, and how much of that it called written. */
async function live(disk: ForgetfulDisk, random: () => number, startMs: number, maxBytes = 4096) {
  const { now, clock } = fakeClock(true);
  const recorded: LedgerRecord[] = [];
  const file = new LedgerFile({ path: 'state/ledger.ndjson', disk, maxBytes, files });
  const ledger = new Ledger({
    target: findTarget('pi4'),
    clock,
    file,
    wallClockMs: () => startMs + now.wall,
    onRecord: (record) => recorded.push(record),
  });
  disk.operationsLeft = Math.floor(random() * 9);
  const failuresBefore = ledger.writeFailures;
  while (ledger.writeFailures === failuresBefore) {
    const intervals = 1 + Math.floor(random() * 4);
    for (let interval = 0; interval < intervals; interval++) {
      for (let tick = Math.floor(random() * 20); tick >= 0; tick--) {
        const tier = Math.floor(random() * 4) as 0 | 1 | 2 | 3;
        ledger.onTick({ tier, macs: tier === 3 ? 0 : 100, macsDense: 300 });
      }
      now.wall += 60_000;
      now.cpu += 50 * random();
      now.busy = now.cpu + 10;
      ledger.closeInterval();
    }
    await ledger.flush();
  }
  return { recorded, written: ledger.written };
}

describe('the ledger through power cuts', () => {
  it('loses nothing that it called written, and invents nothing, in 1,000 of them', async () => {
    const seed = 20_261_124;
    const random = uniform(seed);
    const disk = new ForgetfulDisk(random);
    /** Each record that may still be there, oldest first, and whether it must be, but for rotation. */
    let expected: { readonly record: LedgerRecord; readonly isWritten: boolean }[] = [];
    let rotatedAway = 0;
    let startMs = 1_700_000_000_000;
    for (let cut = 0; cut < 1000; cut++) {
      const { recorded, written } = await live(disk, random, startMs);
      startMs += (recorded.length + 1) * 60_000;
      expected.push(...recorded.map((record, at) => ({ record, isWritten: at < written })));
      const { records } = await readLedgerFiles('state', disk);
      // The oldest may have gone by rotation, and only from the front.
      const oldest = records[0]!.startMs;
      rotatedAway += expected.filter(({ record }) => record.startMs < oldest).length;
      expected = expected.filter(({ record }) => record.startMs >= oldest);
      const found = new Set(records.map(({ startMs: at }) => at));
      const lost = expected.filter(({ record, isWritten }) => isWritten && !found.has(record.startMs));
      expect(lost, `seed ${seed}, cut ${cut}: written, but lost`).toEqual([]);
      const kept = expected.filter(({ record }) => found.has(record.startMs)).map(({ record }) => record);
      expect(JSON.stringify(records), `seed ${seed}, cut ${cut}: as recorded`).toBe(JSON.stringify(kept));
      expect(sumUp(records).ticks).toBe(
        records.reduce((sum, { tiers }) => sum + tiers[0] + tiers[1] + tiers[2] + tiers[3], 0),
      );
      expected = kept.map((record) => ({ record, isWritten: true }));
    }
    // Otherwise rotation was never under way when the power went.
    expect(rotatedAway).toBeGreaterThan(1000);
  });

  it('keeps as many files as it may, wherever rotations were cut', async () => {
    const random = uniform(5);
    const disk = new ForgetfulDisk(random);
    const recordsPerFile = 25;
    const maxBytes = recordsPerFile * encodeRecord(ledgerRecord()).length;
    let startMs = 1_700_000_000_000;
    let fewest = Number.POSITIVE_INFINITY;
    for (let cut = 0; cut < 300; cut++) {
      startMs += 60_000 * (1 + (await live(disk, random, startMs, maxBytes)).recorded.length);
      const { records } = await readLedgerFiles('state', disk);
      if (cut > 60) fewest = Math.min(fewest, records.length);
    }
    // Three of the four are full, but for a batch and longer numbers.
    expect(fewest).toBeGreaterThan((files - 1) * (recordsPerFile - 8));
  });
});
