/** The pure parts of scripts/skab-selection.mjs: what is injected, into which rows, and how charts are compared on them. */
import { describe, expect, it } from 'vitest';
import { caseKinds, makeCases, trainingSeries } from '../../scripts/skab-selection/cases.ts';
import { injectPumpFault, pumpFaults } from '../../scripts/skab-selection/pump-faults.ts';
import { byOrigin } from '../../scripts/skab-selection/selection.ts';
import { judge, traceCase } from '../../scripts/skab-selection/traces.ts';
import { openRecording, type Series } from '../../src/recording/recording.ts';
import { Random } from '../../src/train/random.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { makeRecording, realRecording } from '../eval/helpers.ts';

const names = [
  'accelerometer1_rms',
  'accelerometer2_rms',
  'current',
  'pressure',
  'temperature',
  'thermocouple',
  'voltage',
  'volume_flow_rate_rms',
];
const channels = names.length;
const recording = makeRecording({
  task: 'anomaly',
  calibrationRows: 60,
  channels: names.map((name) => ({ name, unit: '' })),
});

function healthy(name: string, rows: number, seed: number): Series {
  const random = new Random(seed);
  return {
    name,
    rows,
    timeMs: Float64Array.from({ length: rows }, (_, row) => 1000 * row),
    values: Float64Array.from({ length: rows * channels }, () => 10 + random.normal()),
    labels: null,
  };
}

const training = [healthy('long', 2000, 1), ...[2, 3, 4].map((seed) => healthy(`short ${seed}`, 60, seed))];

describe('a fault of a pump', () => {
  const rows = 400;
  const ordinary = new Float64Array(rows * channels).fill(10);
  const inject = (kind: string, seed: number) => {
    const values = ordinary.slice();
    const ones = new Float64Array(channels).fill(1);
    const elsewhere = healthy('other', rows, 9).values;
    injectPumpFault(
      values,
      names,
      { from: 100, to: 250 },
      pumpFaults[kind]!,
      ones,
      elsewhere,
      new Random(seed),
    );
    return values;
  };
  /** Channels that differ from the ordinary somewhere in rows [from, to). */
  const touched = (values: Float64Array, from: number, to: number) =>
    names.filter((_, channel) =>
      Array.from({ length: to - from }, (_, row) => values[(from + row) * channels + channel]).some(
        (value) => value !== 10,
      ),
    );
  const seeds = Array.from({ length: 40 }, (_, seed) => seed);

  it.each(Object.keys(pumpFaults))(
    '%s leaves the rows before it alone, and changes those that it is in',
    (kind) => {
      for (const seed of seeds) {
        const values = inject(kind, seed);
        expect(touched(values, 0, 100)).toEqual([]);
        // A stuck sensor says nothing new where the ordinary rows stand still.
        if (kind !== 'generic') expect(touched(values, 100, 250).length).toBeGreaterThan(1);
        expect(values.every(Number.isFinite)).toBe(true);
      }
    },
  );

  it('moves what goes together, and nothing else', () => {
    const allowed: Record<string, readonly string[]> = {
      heat: ['temperature', 'thermocouple'],
      imbalance: ['accelerometer1_rms', 'accelerometer2_rms', 'current'],
      leak: ['pressure', 'thermocouple', 'volume_flow_rate_rms'],
    };
    for (const [kind, some] of Object.entries(allowed))
      for (const seed of seeds)
        expect(some).toEqual(expect.arrayContaining(touched(inject(kind, seed), 0, rows)));
  });

  it('takes flow away when a valve closes', () => {
    for (const seed of seeds) {
      const flow = Array.from(
        { length: 150 },
        (_, row) => inject('valve', seed)[(100 + row) * channels + 7]!,
      );
      expect(Math.min(...flow)).toBeLessThan(10 - 0.5);
      expect(Math.max(...flow)).toBeLessThanOrEqual(10);
    }
  });

  it('is mostly over when it is over', () => {
    const lasting = seeds.filter((seed) => touched(inject('heat', seed), 250, rows).length > 0);
    expect(lasting.length).toBeGreaterThan(0);
    expect(lasting.length).toBeLessThan(20);
  });
});

