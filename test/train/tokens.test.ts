/** Training streams are what the gate makes, and samples of them carry the right targets. */
import { describe, expect, it } from 'vitest';
import { FeatureEncoder, featureCount } from '../../src/gate/features.ts';
import { makeSpikePacket, SpikeEncoder } from '../../src/gate/spike-encoder.ts';
import { sampleBatch } from '../../src/train/sampler.ts';
import { encodeSeries, makePool } from '../../src/train/tokens.ts';
import { floats, makeWorkspace } from '../../src/train/workspace.ts';
import { smallConfig, smallDataset, smallSettings } from './small-dataset.ts';

const classify = { kind: 'classify', classes: ['below', 'above'] } as const;
const forecast = { kind: 'forecast', horizon: 3 } as const;
const plain = {
  ...smallSettings,
  levelJitter: 0,
  levelNoise: 0,
  gainJitter: 0,
  channelDropout: 0,
  eventShuffle: 0,
};
const shape = { sequences: 4, length: 16 };
const rows = shape.sequences * shape.length;

describe('encodeSeries', () => {
  const dataset = smallDataset(classify);
  const series = dataset.train[0]!;

  it('makes a token of each tick that fires, with the features of the gate', () => {
    const stream = encodeSeries(series, { ...dataset, dense: false });
    const spikes = new SpikeEncoder(dataset.channels, dataset.spikes);
    const features = new FeatureEncoder(dataset.channels);
    const packet = makeSpikePacket(2);
    const out = new Int16Array(featureCount(2));
    let token = 0;
    let last = 0;
    for (let row = 0; row < series.rows; row++) {
      const frame = { timeMs: series.timeMs[row]!, values: series.values.slice(2 * row, 2 * row + 2) };
      spikes.encode(frame, row === 0 ? 0 : 1, packet);
      if (!packet.fired) continue;
      features.encode(frame, packet, token === 0 ? 0 : row - last, out);
      expect(stream.rows[token]).toBe(row);
      expect([...stream.features.subarray(token * out.length, (token + 1) * out.length)]).toEqual([...out]);
      last = row;
      token++;
    }
    expect(stream.rows.length).toBe(token);
    expect(token).toBeLessThan(series.rows / 2);
  });

  it('makes a token of every tick when dense, each channel fired', () => {
    const stream = encodeSeries(series, { ...dataset, dense: true });
    expect(stream.rows.length).toBe(series.rows);
    const width = featureCount(2);
    for (let row = 0; row < series.rows; row++) {
      expect([stream.features[row * width + 2], stream.features[row * width + 6]]).toEqual([1024, 1024]);
    }
  });
});

describe('with trends', () => {
  const dataset = { ...smallDataset(classify), features: 'trends' } as const;
  const series = dataset.train[0]!;
  const width = featureCount(2, 'trends');
  const trendsAt = (features: Int16Array, row: number) =>
    [4, 14].map((at) => [...features.slice(row * width + at, row * width + at + 6)]);

  it('gives a token the trends of its tick, whatever was skipped before', () => {
    const dense = encodeSeries(series, { ...dataset, dense: true });
    const gated = encodeSeries(series, { ...dataset, dense: false });
    expect(gated.rows.length).toBeLessThan(series.rows / 2);
    gated.rows.forEach((row, token) => {
      expect(trendsAt(gated.features, token)).toEqual(trendsAt(dense.features, row));
    });
  });

  it('stretches and blanks trends with their channel, and shifts of levels leave them', () => {
    const pool = makePool(dataset, dataset.train, { ...smallSettings.pool, seed: 3 });
    const workspace = makeWorkspace(smallConfig(classify, 'trends'), 'classify', {
      sequences: shape.sequences,
      rows,
    });
    const sample = (settings: typeof smallSettings) => {
      sampleBatch(workspace, pool, shape, settings, 5, 1);
      return new Int16Array(workspace.memory.buffer, workspace.features, rows * width).slice();
    };
    const before = sample(plain);
    const shifted = sample({ ...plain, levelNoise: 1 });
    const stretched = sample({ ...plain, gainJitter: 1 });
    const blanked = sample({ ...plain, channelDropout: 0.9 });
    let moved = 0;
    let blank = 0;
    for (let row = 0; row < rows; row++) {
      expect(trendsAt(shifted, row)).toEqual(trendsAt(before, row));
      if (shifted[row * width] !== before[row * width]) moved++;
      trendsAt(before, row).forEach((own, channel) => {
        const other = trendsAt(stretched, row)[channel]!;
        for (const [i, feature] of own.entries()) expect(Math.sign(other[i]!)).toBe(Math.sign(feature));
        if (trendsAt(blanked, row)[channel]!.every((feature) => feature === 0)) blank++;
        else expect(trendsAt(blanked, row)[channel]).toEqual(own);
      });
    }
    expect(moved).toBeGreaterThan(rows / 2);
    expect(blank).toBeGreaterThan(rows / 2);
    expect(stretched).not.toEqual(before);
  });
});

