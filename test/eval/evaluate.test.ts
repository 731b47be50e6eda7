import { describe, expect, it } from 'vitest';
import { Engine } from '../../src/engine/engine.ts';
import type { ModelMeaning } from '../../src/engine/model.ts';
import { evaluateProtocol, retention } from '../../src/eval/evaluate.ts';
import { EvaluationError, matchRecording } from '../../src/eval/match-recording.ts';
import type { Protocol } from '../../src/eval/protocols.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import type { Recording, Series } from '../../src/recording/recording.ts';
import { fitStandardiser } from '../../src/statistics/statistics.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { makeNormal, makeRecording, makeSeries } from './helpers.ts';

const channels = [
  { name: 'temperature', unit: '' },
  { name: 'humidity', unit: '' },
];
const classify = { channels, classes: ['empty', 'occupied'] };

function protocolOf(changes: Partial<Recording>, series: Series, scoredFrom: number): Protocol {
  const standardiser = fitStandardiser(series.values, 2);
  const tests = [{ series, scoredFrom }];
  return {
    recording: makeRecording({ channels, ...changes }),
    channels: 2,
    train: [series],
    tests,
    standardiser,
  };
}

/** Two slow channels; the label is a guess that a random model shares now and then. */
function wandering(rows: number, step = 0.4): Series {
  const normal = makeNormal(11);
  const now = [20, 20];
  const values = Array.from({ length: rows }, () =>
    now.map((_, c) => (now[c]! += step * normal() + 0.05 * (20 - now[c]!))),
  );
  return makeSeries(
    'a.csv',
    values,
    values.map(([a]) => (a! > 20 ? 1 : 0)),
  );
}

describe('evaluate', () => {
  const model = tinyModel();
  const series = wandering(300);
  const protocol = protocolOf(classify, series, 0);
  const evaluation = evaluateProtocol(model, protocol, { repetitions: 1 });

  it('is what a pipeline does, row by row', () => {
    const pipeline = new Pipeline(new Engine(model), 0);
    let right = 0;
    for (let row = 0; row < series.rows; row++) {
      pipeline.tick({ timeMs: series.timeMs[row]!, values: series.values.slice(2 * row, 2 * row + 2) });
      if (pipeline.output.classIndex === series.labels![row]) right++;
    }
    const { counters } = pipeline;
    expect(evaluation.metric.accuracy).toBeCloseTo(right / series.rows, 12);
    expect(evaluation.gated.skipRate).toBeCloseTo(counters.skips / series.rows, 12);
    expect(evaluation.gated.macsPerTick).toBeCloseTo(counters.macs / series.rows, 9);
  });

  it('has a dense baseline that computes every tick, with its cache', () => {
    const engine = new Engine(model);
    const pipeline = new Pipeline(engine, 0, { gating: false });
    for (let row = 0; row < series.rows; row++) {
      pipeline.tick({ timeMs: series.timeMs[row]!, values: series.values.slice(2 * row, 2 * row + 2) });
    }
    expect(evaluation.dense.macsPerTick).toBeCloseTo(pipeline.counters.macs / series.rows, 9);
    expect(evaluation.dense.macsPerTick).toBeLessThanOrEqual(engine.cost(engine.plans[0]!.write).macs);
  });

  it('has numbers that belong together', () => {
    const { gated, dense } = evaluation;
    expect(gated.tierShares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 12);
    expect(gated.skipRate).toBe(gated.tierShares[3]);
    expect(gated.skipRate).toBeGreaterThan(0.1);
    expect(gated.skipRate).toBeLessThan(0.9);
    expect(evaluation.computeReduction).toBeCloseTo(dense.macsPerTick / gated.macsPerTick, 12);
    expect(evaluation.retention).toBeCloseTo(gated.metric.accuracy! / dense.metric.accuracy!, 12);
    const [low, high] = evaluation.retentionInterval;
    expect(low).toBeLessThanOrEqual(evaluation.retention);
    expect(high).toBeGreaterThanOrEqual(evaluation.retention);
    expect(high - low).toBeLessThan(1);
    expect(evaluation.timeReduction).toBeGreaterThan(0);
    expect(evaluation.metric).toEqual(gated.metric);
  });

  it('runs every tick at each tier by itself', () => {
    const { tiers, dense } = evaluation;
    const { retention: kept, ...zero } = tiers[0];
    expect(zero).toEqual(dense);
    expect(kept).toBe(1);
    const engine = new Engine(model);
    for (const tier of [1, 2] as const) {
      const cost = engine.cost(engine.plans[tier]!.write).macs;
      expect(tiers[tier].macsPerTick).toBeLessThanOrEqual(cost);
      expect(tiers[tier].macsPerTick).toBeGreaterThan(0.9 * cost);
    }
    expect(tiers[1].macsPerTick).toBeLessThan(dense.macsPerTick);
  });

  it('gives every run and rival an interval around its own figure', () => {
    const { dense, gated, rivals, tiers } = evaluation;
    for (const { metric, interval } of [dense, gated, ...tiers, ...Object.values(rivals)]) {
      const [low, high] = interval.accuracy!;
      expect(low).toBeLessThanOrEqual(metric.accuracy!);
      expect(high).toBeGreaterThanOrEqual(metric.accuracy!);
    }
  });

  it('decimates at the rate of the gate', () => {
    const { decimation } = evaluation.rivals;
    const rate = decimation!.macsPerTick! / evaluation.dense.macsPerTick;
    expect(Math.abs(rate - (1 - evaluation.gated.skipRate))).toBeLessThan(0.02);
    expect(Object.keys(evaluation.rivals)).toEqual([
      'majority',
      'bestThreshold',
      'linearDiscriminant',
      'decimation',
    ]);
  });

  it('computes hardly anything while nothing happens, and holds its answer', () => {
    const still = makeSeries(
      'a.csv',
      Array.from({ length: 600 }, () => [20, 20]),
      Array(600).fill(0),
    );
    const { gated, dense } = evaluateProtocol(model, protocolOf(classify, still, 0), { repetitions: 0 });
    // The heartbeat is 60 intervals.
    expect(gated.skipRate).toBeCloseTo(590 / 600, 12);
    expect(dense.macsPerTick).toBeGreaterThan(40 * gated.macsPerTick);
  });

  it('skips less with a lower threshold, and takes another policy', () => {
    const { spikes } = model.meaning;
    const finer = { ...spikes, delta: spikes.delta.map((delta) => delta / 2) };
    const options = { repetitions: 0, spikes: finer, policy: 'prototype' } as const;
    const { gated } = evaluateProtocol(model, protocol, options);
    expect(gated.skipRate).toBeLessThan(evaluation.gated.skipRate);
    expect(gated.tierShares.slice(1, 3).some((share) => share > 0)).toBe(true);
  });

  it('shows each row of the gated run to a trace', () => {
    const rows: number[] = [];
    const trace = { row: (_: number, row: number) => rows.push(row) };
    evaluateProtocol(model, protocol, { repetitions: 0, trace });
    expect(rows).toEqual(Array.from({ length: 300 }, (_, row) => row));
  });

  it('tells of its passes', () => {
    const passes: string[] = [];
    const onProgress = (pass: string, done: number, total: number) => passes.push(`${pass} ${done}/${total}`);
    evaluateProtocol(model, protocol, { repetitions: 1, onProgress, curveScales: [2] });
    expect(passes).toEqual([
      'gated 0/9',
      'dense 1/9',
      'decimated 2/9',
      'gated, timed 3/9',
      'dense, timed 4/9',
      'tier 0 5/9',
      'tier 1 6/9',
      'tier 2 7/9',
      'thresholds x 2 8/9',
    ]);
  });
});

