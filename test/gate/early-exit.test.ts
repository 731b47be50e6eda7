import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { randomFeatures, randomModel } from '../../src/bench/random-model.ts';
import { Engine } from '../../src/engine/engine.ts';
import { loadModel, saveModel } from '../../src/engine/model-file.ts';
import { confidenceQ16 } from '../../src/gate/confidence.ts';
import { EarlyExit } from '../../src/gate/early-exit.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';

const seed = 20261124;
const never = Number.POSITIVE_INFINITY;
const always = Number.NEGATIVE_INFINITY;

function pair(modelSeed: number, confidence: number) {
  const model = randomModel({ seed: modelSeed });
  const engine = new Engine(model);
  return {
    model,
    plain: new Engine(model),
    engine,
    early: new EarlyExit(engine, { layers: 1, confidenceQ16: confidence }),
  };
}

describe('confidence', () => {
  test('of classes: the lead of the best over the next', () => {
    const task = { kind: 'classify', classes: ['a', 'b', 'c'] } as const;
    expect(confidenceQ16(task, Int32Array.of(-5, 70, 30))).toBe(40);
    expect(confidenceQ16(task, Int32Array.of(9, 9, -2))).toBe(0);
  });

  test('of predictions: minus the mean log scale', () => {
    const task = { kind: 'anomaly', threshold: 3 } as const;
    expect(confidenceQ16(task, Int32Array.of(900, -900, -300, 100))).toBe(100);
  });

  test('of forecasts: none', () => {
    expect(confidenceQ16({ kind: 'forecast', horizon: 1 }, Int32Array.of(5, 5))).toBe(0);
  });
});

describe('EarlyExit', () => {
  test('a demand that is never met gives the bits of the engine itself, for one head more', () => {
    const { model, plain, early } = pair(1, never);
    for (let tick = 0; tick < 60; tick++) {
      const features = randomFeatures(model.config.features, tick);
      const plan = plain.plans[tick % 3]![tick % 7 === 0 ? 'freeze' : 'write'];
      plain.step(0, features, plan);
      early.step(0, features, plan);
      expect([...early.logits]).toEqual([...plain.logits]);
      expect(early.stats.macs).toBe(plain.stats.macs + (plan.tier === 0 ? 2 * (16 + 24) : 0));
      expect(early.stats.kvWrites).toBe(plain.stats.kvWrites);
    }
    expect(early.counters).toEqual({ exits: 0, tokens: 20 });
  });

  test('one that is always met runs the first layers, and leaves keys and values in all', () => {
    const { model, plain, early } = pair(2, always);
    for (let tick = 0; tick < 20; tick++) {
      const features = randomFeatures(model.config.features, tick);
      early.step(0, features, early.plans[0]!.write);
      plain.step(0, features, plain.exits[0]!.write);
      expect([...early.logits]).toEqual([...plain.logits]);
      expect(early.stats).toMatchObject({ tokens: 1, layers: 1, kvWrites: 2 });
    }
    expect(early.counters).toEqual({ exits: 20, tokens: 20 });
  });

  test('never takes more than its cost says, whatever the demand and the plan', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: -200_000, max: 200_000 }), (modelSeed, demand) => {
        const { model, early } = pair(modelSeed, demand);
        for (let tick = 0; tick < 30; tick++) {
          const plan = early.plans[tick % 3]![(['write', 'write', 'freeze', 'flush'] as const)[tick % 4]!];
          early.step(0, randomFeatures(model.config.features, tick), plan);
          const { macs, weightBytes, kvReads, kvWrites } = early.stats;
          expect(macs).toBeLessThanOrEqual(early.cost(plan).macs);
          expect(weightBytes + (kvReads + kvWrites) * 2 * 16).toBeLessThanOrEqual(early.cost(plan).bytes);
        }
      }),
      { seed, numRuns: 50 },
    );
  });
});

describe('a model that says when to leave', () => {
  const model = randomModel({ meaning: { exit: { layers: 1, confidenceQ16: -1 } } });

  test('keeps it in its file, and its pipeline obeys', () => {
    const loaded = loadModel(saveModel(model));
    expect(loaded.meaning.exit).toEqual({ layers: 1, confidenceQ16: -1 });
    const frame = { timeMs: 0, values: Float64Array.of(20, 21) };
    const layers = [{}, { anytime: false }, { gating: false }].map(
      (options) => new Pipeline(new Engine(loaded), 0, options).tick(frame).layers,
    );
    expect(layers).toEqual([1, 2, 2]);
  });

  test.each([
    [{ layers: 2, confidenceQ16: 0 }, 'meaning.exit.layers: expected a whole number below 2, got 2'],
    [{ layers: 1 }, 'meaning.exit.confidenceQ16'],
    [{ layers: 1, confidenceQ16: 0, depth: 1 }, 'meaning.exit.depth: unknown'],
  ])('is refused with %j', (exit, message) => {
    const broken = { ...model, meaning: { ...model.meaning, exit: exit as never } };
    expect(() => saveModel(broken)).toThrow(message);
  });
});
