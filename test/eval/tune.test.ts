import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomModel } from '../../src/bench/random-model.ts';
import { Engine } from '../../src/engine/engine.ts';
import type { Model } from '../../src/engine/model.ts';
import { evaluateProtocol } from '../../src/eval/evaluate.ts';
import { defaultTuneOptions, policiesFor, tune } from '../../src/eval/tune.ts';
import { describeTuning, yamlOf } from '../../src/eval/tune-report.ts';
import { loadTuneRows } from '../../src/eval/tune-rows.ts';
import { openRecording, type Recording } from '../../src/recording/recording.ts';
import { randomNumbers } from '../../src/statistics/random.ts';
import { makeNormal } from './helpers.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-tune-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

const base = { time: 'time', intervalS: 1, source: 'made for this test' };

/** A switch that is on or off for a while, and a channel of noise that says nothing. */
function writeSwitch(rows: number): Recording {
  const random = randomNumbers(3);
  const normal = makeNormal(4);
  let on = 0;
  const lines = Array.from({ length: rows }, (_, t) => {
    if (random() < 0.02) on = 1 - on;
    return `${t},${(on + 0.02 * normal()).toFixed(3)},${normal().toFixed(3)},${on}`;
  });
  writeFileSync(join(directory, 'train.csv'), `time,switch,noise,label\n${lines.join('\n')}\n`);
  const description = {
    ...base,
    name: 'switch',
    task: 'classify',
    classes: ['off', 'on'],
    label: 'label',
    channels: { switch: '', noise: '' },
    train: ['train.csv'],
    test: ['test.csv'], // is not there, and must not be missed
  };
  writeFileSync(join(directory, 'recording.json'), JSON.stringify(description));
  return openRecording(directory);
}

/** A model that looks at the switch alone: its transformer says nothing, its linear path everything. */
function switchModel(): Model {
  const model = randomModel({ channels: ['switch', 'noise'], weightOf: () => 0 });
  const { features, outputs } = model.config;
  const linear = {
    weight: Int8Array.from({ length: outputs * features }, (_, i) =>
      i === 0 ? -100 : i === features ? 100 : 0,
    ),
    bias: new Int32Array(outputs),
    multiplier: new Float32Array(outputs).fill(1),
  };
  const head = { ...model.weights.head, bias: new Int32Array(outputs) };
  return {
    ...model,
    weights: { ...model.weights, linear, head },
    meaning: {
      ...model.meaning,
      channels: [
        { name: 'switch', unit: '', center: 0.5, scale: 0.5 },
        { name: 'noise', unit: '', center: 0, scale: 1 },
      ],
      intervalMs: 1000,
      task: { kind: 'classify', classes: ['off', 'on'] },
      spikes: { delta: [0.1, 0.1], heartbeat: [10, 10], refractory: [0, 0] },
    },
  };
}

