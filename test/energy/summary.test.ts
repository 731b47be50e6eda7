import { describe, expect, it } from 'vitest';
import { ledgerCsv, ledgerNdjson } from '../../src/energy/ledger-export.ts';
import { metricsText } from '../../src/energy/metrics.ts';
import { energyPerInference } from '../../src/energy/per-inference.ts';
import { powerSvg } from '../../src/energy/power-svg.ts';
import { summarise, sumUp } from '../../src/energy/summary.ts';
import { theoretical45NmJ } from '../../src/energy/theoretical.ts';
import { ledgerRecord } from './fixture.ts';

/** Friday evening to Monday, a record each six hours, in the zone of this machine. */
const startMs = new Date(2026, 10, 20, 18, 0).getTime();
const weekend = Array.from({ length: 12 }, (_, at) =>
  ledgerRecord({ startMs: startMs + at * 6 * 3_600_000 }),
);

describe('summarise', () => {
  it('sums by day and by week, each record where it begins', () => {
    const [summary] = summarise(weekend);
    expect(summary!.days.map(({ name, totals }) => [name, totals.intervals])).toEqual([
      ['2026-11-20', 1],
      ['2026-11-21', 4],
      ['2026-11-22', 4],
      ['2026-11-23', 3],
    ]);
    expect(summary!.weeks.map(({ name, totals }) => [name, totals.intervals])).toEqual([
      ['2026-11-16', 9],
      ['2026-11-23', 3],
    ]);
    expect(summary!.totals).toMatchObject({
      ticks: 120,
      energyJ: 12 * 180,
      macs: 36_000,
      tiers: [12, 12, 0, 96],
    });
  });

  it('never sums joules of different meters', () => {
    const mixed = [weekend[0]!, ledgerRecord({ source: 'plug', scope: 'plug' }), weekend[1]!];
    expect(summarise(mixed).map(({ source, totals }) => [source, totals.intervals])).toEqual([
      ['model', 2],
      ['plug', 1],
    ]);
  });

  it('puts periods in order when the clock was set back', () => {
    const names = summarise([...weekend].reverse())[0]!.days.map(({ name }) => name);
    expect(names).toEqual([...names].sort());
  });
});

describe('sumUp', () => {
  it('leaves out what is not known, and says of how much time the joules are', () => {
    const totals = sumUp([
      ledgerRecord(),
      ledgerRecord({ energyJ: null, errorJ: null, noiseJ: null, energyAboveIdleJ: null }),
    ]);
    expect(totals).toMatchObject({ wallMs: 120_000, knownMs: 60_000, energyJ: 180, ticks: 20 });
    expect(sumUp([ledgerRecord({ energyJ: null })]).energyJ).toBeNaN();
  });

  it('adds independent errors in squares and shared ones straight', () => {
    const totals = sumUp(Array.from({ length: 4 }, () => ledgerRecord({ errorJ: 3, noiseJ: 0.5 })));
    expect(totals.errorJ).toBeCloseTo(Math.sqrt(4 * 0.25) + 4 * 2.5, 12);
  });

  it('remembers throttling', () => {
    const totals = sumUp([null, 0x50000, 0x50005, 0].map((throttled) => ledgerRecord({ throttled })));
    expect([totals.throttled, totals.throttledIntervals]).toEqual([0x50005, 1]);
  });
});

describe('energyPerInference', () => {
  it('refuses what nobody can know, with the reason', () => {
    const reason = (changes: object, source: 'model' | 'hwmon' = 'hwmon') =>
      (energyPerInference(sumUp([ledgerRecord(changes)]), source) as { reason: string }).reason;
    expect(reason({ tiers: [0, 0, 0, 10] })).toBe('nothing was inferred');
    expect(reason({ energyAboveIdleJ: null })).toMatch(/at idle is not known: calibrate first/);
    expect(reason({ engineCpuMs: null })).toMatch(/was not measured/);
    expect(reason({})).toBe('0.04 J above idle are less than what the hwmon meter can tell (42.5 J)');
    expect(reason({ energyAboveIdleJ: 0.0001 }, 'model')).toMatch(/the model meter can tell \(0.001 J\)/);
  });

  it("takes this process's and then the engine's share by CPU time", () => {
    const totals = sumUp([ledgerRecord({ errorJ: 42.1, noiseJ: 0.1 })]);
    expect(energyPerInference(totals, 'model')).toEqual({
      kind: 'figure',
      joules: expect.closeTo((0.04 * (0.01 / 0.04) * (2 / 12.5)) / 2, 12),
      errorJ: expect.closeTo((0.1 * (0.01 / 0.04) * (2 / 12.5)) / 2, 9),
      inferences: 2,
      windowMs: 60_000,
    });
  });
});

