/** Mixture-of-depths: tokens that go around a layer. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type TransformerConfig, validateConfig } from '../../src/engine/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { makeExponentTable, sigmoidQ15 } from '../../src/engine/integer.ts';
import { isTrusted, kernelNames } from '../../src/engine/kernels/choose.ts';
import type { Linear } from '../../src/engine/model.ts';
import { loadModel, saveModel } from '../../src/engine/model-file.ts';
import { paperLogits } from './paper.ts';
import { randomNumbers, tinyModel } from './tiny-model.ts';

const seed = 20261124;
const width = 24;

const configs = fc.record({
  layers: fc.subarray([0, 1, 2], { minLength: 1 }),
  capacity: fc.constantFrom(1, 0.5, 0.125),
});

function configOf(routing: { layers: number[]; capacity: number }): Partial<TransformerConfig> {
  return {
    features: width,
    layers: 3,
    window: 4,
    sequence: 8,
    tiers: [
      { layers: 3, sequence: 8, window: 4 },
      { layers: 2, sequence: 6, window: 3 },
      { layers: 1, sequence: 2, window: 2 },
    ],
    routing,
  };
}

function features(count: number, featureSeed: number): Int16Array {
  const random = randomNumbers(featureSeed);
  return Int16Array.from({ length: count * width }, () => Math.round((random() * 2 - 1) * 4000));
}

describe('routed layers', () => {
  test('compute what the integer rules say, on all kernels, and never more than the plan costs', () => {
    let around = 0;
    let through = 0;
    fc.assert(
      fc.property(configs, fc.integer(), (routing, caseSeed) => {
        const model = tinyModel({ seed: caseSeed, config: configOf(routing) });
        const ticks = features(70, caseSeed);
        const history = Array.from({ length: 70 }, (_, tick) => [
          ...ticks.subarray(tick * width, (tick + 1) * width),
        ]);
        const expected = paperLogits(model, history, 3, 4);
        for (const kernels of kernelNames.filter(isTrusted)) {
          const engine = new Engine(model, { kernels });
          const plan = engine.plans[0]!.write;
          for (let tick = 0; tick < 70; tick++) {
            engine.step(0, ticks.subarray(tick * width), plan);
            expect([...engine.logits]).toEqual(expected[tick]);
            expect(engine.stats.macs).toBeLessThanOrEqual(engine.cost(plan).macs);
            around += 3 - engine.stats.kvWrites;
            through += engine.stats.kvWrites;
          }
        }
      }),
      { seed, numRuns: 25 },
    );
    expect(around).toBeGreaterThan(1000);
    expect(through).toBeGreaterThan(1000);
  });

  test('give the same bits one by one, at once, in a batch, and as a cone', () => {
    fc.assert(
      fc.property(configs, fc.integer(), (routing, caseSeed) => {
        const model = tinyModel({ seed: caseSeed, config: configOf(routing) });
        const [single, whole, cone, batch] = [1, 2, 3, 4].map(
          () => new Engine(model, { rows: 30, streams: 2 }),
        );
        const plan = single!.plans[0]!.write;
        for (let round = 0; round < 4; round++) {
          const ticks = features(30, caseSeed + round);
          whole!.prefill(0, ticks, 30, plan);
          cone!.prefill(0, ticks, 30, plan, 'last');
          batch!.stepBatch(new Int32Array(30), ticks, 30, plan);
          for (let row = 0; row < 30; row++) {
            single!.step(0, ticks.subarray(row * width), plan);
            expect([...whole!.rowLogits(row)]).toEqual([...single!.logits]);
            expect([...batch!.rowLogits(row)]).toEqual([...single!.logits]);
          }
          expect([...cone!.logits]).toEqual([...single!.logits]);
        }
      }),
      { seed, numRuns: 20 },
    );
  });

  test('let no more through than the budget', () => {
    const model = tinyModel({ config: configOf({ layers: [1], capacity: 0.25 }) });
    const always: Linear = {
      weight: new Int8Array(16),
      bias: Int32Array.of(1000),
      multiplier: Float32Array.of(1),
    };
    const [first, routed, last] = model.weights.layers;
    const greedy = {
      ...model,
      weights: { ...model.weights, layers: [first!, { ...routed!, router: always }, last!] },
    };
    const engine = new Engine(loadModel(saveModel(greedy)));
    let through = 0;
    const passed = Array.from({ length: 400 }, (_, tick) => {
      engine.step(0, features(1, tick), engine.plans[0]!.write);
      through += engine.stats.kvWrites - 2;
      return through;
    });
    expect(passed[0]).toBe(1);
    expect(passed[399]).toBe(8 + 400 / 4 - 1);
    engine.reset(0);
    engine.step(0, features(1, 0), engine.plans[0]!.write);
    expect(engine.stats.kvWrites).toBe(3);
    expect(() => engine.rollback(0, 1)).toThrow('credits of routed layers are not taken back');
  });

  test('keep their routers in the file; other layers have none', () => {
    const model = tinyModel({ config: configOf({ layers: [1], capacity: 1 }) });
    const loaded = loadModel(saveModel(model));
    expect(loaded.config.routing).toEqual({ layers: [1], capacity: 1 });
    expect(loaded.weights.layers.map(({ router }) => router !== undefined)).toEqual([false, true, false]);
    expect(loaded.weights.layers[1]!.router).toEqual(model.weights.layers[1]!.router);
  });

  test.each([
    [{ layers: [], capacity: 1 }, 'config.routing.layers: expected ascending layers below 3, got []'],
    [{ layers: [1, 1], capacity: 1 }, 'config.routing.layers'],
    [{ layers: [3], capacity: 1 }, 'config.routing.layers'],
    [{ layers: [0], capacity: 0 }, 'config.routing.capacity: expected above 0 to 1, got 0'],
    [{ layers: [0], capacity: 1, every: 2 }, 'config.routing.every: unknown'],
  ])('are refused as %j', (routing, message) => {
    const valid = tinyModel({ config: configOf({ layers: [1], capacity: 1 }) }).config;
    expect(() => validateConfig({ ...valid, routing })).toThrow(message);
  });
});

test('the sigmoid of a router is within 25 / 32768 of the real one, from a half up', () => {
  const table = makeExponentTable();
  for (let logit = 0; logit < 12 * 65536; logit += 997) {
    const real = 32768 / (1 + Math.exp(-logit / 65536));
    expect(Math.abs(sigmoidQ15(logit, table) - real)).toBeLessThan(25);
  }
  expect(sigmoidQ15(0, table)).toBe(16384);
  expect(sigmoidQ15(2 ** 30, table)).toBe(32768);
});