describe('tune', () => {
  it('makes a channel quiet that says nothing, and keeps what was asked', () => {
    const model = switchModel();
    const rows = loadTuneRows(model, writeSwitch(1500));
    const { best, trials, denseMacsPerTick } = tune(model, rows, {
      ...defaultTuneOptions,
      policies: ['steady'],
    });
    expect(best).not.toBeNull();
    expect(best!.retentionLow).toBeGreaterThanOrEqual(0.99);
    expect(best!.settings.spikes.delta[1]).toBeGreaterThan(0.5);
    expect(best!.macsPerTick).toBeLessThan(0.6 * trials[0]!.macsPerTick);
    expect(denseMacsPerTick).toBeGreaterThan(best!.macsPerTick);
    // Nothing is deaf: a standard deviation always wakes the model.
    best!.settings.spikes.delta.forEach((delta, channel) => {
      expect(delta).toBeLessThanOrEqual(model.meaning.channels[channel]!.scale);
    });
    // No setting that was tried and kept the quality was cheaper.
    for (const trial of trials)
      if (trial.kept) expect(trial.macsPerTick).toBeGreaterThanOrEqual(best!.macsPerTick);
  });

  it('says what evaluate says of the same settings on the same rows', () => {
    const model = switchModel();
    const rows = loadTuneRows(model, writeSwitch(600));
    const { best } = tune(model, rows, { ...defaultTuneOptions });
    const evaluation = evaluateProtocol(model, rows.protocol, {
      spikes: best!.settings.spikes,
      repetitions: 0,
    });
    expect(best!.macsPerTick).toBeCloseTo(evaluation.gated.macsPerTick, 9);
    expect(best!.skipRate).toBeCloseTo(evaluation.gated.skipRate, 9);
    expect(best!.retention).toBeCloseTo(evaluation.retention, 9);
  });

  it('looks again soon after a change where that keeps more for less', () => {
    const model = switchModel();
    const rows = loadTuneRows(model, writeSwitch(600));
    const { trials } = tune(model, rows, { ...defaultTuneOptions, firstHeartbeats: [2] });
    const soon = trials.find(({ settings }) => settings.spikes.firstHeartbeat !== undefined);
    expect(soon!.settings.spikes.firstHeartbeat).toEqual([2, 2]);
    expect(soon!.change).toBe('first heartbeat 2');
  });

  it('stops when its trials are used up', () => {
    const model = switchModel();
    const rows = loadTuneRows(model, writeSwitch(300));
    const { trials } = tune(model, rows, { ...defaultTuneOptions, trials: 5 });
    expect(trials.length).toBe(5);
  });

  it('finds nothing where more is asked than can be had, and says what came nearest', () => {
    const model = switchModel();
    const rows = loadTuneRows(model, writeSwitch(300));
    const tuning = tune(model, rows, { ...defaultTuneOptions, retention: 1.5 });
    expect(tuning.best).toBeNull();
    expect(describeTuning(tuning, rows, 1.5).at(-1)).toMatch(/^None of \d+ settings keeps 1.5; nearest: /);
  });

  it('refuses a model that has no quality to keep', () => {
    const model = switchModel();
    const recording = writeSwitch(300);
    const rows = loadTuneRows(model, recording);
    const wrong = rows.protocol.tests.map(({ series, scoredFrom }) => ({
      series: { ...series, labels: series.labels!.map((label) => 1 - label) as Int8Array },
      scoredFrom,
    }));
    const reversed = { ...rows, protocol: { ...rows.protocol, tests: wrong } };
    expect(() => tune(model, reversed, defaultTuneOptions)).toThrow(/no quality on these rows/);
  });
});

describe('policiesFor', () => {
  it('leaves out what needs a prediction of regret, unless the model makes one', () => {
    const policies = policiesFor(switchModel());
    expect(policies).toContain('steady');
    expect(policies).not.toContain('energy');
    expect(policies).not.toContain('prototype');
  });
});

