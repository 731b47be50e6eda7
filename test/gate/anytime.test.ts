import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { randomFeatures, randomModel } from '../../src/bench/random-model.ts';
import { Engine } from '../../src/engine/engine.ts';
import { isTrusted, kernelNames } from '../../src/engine/kernels/choose.ts';
import { loadModel, saveModel } from '../../src/engine/model-file.ts';
import { Anytime } from '../../src/gate/anytime.ts';
import { confidenceQ16 } from '../../src/gate/confidence.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import { paperLogits } from '../engine/paper.ts';

const seed = 20261124;
const config = { refinement: { rounds: 3 } } as const;
const width = 24;

describe('refinement', () => {
  test('computes what the integer rules say, round after round, and leaves keys and values alone', () => {
    fc.assert(
      fc.property(fc.integer(), (modelSeed) => {
        const model = randomModel({ seed: modelSeed, config });
        const ticks = randomFeatures(12 * width, modelSeed);
        const history = Array.from({ length: 12 }, (_, tick) => [
          ...ticks.subarray(tick * width, (tick + 1) * width),
        ]);
        const expected = [0, 1, 2, 3].map((rounds) => paperLogits(model, history, 2, 4, undefined, rounds));
        for (const kernels of kernelNames.filter(isTrusted)) {
          const engine = new Engine(model, { kernels });
          for (let tick = 0; tick < 12; tick++) {
            engine.step(0, ticks.subarray(tick * width), engine.plans[0]!.write);
            expect([...engine.logits]).toEqual(expected[0]![tick]);
            const rounds = tick % 4;
            for (let round = 1; round <= rounds; round++) {
              engine.refine();
              expect([...engine.logits]).toEqual(expected[round]![tick]);
              expect(engine.stats).toMatchObject({ layers: 0, kvReads: 0, kvWrites: 0 });
            }
          }
        }
      }),
      { seed, numRuns: 25 },
    );
  });

  test('is bounded', () => {
    const model = randomModel({ config });
    const engine = new Engine(model);
    engine.step(0, randomFeatures(width, 1), engine.plans[0]!.write);
    for (let round = 0; round < 3; round++) engine.refine();
    expect(() => engine.refine()).toThrow('rounds are bounded');
    const plain = new Engine(randomModel());
    plain.step(0, randomFeatures(width, 1), plain.plans[0]!.write);
    expect(() => plain.refine()).toThrow('a model with a refinement');
  });

  test('is kept in the file', () => {
    const model = randomModel({ config });
    expect(loadModel(saveModel(model)).weights).toEqual(model.weights);
  });
});

describe('Anytime', () => {
  test('refines as long as a round makes the answer more confident, and never takes more than its cost', () => {
    const rounds = new Set<number>();
    for (let modelSeed = 1; modelSeed <= 8; modelSeed++) {
      const model = randomModel({ seed: modelSeed, config });
      const [engine, by] = [new Engine(model), new Engine(model)];
      const anytime = new Anytime(engine, { gainQ16: 100 });
      for (let tick = 0; tick < 30; tick++) {
        const features = randomFeatures(width, tick);
        const plan = anytime.plans[tick % 3]!.write;
        const before = anytime.counters.rounds;
        anytime.step(0, features, plan);
        by.step(0, features, plan);
        const done = anytime.counters.rounds - before;
        let confidence = confidenceQ16(model.meaning.task, by.logits);
        for (let round = 1; round <= done; round++) {
          by.refine();
          const gain = confidenceQ16(model.meaning.task, by.logits) - confidence;
          expect(gain >= 100).toBe(round < done || (done === 3 && gain >= 100));
          confidence += gain;
        }
        expect([...anytime.logits]).toEqual([...by.logits]);
        expect(anytime.stats.macs).toBeLessThanOrEqual(anytime.cost(plan).macs);
        expect(anytime.stats.layers).toBe(plan.layers);
        rounds.add(done);
      }
    }
    expect([...rounds].sort()).toEqual([0, 1, 2, 3]);
  });

  test('is what a pipeline uses where the model says so', () => {
    const meaning = { refinement: { gainQ16: -(2 ** 31) } };
    const model = loadModel(saveModel(randomModel({ config, meaning })));
    const frame = { timeMs: 0, values: Float64Array.of(20, 21) };
    const macs = [{}, { anytime: false }].map(
      (options) => new Pipeline(new Engine(model), 0, options).tick(frame).macs,
    );
    const round = 2 * 16 * 32 + 2 * (16 + width);
    expect(macs[0]! - macs[1]!).toBe(3 * round);
    expect(() => saveModel(randomModel({ meaning }))).toThrow('a configuration without refinement');
    const both = { ...meaning, exit: { layers: 1, confidenceQ16: 0 } };
    expect(() => saveModel(randomModel({ config, meaning: both }))).toThrow('got an exit');
  });
});
