/** What was trained in float and quantised afterwards is as good as what training quantised itself. */
import { describe, expect, it } from 'vitest';
import { loadModel, saveModel } from '../../src/engine/model-file.ts';
import type { Series } from '../../src/recording/recording.ts';
import { loadFloatModel, saveFloatModel } from '../../src/train/float-model.ts';
import { quantiseFloatModel, settingsFor, trialRows } from '../../src/train/post-training.ts';
import { train } from '../../src/train/trainer.ts';
import { smallConfig, smallDataset, smallSeries, smallSettings } from './small-dataset.ts';

const classify = { kind: 'classify', classes: ['below', 'above'] } as const;

describe('a model that was trained here', () => {
  it('is as good when it comes back through a file', async () => {
    const dataset = smallDataset(classify);
    const config = smallConfig(classify);
    const { parameters, validation } = await train(dataset, config, smallSettings, 1, () => {});
    const float = loadFloatModel(saveFloatModel({ config, parameters }));
    const result = quantiseFloatModel(dataset, float, settingsFor(config, smallSettings));
    expect(result.comparison.rows).toBe(200);
    expect(result.comparison.agreement).toBeGreaterThan(0.98);
    expect(result.comparison.relativeError).toBeLessThan(0.1);
    for (const kind of ['dense', 'gated'] as const) {
      const own = result.engine![kind].accuracy!;
      expect(Math.abs(own - validation![kind].accuracy!)).toBeLessThan(0.011);
      expect(Math.abs(own - result.float![kind].accuracy!)).toBeLessThan(0.011);
    }
    expect(loadModel(saveModel(result.model)).meaning.task).toEqual(classify);
  });

  it('gets a threshold of its own where it tells anomalies, and needs no rows set aside', async () => {
    const task = { kind: 'anomaly', threshold: 0 } as const;
    const dataset = { ...smallDataset(task), validation: [] };
    const config = smallConfig(task);
    const { parameters, model } = await train(dataset, config, { ...smallSettings, steps: 20 }, 1, () => {});
    const result = quantiseFloatModel(dataset, { config, parameters }, settingsFor(config, smallSettings));
    expect([result.float, result.engine, result.comparison.rows]).toEqual([null, null, 420]);
    const threshold = (of: typeof model) => (of.meaning.task as { threshold: number }).threshold;
    expect(threshold(result.model)).toBeCloseTo(threshold(model), 1);
  });
});

describe('trialRows', () => {
  const starts = (series: readonly Series[]) =>
    series.map(({ name, timeMs, rows }) => [name, timeMs[0]! / 1000, rows]);

  it('are all rows where there are few', () => {
    const few = [smallSeries(1000, 1), smallSeries(1048, 2)];
    expect(trialRows(few)).toBe(few);
  });

  it('are spread over all series otherwise, to the first row and the last', () => {
    const parts = starts(trialRows([smallSeries(1000, 1), smallSeries(28, 2), smallSeries(5100, 3)]));
    expect(parts).toHaveLength(16);
    expect(parts[0]).toEqual(['seed 1', 0, 128]);
    expect(parts[2]).toEqual(['seed 1', 800, 128]);
    expect(parts[3]).toEqual(['seed 3', 172, 128]);
    expect(parts[15]).toEqual(['seed 3', 4972, 128]);
    const cut = starts(trialRows([smallSeries(810, 1), smallSeries(5318, 2)]));
    expect(cut[2]).toEqual(['seed 1', 800, 10]);
  });
});

describe('settingsFor', () => {
  it('makes batches in which the windows of all layers fit', () => {
    const config = { ...smallConfig(classify), layers: 4, window: 100 };
    const { sequence, shardSequences } = settingsFor(config, smallSettings);
    expect(sequence).toBe(200);
    expect(sequence * shardSequences).toBeGreaterThan(4 * 99 + 16);
  });
});