describe('metricsText', () => {
  const snapshot = {
    source: 'model' as const,
    scope: 'board' as const,
    totals: sumUp(weekend),
    powerWatts: 3.01,
    meterFailures: 2,
    writeFailures: 0,
    writtenBytes: 4096,
  };

  it('has the names and labels of the exposition, each with its help and type', () => {
    const text = metricsText(snapshot);
    expect(text).toContain('# TYPE dormouse_energy_joules_total counter\n');
    expect(text).toContain('dormouse_energy_joules_total{source="model",scope="board",state="active"} 0.48');
    expect(text).toMatch(/dormouse_energy_joules_total\{source="model",scope="board",state="idle"\} 2159\.5/);
    expect(text).toContain(
      '# TYPE dormouse_power_watts gauge\ndormouse_power_watts{source="model",scope="board"} 3.01\n',
    );
    expect(text).toContain('dormouse_inferences_total{tier="0"} 12\n');
    expect(text).toContain('dormouse_inferences_skipped_total 96\n');
    expect(text).toContain('dormouse_ops_total{kind="dense_equiv"} 120000\n');
    expect(text).toContain('dormouse_meter_errors_total{source="model"} 2\n');
    for (const line of text.trim().split('\n'))
      expect(line).toMatch(
        /^(# (HELP|TYPE) dormouse_\w+ .+|dormouse_\w+(\{\w+="[\w.]+"(,\w+="[\w.]+")*\})? -?[\d.e+-]+)$/,
      );
  });

  it('leaves out what is not known, for a zero would look measured', () => {
    const totals = sumUp([ledgerRecord({ energyJ: null, energyAboveIdleJ: null, savedEstimateJ: null })]);
    expect(metricsText({ ...snapshot, source: 'hwmon' })).toContain(
      '{source="hwmon",scope="board",state="all"} 2160\n',
    );
    const text = metricsText({ ...snapshot, totals, powerWatts: Number.NaN });
    expect(text).not.toContain('scope="board"');
    expect(text).not.toContain('dormouse_power_watts');
    expect(text).not.toContain('saved');
    expect(text).not.toContain('NaN');
  });
});

describe('exports', () => {
  it('CSV has a header and a cell for each column, empty where nothing is known', () => {
    const lines = ledgerCsv([ledgerRecord({ energyJ: null })])
      .trimEnd()
      .split('\n');
    expect(lines).toHaveLength(2);
    const [header, cells] = lines.map((line) => line.split(','));
    expect(cells).toHaveLength(header!.length);
    expect(cells![header!.indexOf('energyJ')]).toBe('');
    expect(cells![header!.indexOf('start')]).toBe('2023-11-14T22:13:20.000Z');
    expect(cells![header!.indexOf('tier3')]).toBe('8');
  });

  it('NDJSON gives the records back', () => {
    expect(
      ledgerNdjson(weekend)
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual(weekend);
  });

  it('the SVG has a bar for each part of each hour that is known', () => {
    const unknown = ledgerRecord({ startMs: startMs + 999 * 3_600_000, energyJ: null });
    const svg = powerSvg(summarise([...weekend, unknown])[0]!);
    expect(svg.match(/<rect class="idle"[^>]*><title>/g)).toHaveLength(12);
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" /);
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
    expect(powerSvg(summarise([ledgerRecord({ energyAboveIdleJ: null })])[0]!)).toContain('class="all"');
  });

  it('the 45 nm figure is its two constants', () => {
    expect(theoretical45NmJ(1e12)).toBeCloseTo(0.3, 12);
  });
});
