/** The linear path over the past: fitted as brute force fits it, seen by training as the engine computes it. */
import { describe, expect, it, test } from 'vitest';
import { type TransformerConfig, validateConfig } from '../../src/engine/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { loadModel, saveModel } from '../../src/engine/model-file.ts';
import { CHANGES_PER_CHANNEL, featureCount } from '../../src/gate/features.ts';
import type { Series } from '../../src/recording/recording.ts';
import type { Dataset } from '../../src/train/dataset.ts';
import { loadFloatModel, saveFloatModel } from '../../src/train/float-model.ts';
import { fitHistory } from '../../src/train/history-fit.ts';
import { realPast, tracePast } from '../../src/train/past.ts';
import { makePastModel, networkConfig, withHistory } from '../../src/train/past-model.ts';
import { Random } from '../../src/train/random.ts';
import { sampleBatch } from '../../src/train/sampler.ts';
import { encodeSeries, makePool, tokenShape } from '../../src/train/tokens.ts';
import { train } from '../../src/train/trainer.ts';
import { warmUp } from '../../src/train/warm-up.ts';
import { floats, makeWorkspace } from '../../src/train/workspace.ts';
import { smallConfig, smallDataset, smallSettings } from './small-dataset.ts';

const HORIZON = 5;
const task = { kind: 'forecast', horizon: HORIZON } as const;

/** Two waves that a few values of the past foretell, and a hint of noise. `from`: rows since the recording began. */
function waves(rows: number, seed: number, from = 0, noise = 0.05): Series {
  const random = new Random(seed);
  const values = new Float64Array(2 * rows);
  for (let row = 0; row < rows; row++) {
    const at = row + from;
    values[2 * row] = Math.sin(at / 4) + 0.5 * Math.sin(at / 1.7) + noise * random.normal() + 1;
    values[2 * row + 1] = Math.cos(at / 5) + 0.3 * Math.sin(at / 2.3) + noise * random.normal() - 2;
  }
  const timeMs = Float64Array.from({ length: rows }, (_, row) => 1000 * (row + from));
  return { name: 'waves', rows, timeMs, values, labels: null };
}

function dataset(): Dataset {
  return { ...smallDataset(task), train: [waves(400, 1)], validation: [waves(150, 2, 400)] };
}

function configOf(data: Dataset, fit: ReturnType<typeof fitHistory>): TransformerConfig {
  return validateConfig(withHistory(smallConfig(task), fit, data));
}

/** Mean squared error of a fit with its first `rank` components over all windows of a series, one by one. */
function errorOf(fit: ReturnType<typeof fitHistory>, series: Series, rank: number, from: number): number {
  let sum = 0;
  let count = 0;
  for (let channel = 0; channel < 2; channel++) {
    const x = (row: number) => series.values[2 * row + channel]!;
    for (let origin = from; origin + HORIZON < series.rows; origin++) {
      const z = Array.from({ length: rank }, (_, k) => {
        let own = fit.bias[k]!;
        for (let i = 0; i < fit.rows; i++) {
          own += fit.basis[k * fit.rows + i]! * (x(origin - fit.rows + 1 + i) - x(origin));
        }
        return own;
      });
      for (let ahead = 0; ahead < HORIZON; ahead++) {
        let forecast = x(origin);
        for (let k = 0; k < rank; k++) forecast += fit.readout[ahead * fit.ranks[0] + k]! * z[k]!;
        sum += (x(origin + 1 + ahead) - forecast) ** 2;
        count++;
      }
    }
  }
  return sum / count;
}

