/** Records, clocks, machines and disks for the tests of energy/. */
import type { ProcessClock } from '../../src/energy/cpu-time.ts';
import type { LedgerDisk } from '../../src/energy/ledger-file.ts';
import { type LedgerRecord, readLedger } from '../../src/energy/ledger-record.ts';
import type { SystemFiles } from '../../src/energy/system-files.ts';
import { Random } from '../../src/train/random.ts';

/** A clock that stands until it is set. */
export function fakeClock(busy = false) {
  const now = { wall: 0, cpu: 0, busy: 0, clockMHz: Number.NaN };
  const clock: ProcessClock = {
    monotonicMs: () => now.wall,
    cpuMs: () => now.cpu,
    ...(busy ? { busyMs: () => now.busy } : {}),
    clockMHz: () => now.clockMHz,
  };
  return { now, clock };
}

export function ledgerRecord(changes: Partial<LedgerRecord> = {}): LedgerRecord {
  return {
    version: 2,
    startMs: 1_700_000_000_000,
    wallMs: 60_000,
    cpuMs: 12.5,
    busyMs: 40,
    engineCpuMs: 2,
    clockMHz: null,
    ticks: 10,
    skips: 8,
    tiers: [1, 1, 0, 8],
    macs: 3000,
    macsDense: 10_000,
    bytes: 4000,
    bytesDense: 20_000,
    energyJ: 180,
    errorJ: 3,
    noiseJ: 0.5,
    energyAboveIdleJ: 0.04,
    tiersJ: [0.003, 0.002, 0, 0.005],
    othersJ: 0.03,
    modelJ: 180,
    savedEstimateJ: 0.01,
    throttled: null,
    source: 'model',
    scope: 'board',
    resolutionJ: 0.001,
    watts: { idle: 3, idleError: 0.7, core: 0.75, coreError: 0.2, basis: 'published' },
    target: 'pi4',
    ...changes,
  };
}

/** A disk in memory that can be told to refuse. */
export class MemoryDisk implements LedgerDisk {
  readonly files = new Map<string, string>();
  refusal: string | undefined;
  writes = 0;
  async read(path: string) {
    return new TextEncoder().encode(this.files.get(path) ?? '');
  }
  async append(path: string, keepBytes: number, text: string) {
    if (this.refusal !== undefined) throw new Error(this.refusal);
    this.writes++;
    this.files.set(path, (this.files.get(path) ?? '').slice(0, keepBytes) + text);
    return keepBytes;
  }
  async exists(path: string) {
    return this.files.has(path);
  }
  async rename(from: string, to: string) {
    this.files.set(to, this.files.get(from)!);
    this.files.delete(from);
  }
  records(path = 'ledger.ndjson'): readonly LedgerRecord[] {
    return readLedger(new TextEncoder().encode(this.files.get(path))).records;
  }
}

/** An error as node:fs throws it. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: ${code === 'EACCES' ? 'permission denied' : 'failed'}, open`), {
    code,
  });
}

/** A machine's files as an object of paths; an Error is thrown when its path is read. Change it at will. */
export function fakeFiles(tree: Record<string, string | Error>): SystemFiles {
  const read = (path: string) => {
    const found = tree[path];
    if (found === undefined) throw systemError('ENOENT');
    if (found instanceof Error) throw found;
    return found.trim();
  };
  const list = (path: string) => {
    const found = tree[path];
    if (found instanceof Error) throw found;
    const names = Object.keys(tree)
      .filter((each) => each.startsWith(`${path}/`))
      .map((each) => each.slice(path.length + 1).split('/')[0]!);
    return [...new Set(names)].sort();
  };
  const resolve = (path: string) => read(path);
  return { read, list, resolve };
}

/** Numbers in [0, 1), the same for each seed. */
export function uniform(seed: number): () => number {
  const random = new Random(seed);
  return () => random.uniform();
}
