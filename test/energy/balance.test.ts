/** A simulated board whose true joules are known part by part: what the ledger says of each must agree. */
import { describe, expect, it } from 'vitest';
import { fitLoads, type LoadMeasurement } from '../../src/energy/calibration.ts';
import { Ledger } from '../../src/energy/ledger.ts';
import type { LedgerRecord } from '../../src/energy/ledger-record.ts';
import { energyPerInference } from '../../src/energy/per-inference.ts';
import { PolledMeter } from '../../src/energy/polled-meter.ts';
import { sumUp } from '../../src/energy/summary.ts';
import { findTarget } from '../../src/energy/target.ts';
import { fakeClock, uniform } from './fixture.ts';

/** What nobody tells the ledger. */
const truth = { idleWatts: 2.71, coreWatts: 0.93, stepMs: [4, 1.5, 0.6, 0], restMs: 0.3, othersShare: 0.02 };
const costs = [
  { cpuNs: 4e6, bytes: 1 },
  { cpuNs: 1.5e6, bytes: 1 },
  { cpuNs: 0.6e6, bytes: 1 },
] as const;

interface Setup {
  readonly seed: number;
  readonly ticksPerSecond: number;
  readonly noiseWatts: number;
  readonly minutes: number;
}

async function run({ seed, ticksPerSecond, noiseWatts, minutes }: Setup) {
  const random = uniform(seed);
  const noise = () => noiseWatts * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const { now, clock } = fakeClock(true);
  let watts = truth.idleWatts;
  const sensor = {
    source: 'hwmon' as const,
    scope: 'board' as const,
    title: 'simulated',
    resolutionWatts: 0.005,
    accuracyShare: 0.001,
    intervalMs: 1000,
    sample: () => Math.round((watts + noise()) / 0.005) * 0.005,
  };
  const load = (busyCores: number): LoadMeasurement => ({
    busyCores,
    watts: Array.from({ length: 60 }, () => truth.idleWatts + truth.coreWatts * busyCores + noise()),
  });
  const fit = fitLoads([load(0.02), load(1.02), load(4)]);
  const meter = new PolledMeter(sensor, clock.monotonicMs);
  const records: LedgerRecord[] = [];
  const ledger = new Ledger({
    target: findTarget('pi4'),
    watts: { ...fit, clockMHz: Number.NaN, basis: 'calibrated' },
    meter,
    isCalibrated: true,
    costs,
    clock,
    onRecord: (record) => records.push(record),
  });
  await meter.poll();
  const trueJ = { total: 0, tiers: [0, 0, 0, 0], others: 0 };
  for (let second = 1; second <= 60 * minutes; second++) {
    let cpuMs = 0;
    for (let tick = 0; tick < ticksPerSecond; tick++) {
      const tier = [0, 1, 2, 3, 3, 3, 3, 3, 3, 3][Math.floor(10 * random())] as 0 | 1 | 2 | 3;
      const tickMs = truth.stepMs[tier]! + truth.restMs;
      ledger.onTick({ tier, macs: 0, macsDense: 0 });
      trueJ.tiers[tier]! += (truth.coreWatts * tickMs) / 1000;
      cpuMs += tickMs;
    }
    const othersMs = 2000 * truth.othersShare * random();
    now.cpu += cpuMs;
    now.busy += cpuMs + othersMs;
    now.wall += 1000;
    watts = truth.idleWatts + (truth.coreWatts * (cpuMs + othersMs)) / 1000;
    trueJ.total += watts;
    trueJ.others += (truth.coreWatts * othersMs) / 1000;
    await meter.poll();
    if (second % 60 === 0) ledger.closeInterval();
  }
  return { records, totals: sumUp(records), trueJ, fit };
}

const busy: Setup = { seed: 11, ticksPerSecond: 100, noiseWatts: 0.05, minutes: 30 };

describe('the energy balance of a calibrated meter', () => {
  it('closes: idle, tiers and other processes sum to what the meter shows, within 1 %', async () => {
    const { records } = await run(busy);
    for (const { energyJ, watts, wallMs, tiersJ, othersJ, modelJ } of records) {
      const parts = (watts.idle * wallMs) / 1000 + tiersJ.reduce((sum, each) => sum + each, 0) + othersJ!;
      expect(Math.abs(parts / energyJ! - 1)).toBeLessThan(0.01);
      expect(modelJ).toBeCloseTo(parts, 3);
    }
  });

  it('gives each part its true joules', async () => {
    const { totals, trueJ } = await run(busy);
    expect(totals.energyJ / trueJ.total).toBeCloseTo(1, 2);
    for (let tier = 0; tier < 4; tier++) expect(totals.tiersJ[tier]! / trueJ.tiers[tier]!).toBeCloseTo(1, 1);
    expect(totals.othersJ / trueJ.others).toBeCloseTo(1, 1);
  });

  it('tells an error that holds', async () => {
    const { records, totals, trueJ } = await run(busy);
    expect(Math.abs(totals.energyJ - trueJ.total)).toBeLessThan(totals.errorJ);
    expect(records.every(({ errorJ }) => errorJ! > 0.1 && errorJ! < 3)).toBe(true);
  });

  it('tells what an inference takes, within its error', async () => {
    const { totals, trueJ } = await run(busy);
    const figure = energyPerInference(totals, 'hwmon');
    expect(figure).toMatchObject({ kind: 'figure', inferences: totals.ticks - totals.tiers[3] });
    if (figure.kind !== 'figure') return;
    const engineJ = [0, 1, 2].reduce((sum, tier) => sum + totals.tiers[tier]! * truth.stepMs[tier]!, 0);
    const trueEach = (engineJ * truth.coreWatts) / 1000 / figure.inferences;
    expect(trueJ.tiers[0]).toBeGreaterThan(0);
    expect(Math.abs(figure.joules - trueEach)).toBeLessThan(figure.errorJ);
    expect(figure.errorJ).toBeLessThan(figure.joules);
  });

  it('refuses that figure where the meter cannot resolve it', async () => {
    const { totals } = await run({ ...busy, ticksPerSecond: 1, minutes: 3, noiseWatts: 0.3 });
    expect(energyPerInference(totals, 'hwmon')).toEqual({
      kind: 'refused',
      reason: expect.stringMatching(/J above idle are less than what the hwmon meter can tell/),
    });
  });
});

describe('the energy balance of the model', () => {
  it('closes exactly, for it is the same arithmetic', () => {
    const { now, clock } = fakeClock(true);
    const records: LedgerRecord[] = [];
    const ledger = new Ledger({
      target: findTarget('pi5'),
      costs,
      clock,
      onRecord: (each) => records.push(each),
    });
    ledger.onTick({ tier: 1, macs: 5, macsDense: 9 });
    Object.assign(now, { wall: 60_000, cpu: 130, busy: 420 });
    ledger.closeInterval();
    const { energyJ, watts, tiersJ, othersJ } = records[0]!;
    expect(watts.idle * 60 + tiersJ[0] + tiersJ[1] + tiersJ[2] + tiersJ[3] + othersJ!).toBeCloseTo(
      energyJ!,
      4,
    );
  });
});