describe('fitHistory', () => {
  const data = dataset();
  const fit = fitHistory(data, [4, 12, 20]);

  it('says of the validation rows what forecasting each window says', () => {
    const [{ series, past }] = warmUp(data, data.validation, fit.rows) as [{ series: Series; past: number }];
    expect(past).toBe(fit.rows);
    for (const tier of [0, 1, 2] as const) {
      // The first window ends with the row before the first validation row.
      expect(errorOf(fit, series, fit.ranks[tier], fit.rows - 1)).toBeCloseTo(fit.validation[tier], 9);
    }
  });

  it('chooses a length that is long enough, and ranks that fall', () => {
    expect(fit.rows).toBeGreaterThan(4);
    expect(fit.validation[0]).toBeLessThan(fitHistory(data, [4]).validation[0]);
    const [first, second, third] = fit.ranks;
    expect(first >= second && second >= third && third >= 1).toBe(true);
    expect(fit.validation[0] / fit.validation[1]).toBeGreaterThanOrEqual(0.985);
    expect(fit.validation[0] / fit.validation[2]).toBeGreaterThanOrEqual(0.97);
  });

  it('has orthonormal directions, and gives the present value no weight', () => {
    const [rank] = fit.ranks;
    for (let a = 0; a < rank; a++) {
      expect(fit.basis[a * fit.rows + fit.rows - 1]).toBe(0);
      for (let b = 0; b <= a; b++) {
        let dot = 0;
        for (let i = 0; i < HORIZON; i++) dot += fit.readout[i * rank + a]! * fit.readout[i * rank + b]!;
        expect(dot).toBeCloseTo(a === b ? 1 : 0, 9);
      }
    }
  });

  it('takes the ranks that it is given, or refuses them', () => {
    const given = fitHistory(data, [12], [4, 2, 1]);
    expect(given.ranks).toEqual([4, 2, 1]);
    expect(given.readout).toHaveLength(HORIZON * 4);
    expect(() => fitHistory(data, [12], [4, 5, 1])).toThrow(
      'ranks: expected three that fall, from 5 at most, got 4,5,1',
    );
  });

  it('refuses rows that do not suffice', () => {
    expect(() => fitHistory(data, [1000])).toThrow(
      'history: expected training and validation rows for windows of 1000 + 5, got 0 and 0 windows',
    );
  });
});

describe('the past as training sees it', () => {
  const data = dataset();
  const past = makePastModel(data, fitHistory(data, [12]));
  const config = configOf(data, past.fit);
  const width = featureCount(2);
  const tokens = encodeSeries(data.validation[0]!, { ...data, dense: false });

  test('leads where the engine says, bit for bit, over ticks that made no token', async () => {
    expect(tokens.rows.length).toBeLessThan(150);
    const { model } = await train(data, config, { ...smallSettings, steps: 2 }, 1, () => {}, null, past);
    const engine = new Engine(model);
    const plan = { ...engine.plans[0]!.write, layers: 0 };
    const { forecasts } = tracePast(past.map, tokens.features, tokenShape(data), tokens.rows);
    tokens.rows.forEach((row, token) => {
      if (token > 0) engine.hold(0, row - tokens.rows[token - 1]! - 1);
      engine.step(0, tokens.features.subarray(token * width), plan);
      const own = forecasts.subarray(token * 2 * HORIZON, (token + 1) * 2 * HORIZON);
      expect([...own]).toEqual(Array.from(engine.logits, (logit) => Math.fround(logit / 65536)));
    });
  });

  test('is close to what the real numbers behind it say', () => {
    const own = tracePast(past.map, tokens.features, tokenShape(data), tokens.rows);
    const real = tracePast(realPast(past.fit, past.step), tokens.features, tokenShape(data), tokens.rows);
    const farthest = (a: ArrayLike<number>, b: ArrayLike<number>) =>
      Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
    expect(farthest(own.forecasts, real.forecasts)).toBeLessThan(0.04);
    expect(farthest(own.features, real.features)).toBeLessThan(100);
    expect(own.largest).toBeGreaterThan(2000);
  });

  test('leaves to the network what is missing, of all components or of those of tier 1', () => {
    const series = [waves(40, 5)];
    const reduced = 1;
    const pool = makePool(data, series, { ...smallSettings.pool, seed: 1, variants: 2 }, past.map, reduced);
    const shape = { sequences: 1, length: 40 };
    const workspace = makeWorkspace(networkConfig(config), 'forecast', { sequences: 1, rows: 40 });
    const plain = { levelJitter: 0, levelNoise: 0, gainJitter: 0, channelDropout: 0, eventShuffle: 0 };
    const settings = { seed: 1, holdMax: 1, layerDropout: 0, ...plain };
    const denseOnly = { ...pool, variantStarts: pool.variantStarts.slice(0, 2) };
    const [rank] = past.fit.ranks;
    for (const [rankDropout, used] of [
      [0, rank],
      [1, reduced],
    ] as const) {
      sampleBatch(workspace, denseOnly, shape, { ...settings, rankDropout }, 0, 0);
      const view = new Int16Array(workspace.memory.buffer, workspace.features, 40 * pool.featureCount);
      const targets = floats(workspace, workspace.targets, 40 * 2 * HORIZON);
      for (const token of [0, 7, 30]) {
        const components = Array.from(
          { length: rank },
          (_, k) => view[token * pool.featureCount + width + k]!,
        );
        expect(components.filter((_, k) => k >= used).every((value) => value === 0)).toBe(true);
        let forecast = view[token * pool.featureCount]! / 1024;
        for (let k = 0; k < used; k++) forecast += past.map.readout[k]! * components[k]!;
        const came = pool.values[2 * (token + 1)]!;
        expect(targets[token * 2 * HORIZON]).toBeCloseTo(came - forecast, 3);
      }
    }
  });
});

