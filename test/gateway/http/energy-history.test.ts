import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Ledger } from '../../../src/energy/ledger.ts';
import { encodeRecord, type LedgerRecord } from '../../../src/energy/ledger-record.ts';
import { findTarget } from '../../../src/energy/target.ts';
import { EnergyHistory } from '../../../src/gateway/http/energy-history.ts';
import { fakeClock } from '../../energy/fixture.ts';

const directory = mkdtempSync(join(tmpdir(), 'dormouse-history-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** A record as the ledger makes it, at another time. */
function recordAt(startMs: number): LedgerRecord {
  const { now, clock } = fakeClock();
  const records: LedgerRecord[] = [];
  const ledger = new Ledger({ target: findTarget('pi4'), clock, onRecord: (record) => records.push(record) });
  now.wall += 60_000;
  ledger.closeInterval();
  return { ...records[0]!, startMs };
}

const minute = 60_000;
const nowMs = 1_700_000_000_000;

test('what the file holds of the last day comes before what was added since, and nothing twice', async () => {
  const path = join(directory, 'ledger');
  const starts = [nowMs - 2000 * minute, nowMs - 2 * minute, nowMs - minute, nowMs];
  writeFileSync(path, starts.map((startMs) => encodeRecord(recordAt(startMs))).join(''));
  const history = new EnergyHistory();
  history.add(recordAt(nowMs));
  await history.load(path, nowMs);
  history.add(recordAt(nowMs + minute));
  expect(history.intervals.map(({ startMs }) => (startMs - nowMs) / minute)).toEqual([-2, -1, 0, 1]);
  expect(history.intervals[0]).toEqual({ startMs: nowMs - 2 * minute, wallMs: minute, energyJ: 180 });
});

test('is bounded to a day of minutes, and does without a file', async () => {
  const history = new EnergyHistory();
  await history.load(join(directory, 'absent'), nowMs);
  const record = recordAt(nowMs);
  for (let i = 0; i < 1500; i++) history.add({ ...record, startMs: nowMs + i * minute });
  expect(history.intervals.length).toBe(1440);
  expect(history.intervals.at(-1)!.startMs).toBe(nowMs + 1499 * minute);
});
