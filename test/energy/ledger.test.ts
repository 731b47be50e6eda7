import { describe, expect, it, vi } from 'vitest';
import { Ledger, type LedgerOptions, measureCpuNsPerMac } from '../../src/energy/ledger.ts';
import { type LedgerDisk, LedgerFile } from '../../src/energy/ledger-file.ts';
import { type LedgerRecord, readLedger } from '../../src/energy/ledger-record.ts';
import { findTarget } from '../../src/energy/target.ts';
import type { Tier } from '../../src/engine/config.ts';

/** A disk in memory that can be told to refuse. */
class MemoryDisk implements LedgerDisk {
  text = '';
  refusal: string | undefined;
  writes = 0;
  async read() {
    return new TextEncoder().encode(this.text);
  }
  async append(_: string, keepBytes: number, text: string) {
    if (this.refusal !== undefined) throw new Error(this.refusal);
    this.writes++;
    this.text = this.text.slice(0, keepBytes) + text;
    return keepBytes;
  }
  async rename() {}
  get records(): readonly LedgerRecord[] {
    return readLedger(new TextEncoder().encode(this.text)).records;
  }
}

function make(options: Partial<LedgerOptions> = {}) {
  const now = { wall: 0, cpu: 0 };
  const clock = { monotonicMs: () => now.wall, cpuMs: () => now.cpu };
  const disk = new MemoryDisk();
  const file = new LedgerFile({ path: 'ledger.ndjson', disk });
  const wallClockMs = () => 1_700_000_000_000 + now.wall;
  const ledger = new Ledger({ target: findTarget('pi4'), file, clock, wallClockMs, ...options });
  return { now, disk, ledger };
}

const tick = (tier: Tier, macs = 0, macsDense = 1000) => ({ tier, macs, macsDense });

