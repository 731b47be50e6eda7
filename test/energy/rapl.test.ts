import { describe, expect, it } from 'vitest';
import { makeMeterReading } from '../../src/energy/meter.ts';
import { counterDeltaJ, findRaplZones, RaplMeter } from '../../src/energy/rapl.ts';
import { fakeClock, fakeFiles, systemError } from './fixture.ts';

const root = '/sys/class/powercap';

/** A desktop: one package with its core and uncore, and the whole platform. */
const desktop = (): Record<string, string | Error> => ({
  [`${root}/intel-rapl/enabled`]: '1\n',
  [`${root}/intel-rapl:0/name`]: 'package-0\n',
  [`${root}/intel-rapl:0/energy_uj`]: '1000000\n',
  [`${root}/intel-rapl:0/max_energy_range_uj`]: '262143328850\n',
  [`${root}/intel-rapl:0:0/name`]: 'core\n',
  [`${root}/intel-rapl:0:0/energy_uj`]: '900000\n',
  [`${root}/intel-rapl:0:0/max_energy_range_uj`]: '262143328850\n',
  [`${root}/intel-rapl:1/name`]: 'psys\n',
  [`${root}/intel-rapl:1/energy_uj`]: '5\n',
  [`${root}/intel-rapl:1/max_energy_range_uj`]: '262143328850\n',
});

function make(tree = desktop()) {
  const { now, clock } = fakeClock();
  const files = fakeFiles(tree);
  const meter = new RaplMeter(files, findRaplZones(files), clock.monotonicMs);
  const reading = makeMeterReading();
  const set = (wall: number, microjoules: string | Error, zone = 0) => {
    now.wall = wall;
    tree[`${root}/intel-rapl:${zone}/energy_uj`] = microjoules;
  };
  const read = () => {
    meter.read(reading);
    return [reading.totalJ, reading.coveredMs];
  };
  return { meter, set, read, tree };
}

describe('findRaplZones', () => {
  it('takes packages only: what lies within them is contained in them', () => {
    expect(findRaplZones(fakeFiles(desktop()))).toEqual([
      { path: `${root}/intel-rapl:0`, rangeJ: 262143.32885 },
    ]);
  });

  it('finds none on machines without', () => {
    expect(findRaplZones(fakeFiles({}))).toEqual([]);
  });

  it('says what to do when only root may read', () => {
    const tree = { ...desktop(), [`${root}/intel-rapl:0/energy_uj`]: systemError('EACCES') };
    expect(() => findRaplZones(fakeFiles(tree))).toThrow(
      /^\/sys\/class\/powercap\/intel-rapl:0\/energy_uj: permission denied: since CVE-2020-8694 only root .*docs\/energy\.md/,
    );
  });

  it('refuses a range that is no number', () => {
    const tree = { ...desktop(), [`${root}/intel-rapl:0/max_energy_range_uj`]: 'unknown' };
    expect(() => findRaplZones(fakeFiles(tree))).toThrow(/max_energy_range_uj: expected a number/);
  });
});

describe('counterDeltaJ', () => {
  it('goes on over the end of the range', () => {
    expect(counterDeltaJ(100, 130, 1000)).toBe(30);
    expect(counterDeltaJ(990, 15, 1000)).toBe(25);
    expect(counterDeltaJ(7, 7, 1000)).toBe(0);
  });
});

describe('RaplMeter', () => {
  it('counts joules from its start', () => {
    const { set, read, meter } = make();
    set(1000, '16000000');
    expect(read()).toEqual([15, 1000]);
    set(3000, '46000000');
    expect(read()).toEqual([45, 3000]);
    expect([meter.source, meter.scope, meter.title]).toEqual([
      'rapl',
      'package',
      'RAPL package-0, processor only',
    ]);
  });

  it('sums packages', () => {
    const tree = { ...desktop(), [`${root}/intel-rapl:1/name`]: 'package-1\n' };
    const { set, read } = make(tree);
    set(1000, '16000000');
    set(1000, '20000005', 1);
    expect(read()).toEqual([35, 1000]);
  });

  it('comes around at the range', () => {
    const { set, read } = make({ ...desktop(), [`${root}/intel-rapl:0/energy_uj`]: '262143000000' });
    set(1000, '9671150');
    expect(read()[0]).toBeCloseTo(0.32885 + 9.67115, 6);
  });

  it('is missing, never zero, while it cannot be read, and makes up for it after', () => {
    const { set, read, meter } = make();
    set(1000, '16000000');
    read();
    for (const trouble of [systemError('EIO'), systemError('EACCES'), '', 'garbage', '-3']) {
      set(2000, trouble);
      expect(read()).toEqual([15, 1000]);
    }
    expect(meter.failures).toBe(5);
    expect(meter.lastFailure).toMatch(/expected a number/);
    set(3000, '46000000');
    expect(read()).toEqual([45, 3000]);
  });

  it('does not believe a counter that was set back', () => {
    const { set, read, meter } = make({ ...desktop(), [`${root}/intel-rapl:0/energy_uj`]: '100000000000' });
    set(1000, '5');
    expect(read()).toEqual([0, 0]);
    expect(meter.lastFailure).toMatch(/expected at most 1000 W, got 162143/);
    set(2000, '10000005');
    expect(read()).toEqual([10, 1000]);
  });

  it('does not guess how often it came around when nobody looked for long', () => {
    const { set, read, meter } = make();
    set(1_000_000, '2000000');
    expect(read()).toEqual([0, 0]);
    expect(meter.lastFailure).toMatch(/at least each 60 s, got one after 1000 s/);
  });
});
