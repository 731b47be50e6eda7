import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UsageError } from '../../src/cli/command.ts';
import { command } from '../../src/cli/eval.ts';
import { Engine } from '../../src/engine/engine.ts';
import { saveModel } from '../../src/engine/model-file.ts';
import { scaleThresholds } from '../../src/eval/passes.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import { resultOf } from '../../src/gateway/results.ts';
import { openRecording, readSeries } from '../../src/recording/recording.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { makeNormal } from '../eval/helpers.ts';
import { captureOutput } from './captured-output.ts';

const model = tinyModel();
const description = {
  name: 'room',
  task: 'classify',
  classes: ['empty', 'occupied'],
  time: 'time',
  label: 'label',
  channels: { humidity: '', temperature: '' },
  train: ['train.csv'],
  test: ['a.csv', 'b.csv'],
  intervalS: 1,
  source: 'made for this test',
};

let directory = '';
const output = captureOutput();

function csv(seed: number, rows: number): string {
  const normal = makeNormal(seed);
  let temperature = 20;
  const lines = Array.from({ length: rows }, (_, t) => {
    temperature += 0.4 * normal();
    return `${t},${(20 + normal()).toFixed(2)},${temperature.toFixed(2)},${temperature > 20 ? 1 : 0}`;
  });
  return `time,humidity,temperature,label\n${lines.join('\n')}\n`;
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-eval-'));
  writeFileSync(join(directory, 'recording.json'), JSON.stringify(description));
  for (const [seed, name] of ['train', 'a', 'b'].entries())
    writeFileSync(join(directory, `${name}.csv`), csv(seed + 1, 120));
  writeFileSync(join(directory, 'model.safetensors'), saveModel(model));
});
afterAll(() => rmSync(directory, { recursive: true }));

const path = (name: string) => join(directory, name);

describe('eval --next-tick', () => {
  it('shows who predicts the next tick how well, and what sending by that takes', async () => {
    const folder = mkdtempSync(join(directory, 'anomaly-'));
    const { classes: _, ...rest } = description;
    writeFileSync(join(folder, 'recording.json'), JSON.stringify({ ...rest, task: 'anomaly' }));
    for (const [seed, name] of ['train', 'a', 'b'].entries())
      writeFileSync(join(folder, `${name}.csv`), csv(seed + 1, 200));
    const predicting = tinyModel({
      config: { outputs: 4 },
      meaning: { task: { kind: 'anomaly', threshold: 2 } },
    });
    writeFileSync(join(folder, 'model.safetensors'), saveModel(predicting));
    const call = [join(folder, 'model.safetensors'), folder, '--next-tick'];
    expect(await command.run([...call, '--json'])).toBe(0);
    const { nextTick } = JSON.parse(output.written);
    expect(nextTick.isOwn).toBe(false);
    expect(Object.keys(nextTick.dense.scores)).toEqual(['model', 'hold', 'trend', 'average', 'ranked']);
    expect(nextTick.dense.scores.ranked.mae).toBeLessThan(nextTick.dense.scores.model.mae);
    expect(nextTick.sending).toHaveLength(4);
    output.written = '';
    expect(await command.run(call)).toBe(0);
    expect(output.written).toMatch(
      /\nevery tick a token, \d+ readings +MAE +NLL +CRPS +put out\n {2}model +\d/,
    );
    expect(output.written).toMatch(/\n {2}forecast, ranked +[\d.]+ %/);
    await expect(command.run([path('model.safetensors'), directory, '--next-tick'])).rejects.toThrow(
      /got one that classifies/,
    );
  });
});

