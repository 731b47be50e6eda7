import { describe, expect, it } from 'vitest';
import { makeMeterReading } from '../../src/energy/meter.ts';
import { ModelMeter, processClock, wattsPerCore } from '../../src/energy/model-meter.ts';
import { findTarget } from '../../src/energy/target.ts';

function fakeClock(monotonicMs = 0, cpuMs = 0) {
  const now = { wall: monotonicMs, cpu: cpuMs };
  return { now, monotonicMs: () => now.wall, cpuMs: () => now.cpu };
}

describe('ModelMeter', () => {
  const pi4 = findTarget('pi4');
  const reading = makeMeterReading();

  it('draws idle watts while the process sleeps', () => {
    const clock = fakeClock(500, 70);
    const meter = new ModelMeter(pi4, clock);
    clock.now.wall += 10_000;
    meter.read(reading);
    expect(reading).toEqual({ totalJ: 30, aboveIdleJ: 0 });
  });

  it('draws the published watts with every core busy', () => {
    const clock = fakeClock();
    const meter = new ModelMeter(pi4, clock);
    clock.now.wall = 1000;
    clock.now.cpu = 4000;
    meter.read(reading);
    expect(reading.totalJ).toBeCloseTo(6, 12);
    expect(reading.aboveIdleJ).toBeCloseTo(3, 12);
  });

  it('is linear between: one core of four adds a quarter of the difference', () => {
    expect(wattsPerCore(pi4)).toBe(0.75);
    const clock = fakeClock();
    const meter = new ModelMeter(pi4, clock);
    clock.now.wall = 2000;
    clock.now.cpu = 1000;
    meter.read(reading);
    expect(reading.totalJ).toBeCloseTo(6.75, 12);
  });

  it('says that it is a model', () => {
    const meter = new ModelMeter(pi4);
    expect(meter.source).toBe('model');
    expect(meter.resolutionJ).toBeGreaterThan(0);
  });

  it('reads the CPU time of this process', () => {
    const before = processClock.cpuMs();
    const end = before + 5;
    let turns = 0;
    while (processClock.cpuMs() < end && turns < 1e7) turns++;
    expect(processClock.cpuMs()).toBeGreaterThanOrEqual(end);
  });
});
