/** The ledger's intervals of the last day, those of before the start too. */
import { readFile } from 'node:fs/promises';
import { type LedgerRecord, readLedger } from '../../energy/ledger-record.ts';
import type { EnergyInterval } from '../../page/protocol.ts';

/** A day of minutes. */
const intervalsMax = 1440;

export class EnergyHistory {
  #intervals: EnergyInterval[] = [];

  /** Puts what a ledger's file holds before what was added since. Never rejects: without the file there is no before. */
  async load(path: string, nowMs: number): Promise<void> {
    const bytes = await readFile(path).catch(() => new Uint8Array(0));
    const since = nowMs - 86_400_000;
    const first = this.#intervals[0]?.startMs ?? Number.POSITIVE_INFINITY;
    const before = readLedger(bytes).records.filter(({ startMs }) => startMs >= since && startMs < first);
    this.#intervals = [...before.map(intervalOf), ...this.#intervals].slice(-intervalsMax);
  }

  add(record: LedgerRecord): void {
    this.#intervals.push(intervalOf(record));
    if (this.#intervals.length > intervalsMax) this.#intervals.shift();
  }

  get intervals(): readonly EnergyInterval[] {
    return this.#intervals;
  }
}

function intervalOf({ startMs, wallMs, energyJ }: LedgerRecord): EnergyInterval {
  return { startMs, wallMs, energyJ };
}