describe('makePool', () => {
  it('covers every tick of every stream by the hold of one token', () => {
    const dataset = smallDataset(classify);
    const pool = makePool(dataset, dataset.train, { ...smallSettings.pool, seed: 3 });
    for (let stream = 0; stream + 1 < pool.streamStarts.length; stream++) {
      let tick = pool.ticks[pool.streamStarts[stream]!]!;
      for (let token = pool.streamStarts[stream]!; token < pool.streamStarts[stream + 1]!; token++) {
        expect(pool.ticks[token]).toBe(tick);
        tick += pool.hold[token]!;
      }
      expect(tick).toBe(pool.streamEnds[stream]);
    }
  });

  it('is the same for the same seed only', () => {
    const dataset = smallDataset(classify);
    const make = (seed: number) => [
      ...makePool(dataset, dataset.train, { ...smallSettings.pool, seed }).ticks,
    ];
    expect(make(3)).toEqual(make(3));
    expect(make(3)).not.toEqual(make(4));
  });
});

describe('sampleBatch', () => {
  function sample(task: typeof classify | typeof forecast, settings: typeof smallSettings) {
    const dataset = smallDataset(task);
    const pool = makePool(dataset, dataset.train, { ...settings.pool, seed: 3 });
    const workspace = makeWorkspace(smallConfig(task), task.kind, { sequences: shape.sequences, rows });
    const weight = sampleBatch(workspace, pool, shape, settings, 5, 1);
    const features = new Int16Array(workspace.memory.buffer, workspace.features, rows * pool.featureCount);
    return {
      pool,
      weight,
      features,
      targets: floats(workspace, workspace.targets, rows * workspace.targetSize),
      weights: floats(workspace, workspace.weights, rows),
    };
  }

  it('labels each token with the class of its tick', () => {
    const { features, targets, weights, weight, pool } = sample(classify, plain);
    let total = 0;
    for (let row = 0; row < rows; row++) {
      total += weights[row]!;
      const level = features[row * pool.featureCount]!;
      // Near zero the noise of a row may differ in sign from its level.
      if (weights[row]! > 0 && Math.abs(level) > 100) expect(targets[row]).toBe(level > 0 ? 1 : 0);
    }
    expect(weight).toBeCloseTo(total, 3);
    expect(total).toBeGreaterThan(0);
  });

  it('moves a forecast with the levels that it shifts', () => {
    const shifted = { ...plain, levelNoise: 2 };
    const before = sample(forecast, plain);
    const after = sample(forecast, shifted);
    const width = before.pool.featureCount;
    for (let row = 0; row < rows; row++) {
      for (let channel = 0; channel < 2; channel++) {
        const level = (batch: typeof before) => batch.features[row * width + 4 * channel]! / 1024;
        const shift = level(after) - level(before);
        if (Math.abs(level(after)) > 7.9) continue;
        for (let ahead = 0; ahead < 3; ahead++) {
          const at = row * 6 + channel * 3 + ahead;
          if (Number.isNaN(before.targets[at]!)) expect(after.targets[at]).toBeNaN();
          else expect(after.targets[at]! - before.targets[at]!).toBeCloseTo(shift, 2);
        }
      }
    }
  });

  it('blanks channels whole', () => {
    const { features, pool, weights } = sample(classify, { ...plain, channelDropout: 0.5 });
    const blank = new Set<boolean>();
    for (let sequence = 0; sequence < shape.sequences; sequence++) {
      const first = sequence * shape.length;
      const used = [...weights.subarray(first, first + shape.length)].map(
        (weight, token) => [weight, token] as const,
      );
      const levels = used
        .filter(([weight]) => weight > 0)
        .map(([, token]) => features[(first + token) * pool.featureCount]);
      blank.add(levels.every((level) => level === 0));
    }
    expect(blank).toEqual(new Set([true, false]));
  });
});
