import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deviationsOf95, MeterProblem, makeMeterReading } from '../../src/energy/meter.ts';
import { PolledMeter } from '../../src/energy/polled-meter.ts';
import { PowerIntegrator } from '../../src/energy/power-integrator.ts';
import { fakeClock } from './fixture.ts';

describe('PowerIntegrator', () => {
  const options = { holdMaxMs: 5000, resolutionWatts: 0.2, accuracyShare: 0.01 };

  it('sums what each value held for', () => {
    const integrator = new PowerIntegrator(options);
    const reading = makeMeterReading();
    integrator.add(1000, 3);
    integrator.add(2000, 5);
    integrator.read(4000, reading);
    expect(reading).toEqual({
      totalJ: 3 + 10,
      coveredMs: 3000,
      varianceJ2: 2,
      systematicJ: expect.closeTo(0.43, 12),
    });
  });

  it('sums to the same however often it is read', () => {
    const samples = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 9000 }), fc.float({ min: 0, max: 20, noNaN: true })),
      {
        minLength: 1,
        maxLength: 30,
      },
    );
    fc.assert(
      fc.property(samples, fc.array(fc.nat(200_000), { maxLength: 20 }), (steps, reads) => {
        const [once, often] = [new PowerIntegrator(options), new PowerIntegrator(options)];
        const [a, b] = [makeMeterReading(), makeMeterReading()];
        let nowMs = 0;
        let beforeJ = 0;
        for (const [stepMs, watts] of steps) {
          for (const at of reads
            .filter((each) => each >= nowMs && each < nowMs + stepMs)
            .sort((x, y) => x - y)) {
            often.read(at, b);
            expect(b.totalJ).toBeGreaterThanOrEqual(beforeJ);
            beforeJ = b.totalJ;
          }
          nowMs += stepMs;
          once.add(nowMs, watts);
          often.add(nowMs, watts);
        }
        once.read(nowMs, a);
        often.read(nowMs, b);
        expect(b).toEqual(a);
        expect(a.coveredMs).toBeLessThanOrEqual(nowMs);
      }),
      { seed: 7, numRuns: 200 },
    );
  });

  it('tells an error that holds in 95 of 100 cases, for noise of any size', () => {
    let state = 1;
    const random = () => ((state = (state * 48_271) % 2_147_483_647) - 1) / 2_147_483_646;
    const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    let held = 0;
    for (let trial = 0; trial < 400; trial++) {
      const integrator = new PowerIntegrator({ holdMaxMs: 5000, resolutionWatts: 0, accuracyShare: 0 });
      for (let second = 0; second <= 60; second++) integrator.add(second * 1000, 3 + 0.4 * normal());
      const reading = makeMeterReading();
      integrator.read(60_000, reading);
      if (Math.abs(reading.totalJ - 180) <= deviationsOf95 * Math.sqrt(reading.varianceJ2)) held++;
    }
    expect(held / 400).toBeGreaterThan(0.92);
    expect(held / 400).toBeLessThan(0.98);
  });
});

describe('PolledMeter', () => {
  function make(answers: (number | Error)[]) {
    const { now, clock } = fakeClock();
    const sensor = {
      source: 'hwmon' as const,
      scope: 'board' as const,
      title: 'ina219 1-0041',
      resolutionWatts: 0.01,
      accuracyShare: 0,
      intervalMs: 1000,
      sample: () => {
        const answer = answers.shift() ?? new MeterProblem('no more answers');
        if (answer instanceof Error) throw answer;
        return answer;
      },
    };
    const meter = new PolledMeter(sensor, clock.monotonicMs);
    const reading = makeMeterReading();
    const poll = async (wall: number) => {
      now.wall = wall;
      await meter.poll();
      meter.read(reading);
      return [reading.totalJ, reading.coveredMs];
    };
    return { meter, poll };
  }

  it('bridges a lost answer, and is missing when there are more of them', async () => {
    const lost = new MeterProblem('EIO');
    const { meter, poll } = make([3, 3, lost, lost, lost, lost, lost, lost, 3, 3]);
    await poll(0);
    expect(await poll(1000)).toEqual([3, 1000]);
    expect(await poll(2000)).toEqual([6, 2000]);
    for (let second = 3; second <= 7; second++) await poll(second * 1000);
    expect(meter.failures).toBe(6);
    expect(await poll(8000)).toEqual([18, 6000]);
    expect(await poll(9000)).toEqual([21, 7000]);
  });

  it('takes nothing for a power but a number', async () => {
    const { meter, poll } = make([Number.NaN]);
    expect(await poll(0)).toEqual([0, 0]);
    expect(meter.lastFailure).toBe('ina219 1-0041: expected watts, got NaN');
    expect(meter.resolutionJ(60_000)).toBeCloseTo(0.6, 12);
  });
});