describe('training beside the past', () => {
  const data = dataset();
  const past = makePastModel(data, fitHistory(data, [12]));
  const config = configOf(data, past.fit);
  const settings = { ...smallSettings, steps: 30, evaluateEvery: 5 };
  const run = () => train(data, config, settings, 1, () => {}, null, past);

  it('is never worse than the linear path alone, and the same every time', async () => {
    const [first, second] = [await run(), await run()];
    expect(Buffer.from(saveModel(first.model)).equals(Buffer.from(saveModel(second.model)))).toBe(true);
    const { alone, validation, tiers, model } = first;
    expect(validation!.dense.loss + validation!.gated.loss).toBeLessThanOrEqual(
      alone!.dense.loss + alone!.gated.loss,
    );
    expect(tiers[0]).toEqual(validation);
    expect(tiers).toHaveLength(3);
    expect(loadModel(saveModel(model)).weights).toEqual(model.weights);
  });

  it('runs no transformer where it brings nothing', async () => {
    const { model, validation, alone } = await train(
      data,
      config,
      { ...settings, steps: 4, evaluateEvery: 4, learningRate: 1 },
      1,
      () => {},
      null,
      past,
    );
    expect(model.config.tiers.map(({ layers }) => layers)).toEqual([0, 0, 0]);
    expect(validation).toEqual(alone);
  });

  it('is left to the path alone when asked for', async () => {
    const { model, exits } = await train(
      data,
      config,
      { ...settings, lineAlone: true },
      1,
      () => {},
      null,
      past,
    );
    expect(model.config.tiers.map(({ layers }) => layers)).toEqual([0, 0, 0]);
    expect(exits).toEqual([]);
  });

  it('leaves a float file that is read back', async () => {
    const { model, parameters } = await run();
    const float = { config: model.config, parameters, past };
    const loaded = loadFloatModel(saveFloatModel(float));
    expect(loaded.parameters).toEqual(parameters);
    expect(loaded.past!.fit.ranks).toEqual(past.fit.ranks);
    expect(loaded.past!.fit.basis[3]).toBeCloseTo(past.fit.basis[3]!, 6);
    const spoilt = Buffer.from(saveFloatModel(float))
      .toString('latin1')
      .replace('history.step', 'history.stop');
    expect(() => loadFloatModel(Buffer.from(spoilt, 'latin1'))).toThrow(
      'history.step: expected F32 [1], got none',
    );
  });

  it('keeps the value of channel c at feature c x stride', () => {
    expect(config.history!.stride).toBe(CHANGES_PER_CHANNEL);
  });
});

describe('warmUp', () => {
  it('takes the rows that end just before, and no others', () => {
    const data = dataset();
    const later = waves(20, 3, 401);
    expect(warmUp(data, [waves(20, 3, 400), later], 30).map(({ past }) => past)).toEqual([30, 0]);
    const { series } = warmUp(data, [waves(20, 3, 400)], 30)[0]!;
    expect(series.rows).toBe(50);
    expect([...series.timeMs.slice(29, 31)]).toEqual([399_000, 400_000]);
    expect(series.values[58]).toBe(data.train[0]!.values[798]);
  });
});