describe('Ledger', () => {
  it('records what an interval executed, skipped and cost', async () => {
    const { now, disk, ledger } = make({ cpuNsPerMac: 0.5 });
    for (const witness of [tick(0, 1000), tick(3), tick(1, 400), tick(3), tick(3), tick(2, 100)]) {
      ledger.onTick(witness);
    }
    now.wall = 60_000;
    now.cpu = 200;
    await ledger.flush();
    expect(disk.records).toEqual([
      {
        version: 1,
        startMs: 1_700_000_000_000,
        wallMs: 60_000,
        cpuMs: 200,
        ticks: 6,
        skips: 3,
        tiers: [1, 1, 1, 3],
        macs: 1500,
        macsDense: 6000,
        energyJ: 180.15,
        energyAboveIdleJ: 0.15,
        savedEstimateJ: expect.closeTo(4500 * 0.5e-9 * 0.75, 6),
        source: 'model',
        resolutionJ: 0.00075,
        target: 'pi4',
      },
    ]);
  });

  it('starts every interval at zero, and the intervals sum to the totals', async () => {
    const { now, disk, ledger } = make();
    for (let n = 1; n <= 5; n++) {
      for (let i = 0; i < n; i++) ledger.onTick(tick(0, 10, 10));
      now.wall += 1000;
      now.cpu += n;
      await ledger.flush();
    }
    expect(disk.records.map(({ ticks }) => ticks)).toEqual([1, 2, 3, 4, 5]);
    const totals = ledger.totals();
    expect(totals).toMatchObject({ ticks: 15, macs: 150, wallMs: 5000, cpuMs: 15, tiers: [15, 0, 0, 0] });
    const sum = disk.records.reduce((all, { energyJ }) => all + energyJ!, 0);
    expect(totals.energyJ).toBeCloseTo(sum, 4);
  });

  it('calls nothing saved when CPU time per MAC was not measured', async () => {
    const { disk, ledger } = make();
    ledger.onTick(tick(3));
    await ledger.flush();
    expect(disk.records[0]!.savedEstimateJ).toBeNull();
    expect(ledger.totals().savedEstimateJ).toBeNaN();
  });

  it('writes null, not zero, for a meter that cannot be read', async () => {
    const meter = {
      source: 'hwmon' as const,
      resolutionJ: 0.01,
      read: (reading: { totalJ: number; aboveIdleJ: number }) => {
        reading.totalJ = Number.NaN;
        reading.aboveIdleJ = Number.NaN;
      },
    };
    const { disk, ledger } = make({ meter });
    ledger.onTick(tick(3));
    await ledger.flush();
    expect(disk.records[0]).toMatchObject({ energyJ: null, energyAboveIdleJ: null, source: 'hwmon' });
  });

  it.each(['EROFS: read-only file system, open', 'ENOSPC: no space left on device, write'])(
    'survives %s: counted, and the records come out later, whole and in order',
    async (refusal) => {
      const { disk, ledger } = make();
      disk.refusal = refusal;
      for (let n = 1; n <= 3; n++) {
        for (let i = 0; i < n; i++) ledger.onTick(tick(3));
        await ledger.flush();
      }
      expect([ledger.writeFailures, ledger.lastFailure, ledger.pending]).toEqual([3, refusal, 3]);
      disk.refusal = undefined;
      await ledger.flush();
      expect(disk.records.map(({ ticks }) => ticks)).toEqual([1, 2, 3]);
      expect(ledger.pending).toBe(0);
    },
  );

  it('keeps at most so many records; then the interval grows and no tick is lost', async () => {
    const { disk, ledger } = make({ pendingMax: 2 });
    disk.refusal = 'EROFS';
    for (let n = 0; n < 10; n++) {
      ledger.onTick(tick(3));
      await ledger.flush();
    }
    expect(ledger.pending).toBe(2);
    disk.refusal = undefined;
    await ledger.flush();
    await ledger.flush();
    expect(disk.records.map(({ ticks }) => ticks)).toEqual([1, 1, 8]);
    expect(ledger.totals().ticks).toBe(10);
  });

  it('writes in batches when it keeps the time itself, and the rest on stop', async () => {
    vi.useFakeTimers();
    try {
      const { disk, ledger } = make({ intervalMs: 1000, batch: 4 });
      ledger.start();
      const pass = async (seconds: number) => {
        for (let second = 0; second < seconds; second++) {
          ledger.onTick(tick(3));
          await vi.advanceTimersByTimeAsync(1000);
        }
      };
      await pass(3);
      expect([disk.writes, ledger.pending]).toEqual([0, 3]);
      await pass(1);
      expect([disk.writes, ledger.pending]).toEqual([1, 0]);
      ledger.onTick(tick(3));
      await ledger.stop();
      expect([disk.writes, disk.records.length]).toEqual([2, 5]);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  it('makes one record of two flushes in a row, but records a silent minute', async () => {
    const { now, disk, ledger } = make();
    ledger.onTick(tick(3));
    await ledger.flush();
    now.wall += 5;
    await ledger.flush();
    expect(disk.records.map(({ ticks }) => ticks)).toEqual([1]);
    now.wall += 60_000;
    await ledger.flush();
    expect(disk.records.map(({ ticks, wallMs }) => [ticks, wallMs])).toEqual([
      [1, 0],
      [0, 60_005],
    ]);
  });

  it('only sums when it has no file', async () => {
    const ledger = new Ledger({ target: findTarget('pi5') });
    ledger.onTick(tick(0, 5, 5));
    await ledger.flush();
    expect([ledger.pending, ledger.totals().macs]).toEqual([0, 5]);
  });

  it('allocates nothing on a tick', () => {
    const { ledger } = make();
    const witness = tick(0, 400_000, 400_000);
    const run = () => {
      for (let i = 0; i < 200_000; i++) ledger.onTick(witness);
    };
    run();
    globalThis.gc!();
    const before = process.memoryUsage().heapUsed;
    run();
    const growth = process.memoryUsage().heapUsed - before;
    expect(growth).toBeLessThan(200_000);
  });
});

describe('measureCpuNsPerMac', () => {
  it('divides CPU time by the MACs executed, warm-up left out', () => {
    let cpuMs = 0;
    let steps = 0;
    const step = () => {
      cpuMs += ++steps <= 5 ? 2 : 1;
      return 1_000_000;
    };
    const clock = { monotonicMs: () => 0, cpuMs: () => cpuMs };
    expect(measureCpuNsPerMac(step, clock, 100)).toBeCloseTo(1, 9);
  });

  it('refuses a step that executes nothing', () => {
    let cpuMs = 0;
    const clock = { monotonicMs: () => 0, cpuMs: () => cpuMs++ };
    expect(() => measureCpuNsPerMac(() => 0, clock, 10)).toThrow(RangeError);
  });
});