describe('nothing leaks', () => {
  const model = tinyModel();
  const outputsOf = (series: Series) => {
    const outputs: string[] = [];
    const trace = {
      row: (_: number, __: number, output: Pipeline['output']) =>
        outputs.push([...output.probabilities].join(' ')),
    };
    evaluateProtocol(model, protocolOf(classify, series, 0), { repetitions: 0, trace });
    return outputs;
  };
  const series = wandering(200);

  it('from the labels', () => {
    expect(outputsOf({ ...series, labels: series.labels!.map((label) => 1 - label) })).toEqual(
      outputsOf(series),
    );
  });

  it('from the clock: only gaps count', () => {
    expect(outputsOf({ ...series, timeMs: series.timeMs.map((timeMs) => timeMs + 1e12) })).toEqual(
      outputsOf(series),
    );
  });

  it('from the future', () => {
    const other = { ...series, values: series.values.map((value, i) => (i < 200 ? value : 99)) };
    const [a, b] = [outputsOf(series), outputsOf(other)];
    expect(b.slice(0, 100)).toEqual(a.slice(0, 100));
    expect(b[100]).not.toEqual(a[100]);
  });

  it('from one file into the next', () => {
    const twice = protocolOf(classify, series, 0);
    const tests = [twice.tests[0]!, { series: { ...series, name: 'b.csv' }, scoredFrom: 0 }];
    const { metric } = evaluateProtocol(model, { ...twice, tests }, { repetitions: 0 });
    expect(metric['accuracy:a.csv']).toBe(metric['accuracy:b.csv']);
  });
});

