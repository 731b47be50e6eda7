import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type Calibration,
  fitLoads,
  loadCalibration,
  saveCalibration,
  wattModelFrom,
} from '../../src/energy/calibration.ts';
import { uniform } from './fixture.ts';

describe('fitLoads', () => {
  const exact = (busyCores: number) => ({ busyCores, watts: [2.5 + 0.8 * busyCores, 2.5 + 0.8 * busyCores] });

  it('finds the line through loads that lie on one', () => {
    const fit = fitLoads([exact(0.01), exact(1), exact(4)]);
    expect(fit.idleWatts).toBeCloseTo(2.5, 9);
    expect(fit.coreWatts).toBeCloseTo(0.8, 9);
    expect([fit.rmsWatts, fit.idleErrorWatts, fit.coreErrorWatts].every((value) => value < 1e-9)).toBe(true);
  });

  it('says by how much a board misses the line whose first core takes more', () => {
    const fit = fitLoads([
      { busyCores: 0, watts: [2.5, 2.5] },
      { busyCores: 1, watts: [3.7, 3.7] },
      { busyCores: 4, watts: [5.5, 5.5] },
    ]);
    expect(
      fit.loads.map(({ residualWatts }) => residualWatts).reduce((sum, each) => sum + each, 0),
    ).toBeCloseTo(0, 9);
    expect(fit.rmsWatts).toBeGreaterThan(0.2);
    expect(Math.abs(fit.idleWatts - 2.5)).toBeLessThanOrEqual(fit.idleErrorWatts);
    expect(fit.coreErrorWatts).toBeGreaterThan(0.2);
  });

  it('has errors that hold in 95 of 100 noisy calibrations', () => {
    const random = uniform(3);
    const noise = () => 0.3 * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    const load = (busyCores: number) => ({
      busyCores,
      watts: Array.from({ length: 30 }, () => 2.5 + 0.8 * busyCores + noise()),
    });
    let held = 0;
    for (let trial = 0; trial < 200; trial++) {
      const fit = fitLoads([load(0), load(1), load(4)]);
      if (
        Math.abs(fit.idleWatts - 2.5) < fit.idleErrorWatts &&
        Math.abs(fit.coreWatts - 0.8) < fit.coreErrorWatts
      )
        held++;
    }
    // More than the 95 of scatter alone, for what the line misses is added.
    expect(held / 200).toBeGreaterThan(0.93);
  });

  it.each([
    ['one load', [exact(1)], /expected loads that differ, got 1\.0/],
    ['loads that are alike', [exact(1), exact(1)], /expected loads that differ, got 1\.0/],
    [
      'one reading',
      [exact(0), { busyCores: 4, watts: [5] }],
      /at least 2 readings of the meter with 4\.0 busy cores, got 1/,
    ],
    [
      'a meter that shows less under load',
      [exact(4), { busyCores: 0, watts: [9, 9] }],
      /expected a busy core to take more/,
    ],
  ])('refuses %s', (_, loads, message) => {
    expect(() => fitLoads(loads)).toThrow(message);
  });
});

describe('the calibration file', () => {
  let path: string;
  beforeEach(() => {
    path = join(mkdtempSync(join(tmpdir(), 'dormouse-calibration-')), 'calibration.json');
  });
  afterEach(() => rmSync(join(path, '..'), { recursive: true }));

  const calibration: Calibration = {
    version: 1,
    madeMs: 1_700_000_000_000,
    source: 'hwmon',
    title: 'ina226 1-0040',
    cores: 4,
    clockMHz: 1800,
    idleWatts: 2.5,
    coreWatts: 0.8,
    idleErrorWatts: 0.02,
    coreErrorWatts: 0.05,
    rmsWatts: 0.03,
    loads: [],
  };

  it('comes back as it was, and is a watt model', () => {
    saveCalibration(path, calibration);
    expect(loadCalibration(path)).toEqual(calibration);
    expect(wattModelFrom(calibration)).toMatchObject({
      idleWatts: 2.5,
      coreWatts: 0.8,
      clockMHz: 1800,
      basis: 'calibrated',
    });
    expect(wattModelFrom({ ...calibration, clockMHz: null }).clockMHz).toBeNaN();
  });

  it('may be missing, but not be anything else', () => {
    expect(loadCalibration(path)).toBeUndefined();
    const refused = (text: string, message: RegExp) => {
      writeFileSync(path, text);
      expect(() => loadCalibration(path)).toThrow(message);
    };
    refused('', /expected a calibration in JSON, got ""/);
    refused('null', /expected version 1, got undefined/);
    refused('{"version":2}', /expected version 1, got 2/);
    refused(
      JSON.stringify({ ...calibration, coreWatts: '0.8' }),
      /coreWatts: expected watts from 0 to 10000, got "0.8"/,
    );
    expect(readFileSync(path, 'utf8')).toContain('"0.8"');
  });
});
