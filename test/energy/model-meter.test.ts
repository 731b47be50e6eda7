import { describe, expect, it } from 'vitest';
import { makeProcessClock } from '../../src/energy/cpu-time.ts';
import { makeMeterReading } from '../../src/energy/meter.ts';
import { ModelMeter } from '../../src/energy/model-meter.ts';
import { findTarget } from '../../src/energy/target.ts';
import { wattModelOf, wattsPerCore } from '../../src/energy/watt-model.ts';
import { fakeClock } from './fixture.ts';

const pi4 = wattModelOf(findTarget('pi4'));

describe('ModelMeter', () => {
  const reading = makeMeterReading();

  it('draws idle watts while everything sleeps', () => {
    const { now, clock } = fakeClock();
    [now.wall, now.cpu] = [500, 70];
    const meter = new ModelMeter(pi4, clock);
    now.wall += 10_000;
    meter.read(reading);
    expect(reading).toMatchObject({ totalJ: 30, coveredMs: 10_000, varianceJ2: 0 });
    expect(reading.systematicJ).toBeCloseTo(7, 12);
  });

  it('draws the published watts with every core busy', () => {
    const { now, clock } = fakeClock();
    const meter = new ModelMeter(pi4, clock);
    [now.wall, now.cpu] = [1000, 4000];
    meter.read(reading);
    expect(reading.totalJ).toBeCloseTo(6, 12);
  });

  it('is linear between: one core of four adds a quarter of the difference', () => {
    expect(wattsPerCore(findTarget('pi4'))).toBe(0.75);
    const { now, clock } = fakeClock();
    const meter = new ModelMeter(pi4, clock);
    [now.wall, now.cpu] = [2000, 1000];
    meter.read(reading);
    expect(reading.totalJ).toBeCloseTo(6.75, 12);
  });

  it('counts what other processes burn where the machine tells, and never less than this one', () => {
    const { now, clock } = fakeClock(true);
    const meter = new ModelMeter(pi4, clock);
    [now.wall, now.cpu, now.busy] = [1000, 100, 500];
    meter.read(reading);
    expect(reading.totalJ).toBeCloseTo(3 + 0.375, 12);
    expect([meter.busyMs, meter.seesMachine]).toEqual([500, true]);
    // Hundredths of a second have not noticed these nine milliseconds.
    [now.cpu, now.busy] = [109, 500];
    meter.read(reading);
    expect(meter.busyMs).toBe(509);
  });

  it('counts slower cores in proportion', () => {
    const { now, clock } = fakeClock();
    const meter = new ModelMeter(pi4, clock);
    [now.wall, now.cpu, now.clockMHz] = [1000, 400, 600];
    meter.read(reading);
    expect(reading.totalJ).toBeCloseTo(3 + 0.75 * 0.4 * (600 / 1800), 12);
    [now.cpu, now.clockMHz] = [800, 2000];
    meter.read(reading);
    expect(reading.totalJ).toBeCloseTo(3 + 0.75 * 0.4 * (600 / 1800) + 0.3, 12);
  });

  it('says that it is a model, and whose watts it has', () => {
    const meter = new ModelMeter(pi4);
    expect(meter.source).toBe('model');
    expect(meter.title).toContain('published');
    expect(meter.resolutionJ()).toBeGreaterThan(0);
  });

  it('reads the CPU time of this process', () => {
    const clock = makeProcessClock();
    const end = clock.cpuMs() + 5;
    let turns = 0;
    while (clock.cpuMs() < end && turns < 1e7) turns++;
    expect(clock.cpuMs()).toBeGreaterThanOrEqual(end);
  });
});