describe('the other tasks', () => {
  it('anomaly: calibrates per file and scores the rest', () => {
    const meaning: Partial<ModelMeaning> = { task: { kind: 'anomaly', threshold: 3 } };
    const model = tinyModel({ config: { outputs: 4 }, meaning });
    const calm = wandering(400, 0.1);
    const values = calm.values.map((value, i) => (i >= 600 ? value + (i % 40) : value));
    const series = { ...calm, values, labels: calm.labels!.map((_, row) => (row >= 300 ? 1 : 0)) };
    const changes = { task: 'anomaly', calibrationRows: 200 } as const;
    const {
      task,
      metric,
      rivals,
      retention: kept,
      retentionInterval,
    } = evaluateProtocol(model, protocolOf(changes, series, 200), { repetitions: 0 });
    expect(task).toBe('anomaly');
    expect(Object.keys(metric)).toEqual([
      'f1',
      'falseAlarmRate',
      'missedAlarmRate',
      'auprc',
      'falseAlarmsPerDay',
      'detectedShare',
      'detectionDelayS',
      'f1:threshold',
      'falseAlarmRate:threshold',
      'missedAlarmRate:threshold',
      'auprc:threshold',
      'falseAlarmsPerDay:threshold',
      'detectedShare:threshold',
      'detectionDelayS:threshold',
    ]);
    expect(Object.keys(rivals)).toEqual(['ewmaT2', 'hotellingT2', 'pcaT2Q', 'everything', 'decimation']);
    expect(metric.f1).toBeGreaterThan(0.5);
    expect(kept).toBeGreaterThan(0.5);
    // There is but one file to draw from.
    expect(retentionInterval).toEqual([kept, kept]);
  });

  it('forecast: scores every window', () => {
    const meaning: Partial<ModelMeaning> = { task: { kind: 'forecast', horizon: 5 } };
    const model = tinyModel({ config: { outputs: 10 }, meaning });
    const changes = { task: 'forecast', horizon: 5 } as const;
    const protocol = protocolOf(changes, wandering(400), 350);
    const evaluation = evaluateProtocol(model, protocol, { repetitions: 0 });
    const { metric, dense, rivals, retention: kept, retentionInterval } = evaluation;
    expect(metric.mse).toBeGreaterThan(0);
    expect(dense.metric.mse).toBeGreaterThan(0);
    expect(retentionInterval[0]).toBeLessThanOrEqual(kept);
    expect(retentionInterval[1]).toBeGreaterThanOrEqual(kept);
    expect(Object.keys(rivals)).toEqual(['repeatLast', 'linear336', 'decimation']);
  });
});

describe('retention', () => {
  it('is that of the worst file', () => {
    const dense = { accuracy: 1, 'accuracy:a.csv': 1, 'accuracy:b.csv': 0.8 };
    const gated = { accuracy: 0.9, 'accuracy:a.csv': 0.95, 'accuracy:b.csv': 0.72 };
    expect(retention('classify', gated, dense)).toBeCloseTo(0.9, 12);
  });

  it('is unknown where the dense model has nothing to keep', () => {
    expect(retention('anomaly', { f1: 0.6 }, { f1: 0 })).toBeNaN();
    expect(retention('anomaly', { f1: 0.6 }, { f1: Number.NaN })).toBeNaN();
    const dense = { 'accuracy:a.csv': 0, 'accuracy:b.csv': 1 };
    expect(retention('classify', { 'accuracy:a.csv': 0, 'accuracy:b.csv': 1 }, dense)).toBeNaN();
  });

  it('falls where an error grows', () => {
    expect(retention('forecast', { mse: 0.5 }, { mse: 0.4 })).toBeCloseTo(0.8, 12);
    expect(retention('anomaly', { f1: 0.6 }, { f1: 0.8 })).toBeCloseTo(0.75, 12);
  });
});

describe('matchRecording', () => {
  const model = tinyModel();
  const recording = makeRecording(classify);

  it("takes the model's channels in the model's order", () => {
    const more = { ...recording, channels: [{ name: 'co2', unit: 'ppm' }, channels[1]!, channels[0]!] };
    expect(matchRecording(model, more).channels).toEqual(channels);
    expect(matchRecording(model, more).ignoredColumns).toEqual(['co2']);
  });

  it.each([
    [{ task: 'anomaly' }, 'made: expected the task classify, as the model has it, got anomaly'],
    [{ intervalMs: 60_000 }, 'expected an interval in ms of 1000, as the model has it, got 60000'],
    [{ classes: ['no', 'yes'] }, 'expected the classes empty, occupied, as the model has it, got no, yes'],
    [
      { channels: [channels[0]!, { name: 'humidity', unit: '%' }] },
      "expected channel 'humidity' in no unit, as the model has it, got %",
    ],
  ] as [Partial<Recording>, string][])('refuses %j', (changes, problem) => {
    expect(() => matchRecording(model, { ...recording, ...changes })).toThrow(EvaluationError);
    expect(() => matchRecording(model, { ...recording, ...changes })).toThrow(problem);
  });

  it('refuses another horizon', () => {
    const meaning: Partial<ModelMeaning> = { task: { kind: 'forecast', horizon: 5 } };
    const forecaster = tinyModel({ config: { outputs: 10 }, meaning });
    const other = makeRecording({ channels, task: 'forecast', horizon: 6 });
    expect(() => matchRecording(forecaster, other)).toThrow(
      'expected a horizon of 5, as the model has it, got 6',
    );
  });

  it('refuses a recording that lacks a channel', () => {
    const fewer = { ...recording, channels: [channels[0]!] };
    expect(() => matchRecording(model, fewer)).toThrow(
      "made: expected a channel 'humidity', got temperature",
    );
  });
});
