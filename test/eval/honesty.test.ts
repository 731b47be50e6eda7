/** The way from training to score can't cheat: where labels mean nothing, nothing is learned, and nobody is asked who knows the row. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { evaluate, evaluateProtocol } from '../../src/eval/evaluate.ts';
import { type Series, withoutChannels } from '../../src/recording/recording.ts';
import { loadDataset } from '../../src/train/dataset.ts';
import { Random } from '../../src/train/random.ts';
import { defaultSettings } from '../../src/train/settings.ts';
import { train } from '../../src/train/trainer.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { smallConfig, smallDataset, smallSeries, smallSettings } from '../train/small-dataset.ts';
import { makeRecording } from './helpers.ts';

const classify = { kind: 'classify', classes: ['below', 'above'] } as const;

/** The same labels as often, at other rows. */
function shuffled(series: Series, seed: number): Series {
  const random = new Random(seed);
  const labels = series.labels!.slice();
  for (let row = labels.length - 1; row > 0; row--) {
    const other = random.below(row + 1);
    [labels[row], labels[other]] = [labels[other]!, labels[row]!];
  }
  return { ...series, labels };
}

/** Balanced accuracy of a model trained and tested on these labels, dense and gated. */
async function trainAndScore(relabel: (series: Series, seed: number) => Series) {
  const whole = smallDataset(classify);
  const dataset = {
    ...whole,
    train: whole.train.map((series, index) => relabel(series, index)),
    validation: whole.validation.map((series, index) => relabel(series, 10 + index)),
  };
  const { model } = await train(dataset, smallConfig(classify), smallSettings, 1, () => {});
  const series = relabel(smallSeries(2000, 99), 20);
  const recording = makeRecording({
    classes: [...classify.classes],
    channels: dataset.channels.map(({ name, unit }) => ({ name, unit })),
  });
  const evaluation = evaluateProtocol(
    model,
    {
      recording,
      channels: 2,
      train: dataset.train,
      tests: [{ series, scoredFrom: 0 }],
      standardiser: { mean: new Float64Array(2), deviation: new Float64Array(2).fill(1) },
    },
    { repetitions: 0 },
  );
  const { dense, gated, tiers, rivals } = evaluation;
  return [dense, gated, ...tiers, ...Object.values(rivals)].map(({ metric }) => metric.balancedAccuracy!);
}

describe('a row number', () => {
  // Whoever knows the row knows the class: an oracle, for these rows and for no others.
  const directory = mkdtempSync(join(tmpdir(), 'dormouse-honesty-'));
  afterAll(() => rmSync(directory, { recursive: true }));
  const write = (name: string, from: number) => {
    const rows = Array.from({ length: 60 }, (_, row) => {
      const level = Math.sin(row * 7).toFixed(3);
      return `${row},${level},${from + row},${row < 30 ? 0 : 1}`;
    });
    writeFileSync(join(directory, name), ['time,level,row,label', ...rows, ''].join('\n'));
  };
  write('train.csv', 0);
  write('test.csv', 60);
  const recording = makeRecording({
    classes: [...classify.classes],
    channels: ['level', 'row'].map((name) => ({ name, unit: '' })),
    directory,
    train: [{ file: 'train.csv', from: 0, to: Number.POSITIVE_INFINITY }],
    test: [{ file: 'test.csv', from: 0, to: Number.POSITIVE_INFINITY }],
  });
  const refusal =
    "channel 'row': expected readings that a sensor could repeat, got a value that rises with every row";
  const channel = { unit: '', center: 0, scale: 1 };
  const spikes = (count: number) => ({
    delta: Array(count).fill(0.1),
    heartbeat: Array(count).fill(60),
    refractory: Array(count).fill(0),
  });
  const modelOf = (...names: string[]) =>
    tinyModel({
      channels: names,
      meaning: {
        channels: names.map((name) => ({ ...channel, name })),
        task: classify,
        spikes: spikes(names.length),
      },
    });

  it('is nothing to train, calibrate or encode on', () => {
    expect(() => loadDataset(recording, defaultSettings.dataset)).toThrow(refusal);
  });

  it('is nothing to be scored on, by a model that sees it or by a rival alone, unless forced', () => {
    for (const model of [modelOf('level', 'row'), modelOf('level')]) {
      expect(() => evaluate(model, recording, { repetitions: 0 })).toThrow(refusal);
      expect(evaluate(model, recording, { repetitions: 0, allowClocks: true }).task).toBe('classify');
    }
    const left = withoutChannels(recording, ['row']);
    expect(evaluate(modelOf('level'), left, { repetitions: 0 }).task).toBe('classify');
  });
});

describe('labels', () => {
  it('are learned where they mean something', async () => {
    const [dense, gated] = await trainAndScore((series) => series);
    expect(dense).toBeGreaterThan(0.9);
    expect(gated).toBeGreaterThan(0.9);
  });

  it('that are shuffled leave chance, for the model at every tier and for every rival', async () => {
    for (const score of await trainAndScore(shuffled)) {
      // A deviation of chance over 1000 rows of each class is 0.011.
      expect(Math.abs(score - 0.5)).toBeLessThan(0.05);
    }
  });
});
