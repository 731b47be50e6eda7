/** The way from training to score can't cheat: where labels mean nothing, nothing is learned and nothing is scored. */
import { describe, expect, it } from 'vitest';
import { evaluateProtocol } from '../../src/eval/evaluate.ts';
import type { Series } from '../../src/recording/recording.ts';
import { Random } from '../../src/train/random.ts';
import { train } from '../../src/train/trainer.ts';
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