describe('loadTuneRows', () => {
  it('sets the last quarter apart, as training did, and never opens a test file', () => {
    const rows = loadTuneRows(switchModel(), writeSwitch(400));
    expect(rows.protocol.tests.map(({ series }) => series.rows)).toEqual([300, 100]);
    expect(rows.groupOf).toEqual([0, 1]);
    expect(rows.injected).toBe(false);
  });

  it('injects faults of every kind where anomalies are to be found and there are none', () => {
    const normal = makeNormal(9);
    const lines = Array.from(
      { length: 4000 },
      (_, t) => `${t},${normal().toFixed(3)},${normal().toFixed(3)}`,
    );
    writeFileSync(join(directory, 'train.csv'), `time,a,b\n${lines.join('\n')}\n`);
    const description = { ...base, name: 'quiet', task: 'anomaly', channels: { a: '', b: '' } };
    const files = { train: ['train.csv'], test: ['test.csv'] };
    writeFileSync(join(directory, 'recording.json'), JSON.stringify({ ...description, ...files }));
    const model = randomModel({
      channels: ['a', 'b'],
      config: { outputs: 4 },
      meaning: { task: { kind: 'anomaly', threshold: 1 } },
    });
    const rows = loadTuneRows(model, openRecording(directory));
    expect(rows.injected).toBe(true);
    const labels = rows.protocol.tests.flatMap(({ series }) => [...series.labels!]);
    expect(labels.length).toBe(4000);
    expect(labels.filter((label) => label === 1).length).toBe(1590);
    const values = rows.protocol.tests.flatMap(({ series }) => [...series.values]);
    expect(values.some(Number.isNaN)).toBe(true); // a dropout
    const { denseMacsPerTick, trials } = tune(model, rows, {
      ...defaultTuneOptions,
      trials: 3,
      retention: 0.5,
    });
    expect(denseMacsPerTick).toBeGreaterThan(0);
    expect(trials.length).toBeGreaterThanOrEqual(3);
  });

  it('leaves the rows that a control chart calibrates by healthy and unscored, of each piece', () => {
    const normal = makeNormal(9);
    const lines = Array.from(
      { length: 2100 },
      (_, t) => `${t},${normal().toFixed(3)},${normal().toFixed(3)}`,
    );
    writeFileSync(join(directory, 'train.csv'), `time,a,b\n${lines.join('\n')}\n`);
    const description = { ...base, name: 'quiet', task: 'anomaly', channels: { a: '', b: '' } };
    const files = { train: ['train.csv'], test: ['test.csv'] };
    writeFileSync(join(directory, 'recording.json'), JSON.stringify({ ...description, ...files }));
    const chart = { calibrationTicks: 100, levelHalfLife: 3, surpriseHalfLife: 3, release: 0.5 };
    const model = randomModel({
      channels: ['a', 'b'],
      config: { outputs: 4 },
      meaning: { task: { kind: 'anomaly', threshold: 1, chart } },
    });
    const { protocol } = loadTuneRows(model, openRecording(directory));
    // 1575 rows to train on, 525 for validation.
    expect(protocol.tests.map(({ series }) => series.rows)).toEqual([591, 592, 592, 525]);
    for (const { series, scoredFrom } of protocol.tests) {
      expect(scoredFrom).toBe(100);
      expect(series.labels!.slice(0, 100).every((label) => label === 0)).toBe(true);
      expect(series.labels!.slice(100).some((label) => label === 1)).toBe(true);
    }
  });

  it('takes anomalies that are labelled as they are, and injects faults elsewhere', () => {
    const rows = (label: (t: number) => string) =>
      Array.from({ length: 300 }, (_, t) => `${t},${t % 7},${t % 5}${label(t)}`).join('\n');
    writeFileSync(join(directory, 'train.csv'), `time,a,b,label\n${rows((t) => (t > 250 ? ',1' : ',0'))}\n`);
    writeFileSync(join(directory, 'quiet.csv'), `time,a,b\n${rows(() => '')}\n`);
    const description = {
      ...base,
      name: 'mixed',
      task: 'anomaly',
      label: 'label',
      channels: { a: '', b: '' },
    };
    const files = { train: ['train.csv'], validation: ['quiet.csv'], test: ['test.csv'] };
    writeFileSync(join(directory, 'recording.json'), JSON.stringify({ ...description, ...files }));
    const task = { kind: 'anomaly', threshold: 1 } as const;
    const model = randomModel({ channels: ['a', 'b'], config: { outputs: 4 }, meaning: { task } });
    const { injected, protocol } = loadTuneRows(model, openRecording(directory));
    expect(injected).toBe(true);
    expect(protocol.tests.map(({ series }) => series.labels!.filter((label) => label === 1).length)).toEqual([
      49, 120,
    ]);
  });

  it('tunes a forecast by the growth of its error', () => {
    const lines = Array.from({ length: 400 }, (_, t) => `${t},${Math.sin(t / 9).toFixed(4)}`);
    writeFileSync(join(directory, 'train.csv'), `time,a\n${lines.join('\n')}\n`);
    const description = { ...base, name: 'wave', task: 'forecast', horizon: 3, channels: { a: '' } };
    const files = { train: ['train.csv'], test: ['test.csv'] };
    writeFileSync(join(directory, 'recording.json'), JSON.stringify({ ...description, ...files }));
    const task = { kind: 'forecast', horizon: 3 } as const;
    const model = randomModel({ channels: ['a'], config: { outputs: 3 }, meaning: { task } });
    const rows = loadTuneRows(model, openRecording(directory));
    const { best } = tune(model, rows, { ...defaultTuneOptions, trials: 20, retention: 0.5 });
    expect(best!.kept).toBe(true);
  });

  it('says which rows it misses', () => {
    expect(() => loadTuneRows(switchModel(), writeSwitch(10))).toThrow(
      /expected training or validation rows/,
    );
  });
});

describe('yamlOf', () => {
  it('is what a gateway config takes', () => {
    const { meaning } = switchModel();
    const { spikes } = meaning;
    expect(yamlOf({ spikes, policy: 'steady' }, meaning)).toBe(
      'policy: steady\nspikes:\n  switch: { delta: 0.1, heartbeat: 10, refractory: 0 }\n  noise: { delta: 0.1, heartbeat: 10, refractory: 0 }\n',
    );
  });
});

it('the switch model answers by its switch', () => {
  const model = switchModel();
  const engine = new Engine(model);
  const features = new Int16Array(model.config.features);
  features[0] = 1024;
  engine.step(0, features, engine.plans[0]!.write);
  expect(engine.logits[1]).toBeGreaterThan(engine.logits[0]!);
});