describe('eval', () => {
  it('prints one JSON object', async () => {
    expect(await command.run([path('model.safetensors'), directory, '--json'])).toBe(0);
    expect(output.written.trimEnd()).not.toContain('\n');
    const evaluation = JSON.parse(output.written);
    expect(Object.keys(evaluation)).toEqual([
      'task',
      'metric',
      'dense',
      'gated',
      'retention',
      'retentionInterval',
      'computeReduction',
      'timeReduction',
      'tiers',
      'float',
      'curve',
      'rivals',
    ]);
    expect(Object.keys(evaluation.dense)).toEqual(['metric', 'interval', 'macsPerTick']);
    expect(Object.keys(evaluation.gated)).toEqual([
      'metric',
      'interval',
      'macsPerTick',
      'skipRate',
      'tierShares',
    ]);
    expect(Object.keys(evaluation.gated.interval)).toEqual(['accuracy', 'accuracy:a.csv', 'accuracy:b.csv']);
    expect(Object.keys(evaluation.metric)).toEqual([
      'accuracy',
      'balancedAccuracy',
      'macroF1',
      'accuracy:a.csv',
      'accuracy:b.csv',
    ]);
  });

  it('prints a table with the rivals in it, marks the best and says who wins', async () => {
    await command.run([path('model.safetensors'), directory]);
    const lines = output.written.split('\n');
    expect(lines[0]).toBe('room (classify; 2 files; temperature, humidity)');
    expect(lines[3]).toMatch(
      /^ +accuracy +balanced +macro F1 +a\.csv +b\.csv +95 % of accuracy +MACs\/tick$/,
    );
    const names = lines.slice(4, 12).map((line) => line.split('  ')[0]);
    expect(names).toEqual([
      'gated',
      'dense',
      'dense, tier 1',
      'dense, tier 2',
      'majority',
      'bestThreshold',
      'linearDiscriminant',
      'decimation',
    ]);
    // The label is a threshold on the temperature, and a random model knows nothing.
    expect(lines[9]).toMatch(/^bestThreshold +(0\.9\d+|1\.0000)\*/);
    expect(output.written).toMatch(/\nbestThreshold beats the gated model in accuracy: \S+ against \S+\.\n/);
    expect(output.written).toMatch(/\nSkipped \S+ % of ticks \(tier 0 /);
  });

  it('traces what the gateway would publish, tick for tick', async () => {
    await command.run([path('model.safetensors'), directory, '--json', '--trace', path('trace.ndjson')]);
    const lines = readFileSync(path('trace.ndjson'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const recording = { ...openRecording(directory), channels: model.meaning.channels };
    const pipeline = new Pipeline(new Engine(model), 0);
    const expected = ['a.csv', 'b.csv'].flatMap((file) => {
      const { rows, timeMs, values } = readSeries(recording, file);
      pipeline.reset();
      return Array.from({ length: rows }, (_, row) => {
        const witness = pipeline.tick({ timeMs: timeMs[row]!, values: values.slice(2 * row, 2 * row + 2) });
        return { file, ...resultOf(witness, pipeline.output, model.meaning) };
      });
    });
    expect(lines).toEqual(JSON.parse(JSON.stringify(expected)));
  });

  it('evaluates one file alone', async () => {
    await command.run([path('model.safetensors'), path('b.csv'), '--json']);
    expect(Object.keys(JSON.parse(output.written).metric)).toContain('accuracy:b.csv');
    expect(Object.keys(JSON.parse(output.written).metric)).not.toContain('accuracy:a.csv');
  });

  it('takes a policy and other thresholds', async () => {
    const skipRate = async (...options: string[]) => {
      output.written = '';
      await command.run([path('model.safetensors'), directory, '--json', ...options]);
      return JSON.parse(output.written).gated.skipRate as number;
    };
    const usual = await skipRate();
    expect(await skipRate('--threshold-scale', '4')).toBeGreaterThan(usual);
    expect(await skipRate('--threshold-scale', '0')).toBe(0);
    expect(await skipRate('--policy', 'prototype')).toBe(usual);
  });

  it('runs with other thresholds, and draws what each costs', async () => {
    const plot = path('quality.svg');
    const asked = ['--policy', 'steady', '--curve', '0,1,4', '--plot', plot];
    await command.run([path('model.safetensors'), directory, '--json', ...asked]);
    const { curve, gated, dense } = JSON.parse(output.written);
    expect(curve.map((point: { thresholdScale: number }) => point.thresholdScale)).toEqual([0, 1, 4]);
    expect(curve[0].metric).toEqual(dense.metric);
    expect(curve[0].retention).toBe(1);
    expect(curve[1].macsPerTick).toBe(gated.macsPerTick);
    expect(curve[2].skipRate).toBeGreaterThan(gated.skipRate);
    const svg = readFileSync(plot, 'utf8');
    expect(svg).toMatch(/^<svg [^>]*role="img">/);
    expect(svg).toContain('room, accuracy on a.csv');
    expect(svg).toContain('x 4</text>');
    expect(svg).not.toContain('NaN');
  });

  it('shows another model beside, on the channels that it knows', async () => {
    writeFileSync(path('small.safetensors'), saveModel(tinyModel({ channels: ['humidity'] })));
    const beside = ['--beside', path('small.safetensors')];
    await command.run([path('model.safetensors'), directory, '--json', ...beside]);
    const { rivals } = JSON.parse(output.written);
    output.written = '';
    await command.run([path('small.safetensors'), directory, '--json']);
    const alone = JSON.parse(output.written);
    expect(rivals['small.safetensors']).toEqual(alone.dense);
    // The label is in the temperature, which the small model does not know but its rivals do.
    expect(alone.rivals.bestThreshold.metric.accuracy).toBeGreaterThan(0.9);
    output.written = '';
    await command.run([path('small.safetensors'), directory, '--json', '--without', 'temperature']);
    expect(JSON.parse(output.written).rivals.bestThreshold.metric.accuracy).toBeLessThan(0.9);
  });

  it('scales deltas alone', () => {
    const spikes = { delta: [1, 2], heartbeat: [3, 4], refractory: [5, 6] };
    expect(scaleThresholds(spikes, 0.5)).toEqual({ ...spikes, delta: [0.5, 1] });
  });
});

describe('refuses', () => {
  it.each([
    [[], 'expected a model file'],
    [['model'], 'expected a recording'],
    [['model', 'recording', 'more'], "expected one model file and one recording, got also 'more'"],
    [['model', 'recording', '--policy', 'bold'], "got 'bold'"],
    [['model', 'recording', '--curve', '1,x'], "--curve: expected a number from 0 to 1000, got 'x'"],
    [['model', 'recording', '--threshold-scale', '-1'], '--threshold-scale'],
    [
      ['model', 'recording', '--threshold-scale', 'low'],
      "--threshold-scale: expected a number from 0 to 1000, got 'low'",
    ],
    [['model', 'recording', '--wrong'], "Unknown option '--wrong'"],
  ])('%j', async (args, problem) => {
    await expect(command.run(args)).rejects.toThrow(UsageError);
    await expect(command.run(args)).rejects.toThrow(problem);
  });

  it('a model that is not there', async () => {
    await expect(command.run([path('none.safetensors'), directory])).rejects.toThrow(
      'none.safetensors: expected a model file, got no such file',
    );
  });

  it('a recording that is not there', async () => {
    await expect(command.run([path('model.safetensors'), path('none')])).rejects.toThrow(
      'expected a recording, found nothing there',
    );
  });

  it('a model of another task, or other channels', async () => {
    const meaning = { task: { kind: 'anomaly', threshold: 3 } } as const;
    writeFileSync(path('other.safetensors'), saveModel(tinyModel({ config: { outputs: 4 }, meaning })));
    await expect(command.run([path('other.safetensors'), directory])).rejects.toThrow(
      'room: expected the task anomaly, as the model has it, got classify',
    );
    writeFileSync(path('other.safetensors'), saveModel(tinyModel({ channels: ['noise', 'humidity'] })));
    await expect(command.run([path('other.safetensors'), directory])).rejects.toThrow(
      "room: expected a channel 'noise', got humidity, temperature",
    );
  });
});
