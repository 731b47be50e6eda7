/** A recording as tensors: the streams of the encoders, with the right answer beside each token. */
import { describe, expect, it } from 'vitest';
import { FEATURE_ONE } from '../../src/engine/limits.ts';
import { validateMeaning } from '../../src/engine/meaning.ts';
import { readTensors } from '../../src/engine/safetensors.ts';
import type { Dataset } from '../../src/train/dataset.ts';
import { encodeDataset } from '../../src/train/encode.ts';
import { encodeSeries, makePool } from '../../src/train/tokens.ts';
import { smallConfig, smallDataset, smallSettings } from './small-dataset.ts';

const classify = { kind: 'classify', classes: ['below', 'above'] } as const;
const settings = { ...smallSettings.pool, seed: 3 };

function encoded(dataset: Dataset) {
  const { tensors, metadata } = readTensors(encodeDataset(dataset, settings));
  const of = (name: string) => tensors.get(name)!;
  return { tensors, metadata, of };
}

describe('encodeDataset', () => {
  const dataset = smallDataset(classify);
  const { of, metadata, tensors } = encoded(dataset);

  it('has each stream as the encoders make it, the dense ones first', () => {
    const [long, short] = dataset.train;
    const starts = of('train.starts').data;
    expect([...starts.slice(0, 3)]).toEqual([0, 400, 420]);
    expect(starts).toHaveLength(2 * settings.variants + 1);
    const features = of('train.features');
    expect(features.shape).toEqual([Number(starts.at(-1)), 24]);
    const dense = encodeSeries(long!, { ...dataset, dense: true });
    const gated = encodeSeries(short!, { ...dataset, dense: false });
    const part = (from: number, count: number) =>
      Int16Array.from(
        features.data.slice(24 * from, 24 * (from + count)) as Float32Array,
        (one) => one * FEATURE_ONE,
      );
    expect(part(0, 400)).toEqual(dense.features);
    expect(part(Number(starts[3]), gated.rows.length)).toEqual(gated.features);
  });

  it('has each token’s class, and how long its answer stands', () => {
    const targets = of('train.targets');
    expect([targets.dtype, targets.shape]).toEqual(['I32', [of('train.features').shape[0]]]);
    expect([...targets.data.slice(0, 400)]).toEqual([...dataset.train[0]!.labels!]);
    const pool = makePool(dataset, dataset.train, settings);
    expect([...of('train.hold').data]).toEqual([...pool.hold]);
  });

  it('has the rows set aside, dense and with the thresholds', () => {
    const starts = of('validation.starts').data;
    expect([starts.length, starts[0], starts[1]]).toEqual([3, 0, 200]);
    expect(Number(starts[2])).toBeLessThan(400);
    expect(of('validation.targets').shape).toEqual([Number(starts[2])]);
    const without = readTensors(encodeDataset({ ...dataset, validation: [] }, settings)).tensors;
    expect([...without.keys()].filter((name) => name.startsWith('validation'))).toEqual([]);
    expect(tensors.size).toBe(8);
  });

  it('says what quantisation needs to know', () => {
    expect(JSON.parse(metadata.get('config')!)).toEqual({ features: 24, outputs: 2 });
    const meaning = validateMeaning(JSON.parse(metadata.get('meaning')!), smallConfig(classify));
    expect(meaning).toMatchObject({ channels: dataset.channels, spikes: dataset.spikes, task: classify });
  });

  it('has the ticks to come where they are to be predicted', () => {
    const forecast = smallDataset({ kind: 'forecast', horizon: 2 });
    const { data, shape } = encoded(forecast).of('train.targets');
    expect(shape[1]).toBe(4);
    const { values } = forecast.train[0]!;
    const next = [values[2]!, values[4]!, values[3]!, values[5]!].map(Math.fround);
    expect([...data.slice(0, 4)]).toEqual(next);
    expect([...data.slice(4 * 399, 4 * 400)]).toEqual(Array(4).fill(Number.NaN));
    const anomaly = encoded(smallDataset({ kind: 'anomaly', threshold: 0 })).of('train.targets');
    expect([...anomaly.data.slice(0, 2)]).toEqual([values[2]!, values[3]!].map(Math.fround));
  });
});
