import { describe, expect, it, vi } from 'vitest';
import { Ledger, type LedgerOptions } from '../../src/energy/ledger.ts';
import { LedgerFile } from '../../src/energy/ledger-file.ts';
import type { MeterReading } from '../../src/energy/meter.ts';
import { findTarget } from '../../src/energy/target.ts';
import type { TierCosts } from '../../src/energy/tier-cost.ts';
import type { Tier } from '../../src/engine/config.ts';
import { fakeClock, MemoryDisk } from './fixture.ts';

const costs: TierCosts = [
  { cpuNs: 500_000, bytes: 4000 },
  { cpuNs: 200_000, bytes: 1500 },
  { cpuNs: 100_000, bytes: 700 },
];

function make(options: Partial<LedgerOptions> = {}, machine = false) {
  const { now, clock } = fakeClock(machine);
  const disk = new MemoryDisk();
  const file = new LedgerFile({ path: 'ledger.ndjson', disk });
  const wallClockMs = () => 1_700_000_000_000 + now.wall;
  const ledger = new Ledger({ target: findTarget('pi4'), file, clock, wallClockMs, ...options });
  return { now, disk, ledger };
}

const tick = (tier: Tier, macs = 0, macsDense = 1000) => ({ tier, macs, macsDense });

describe('Ledger', () => {
  it('closes the interval when another model comes, whose steps cost something else', async () => {
    const { now, disk, ledger } = make({ costs });
    ledger.onTick(tick(0, 1000));
    now.wall = 20_000;
    ledger.useCosts([costs[1], costs[2], costs[2]]);
    ledger.onTick(tick(0, 1000));
    ledger.onTick(tick(3));
    now.wall = 60_000;
    await ledger.flush();
    expect(disk.records().map(({ ticks, bytes, wallMs }) => ({ ticks, bytes, wallMs }))).toEqual([
      { ticks: 1, bytes: 4000, wallMs: 20_000 },
      { ticks: 2, bytes: 1500, wallMs: 40_000 },
    ]);
  });

  it('records what an interval executed, skipped and cost', async () => {
    const { now, disk, ledger } = make({ costs }, true);
    for (const witness of [tick(0, 1000), tick(3), tick(1, 400), tick(3), tick(3), tick(2, 100)]) {
      ledger.onTick(witness);
    }
    now.wall = 60_000;
    now.cpu = 200;
    now.busy = 320;
    await ledger.flush();
    const perTick = (200 - 0.8) / 6;
    const joules = (ms: number) => expect.closeTo(ms * 0.75e-3, 5);
    expect(disk.records()).toEqual([
      {
        version: 2,
        startMs: 1_700_000_000_000,
        wallMs: 60_000,
        cpuMs: 200,
        busyMs: 320,
        engineCpuMs: 0.8,
        clockMHz: null,
        ticks: 6,
        skips: 3,
        tiers: [1, 1, 1, 3],
        macs: 1500,
        macsDense: 6000,
        bytes: 6200,
        bytesDense: 24_000,
        energyJ: 180.24,
        // As far as the sources lie apart, and a step of /proc/stat.
        errorJ: expect.closeTo(0.7 * 60 + (0.7 / 4) * 0.32 + 0.0075, 5),
        noiseJ: 0.0075,
        energyAboveIdleJ: 0.24,
        tiersJ: [joules(0.5 + perTick), joules(0.2 + perTick), joules(0.1 + perTick), joules(3 * perTick)],
        othersJ: 0.09,
        modelJ: 180.24,
        savedEstimateJ: joules(6 * 0.5 - 0.8),
        throttled: null,
        source: 'model',
        scope: 'board',
        resolutionJ: 0.0075,
        watts: { idle: 3, idleError: 0.7, core: 0.75, coreError: 0.175, basis: 'published' },
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
    expect(disk.records().map(({ ticks }) => ticks)).toEqual([1, 2, 3, 4, 5]);
    const totals = ledger.totals();
    expect(totals).toMatchObject({ ticks: 15, macs: 150, wallMs: 5000, cpuMs: 15, tiers: [15, 0, 0, 0] });
    const sum = disk.records().reduce((all, { energyJ }) => all + energyJ!, 0);
    expect(totals.energyJ).toBeCloseTo(sum, 4);
  });

  it('calls nothing saved when the cost of a step was not measured', async () => {
    const { disk, ledger } = make();
    ledger.onTick(tick(3));
    await ledger.flush();
    expect(disk.records()[0]!.savedEstimateJ).toBeNull();
    expect(ledger.totals().savedEstimateJ).toBeNaN();
  });

  it('writes null, not zero, for a meter that cannot be read', async () => {
    const meter = {
      source: 'hwmon' as const,
      scope: 'board' as const,
      title: 'a chip that fell off',
      failures: 1,
      lastFailure: 'EIO',
      resolutionJ: () => 0.01,
      read: (reading: MeterReading) => void Object.assign(reading, { totalJ: 0, coveredMs: 0 }),
    };
    const { now, disk, ledger } = make({ meter });
    ledger.onTick(tick(3));
    now.wall = 1000;
    await ledger.flush();
    expect(disk.records()[0]).toMatchObject({
      energyJ: null,
      errorJ: null,
      energyAboveIdleJ: null,
      modelJ: 3,
      source: 'hwmon',
    });
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
      expect(disk.records().map(({ ticks }) => ticks)).toEqual([1, 2, 3]);
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
    expect(disk.records().map(({ ticks }) => ticks)).toEqual([1, 1, 8]);
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
      expect([disk.writes, disk.records().length]).toEqual([2, 5]);
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
    expect(disk.records().map(({ ticks }) => ticks)).toEqual([1]);
    now.wall += 60_000;
    await ledger.flush();
    expect(disk.records().map(({ ticks, wallMs }) => [ticks, wallMs])).toEqual([
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