describe('cases', () => {
  const cases = makeCases(recording, training, 5);

  it('are the same for the same number, and others for another', () => {
    expect(makeCases(recording, training, 5)).toEqual(cases);
    expect(makeCases(recording, training, 6)).not.toEqual(cases);
  });

  it('have one run each after the calibration, about half of the rows, at any time', () => {
    const begins = new Set<number>();
    let faulty = 0;
    let judged = 0;
    for (const { series, calibrationRows, kind } of Array.from({ length: 20 }, (_, set) =>
      makeCases(recording, training, set),
    ).flat()) {
      const from = series.labels!.indexOf(1);
      const to = series.labels!.lastIndexOf(1) + 1;
      expect(from).toBeGreaterThanOrEqual(calibrationRows);
      expect(series.labels!.subarray(from, to).every((label) => label === 1)).toBe(true);
      expect(series.changePoints![from]).toBe(1);
      expect(series.changePoints!.reduce((sum, value) => sum + value, 0)).toBe(to < series.rows ? 2 : 1);
      if (kind === 'stretch') begins.add(from);
      faulty += to - from;
      judged += series.rows - calibrationRows;
    }
    expect(begins.size).toBeGreaterThan(100);
    expect(faulty / judged).toBeGreaterThan(0.45);
    expect(faulty / judged).toBeLessThan(0.6);
  });

  it('are of both kinds, and leave the training rows as they were', () => {
    expect(new Set(cases.map(({ kind }) => kind))).toEqual(new Set(caseKinds));
    expect(training[0]!.values).toEqual(healthy('long', 2000, 1).values);
    for (const { series, calibrationRows, kind } of cases)
      expect([series.rows, calibrationRows]).toEqual(kind === 'stretch' ? [820, 60] : [60, 30]);
  });

  it('come from the rows that training may see and no other', (context) => {
    const directory = realRecording('skab');
    if (directory === null) return context.skip();
    const real = openRecording(directory);
    for (const { name, rows } of trainingSeries(real)) {
      expect(rows, name).toBe(name === 'anomaly-free.csv' ? 9405 : 400);
    }
  });
});

describe('a chart', () => {
  const chart = {
    calibrationTicks: 60,
    levelHalfLife: 3,
    surpriseHalfLife: 5,
    release: 0.75,
    unit: 'average',
    recovery: { share: 0.4, halfLife: 80, intervals: 10 },
  } as const;
  const task = { kind: 'anomaly', threshold: 5, chart } as const;
  const model = tinyModel({
    channels: names,
    config: { outputs: 2 * channels },
    meaning: {
      task,
      channels: names.map((name) => ({ name, unit: '', center: 10, scale: 1 })),
      spikes: { delta: names.map(() => 3), heartbeat: names.map(() => 3), refractory: names.map(() => 0) },
    },
  });

  it.each([false, true])('is judged as the gateway judges it; gated: %s', (gating) => {
    let alarms = 0;
    for (const one of makeCases(recording, training, 1)) {
      const trace = traceCase(model, one, gating);
      expect(judge(task, trace, one.calibrationRows).alarms).toEqual(trace.alarms);
      alarms += trace.alarms.reduce((sum, value) => sum + value, 0);
      // The first token predicts; the ones after it are judged.
      expect(trace.tokens.includes(0, 1)).toBe(gating);
    }
    expect(alarms).toBeGreaterThan(100);
  });

  it('is compared by the series that cases come from', () => {
    const blocked = {
      name: 'f1',
      groupNames: [],
      groups: [[Float64Array.of(1, 2), Float64Array.of(3, 4), Float64Array.of(5, 6)]],
      quality: () => 0,
      metricOf: () => 0,
    };
    const cases = [{ origin: 'a' }, { origin: 'b' }, { origin: 'a' }];
    expect(byOrigin(blocked, cases).groups).toEqual([[Float64Array.of(6, 8), Float64Array.of(3, 4)]]);
  });
});
