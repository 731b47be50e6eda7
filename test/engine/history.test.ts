/** The linear path over the past: what the rules say, in any shape, plan and way of calling. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TransformerConfig } from '../../src/engine/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { isTrusted, kernelNames } from '../../src/engine/kernels/choose.ts';
import type { Model } from '../../src/engine/model.ts';
import { loadModel, saveModel } from '../../src/engine/model-file.ts';
import type { Plan } from '../../src/engine/plan.ts';
import { paperForecast, paperLogits } from './paper.ts';
import { randomNumbers, tinyModel } from './tiny-model.ts';

const seed = 20261124;
const kernels = kernelNames.filter(isTrusted);

/** Odd sizes; tiers with and without a transformer. */
const configs: fc.Arbitrary<Partial<TransformerConfig>> = fc
  .record({
    channels: fc.integer({ min: 1, max: 4 }),
    stride: fc.integer({ min: 1, max: 5 }),
    horizon: fc.integer({ min: 1, max: 20 }),
    rows: fc.integer({ min: 1, max: 40 }),
    ranks: fc.uniqueArray(fc.integer({ min: 1, max: 20 }), { minLength: 3, maxLength: 3 }),
    layers: fc.constantFrom([2, 1, 1], [2, 1, 0], [1, 0, 0], [0, 0, 0]),
  })
  .map(({ channels, stride, horizon, rows, ranks, layers }) => ({
    features: channels * stride,
    outputs: channels * horizon,
    sequence: 8,
    window: 4,
    tiers: [
      { layers: layers[0]!, sequence: 8, window: 4 },
      { layers: layers[1]!, sequence: 4, window: 2 },
      { layers: layers[2]!, sequence: 2, window: 2 },
    ] as const,
    history: {
      rows,
      channels,
      stride,
      ranks: ranks.sort((a, b) => b - a) as unknown as [number, number, number],
    },
  }));

const cases = fc.tuple(configs, fc.integer());

/** Rows of extremes and of ordinary values. */
function ticksOf(model: Model, count: number, tickSeed: number): Int16Array {
  const random = randomNumbers(tickSeed);
  return Int16Array.from({ length: count * model.config.features }, () => {
    const kind = random();
    const size = kind < 0.1 ? 8191 : 1500;
    return kind < 0.05 ? -8191 : Math.round((random() * 2 - 1) * size);
  });
}

function valuesOf(model: Model, ticks: Int16Array, tick: number): number[] {
  const { channels, stride } = model.config.history!;
  return Array.from({ length: channels }, (_, c) => ticks[tick * model.config.features + c * stride]!);
}

function anyPlan(engine: Engine, random: () => number): Plan {
  const modes = engine.plans[Math.floor(random() * 3)]!;
  const choice = random();
  return choice < 0.7 ? modes.write : choice < 0.85 ? modes.freeze : modes.flush;
}

describe('a history', () => {
  test('is what the integer rules say, at every tier, from the first tick on, by every kernel', () => {
    fc.assert(
      fc.property(cases, ([config, caseSeed]) => {
        const model = tinyModel({ seed: caseSeed, config });
        const width = model.config.features;
        const ticks = ticksOf(model, 60, caseSeed);
        const history = Array.from({ length: 60 }, (_, tick) => [
          ...ticks.subarray(tick * width, (tick + 1) * width),
        ]);
        for (const kernel of kernels) {
          const engine = new Engine(model, { kernels: kernel });
          for (const { write: plan } of engine.plans) {
            engine.reset(0);
            const tier = plan.tier as 0 | 1 | 2;
            const expected = paperLogits(model, history, plan.layers, plan.window, undefined, 0, tier);
            for (const [tick, logits] of expected.entries()) {
              engine.step(0, ticks.subarray(tick * width), plan);
              expect([...engine.logits]).toEqual(logits);
            }
          }
        }
      }),
      { seed, numRuns: 15 },
    );
  });

  test('holds last values where time passed without a tick, whatever is frozen or flushed in between', () => {
    fc.assert(
      fc.property(cases, ([config, caseSeed]) => {
        const tiers = [0, 1, 2].map(() => ({ layers: 0, sequence: 2, window: 2 }));
        const model = tinyModel({
          seed: caseSeed,
          config: { ...config, tiers: tiers as unknown as TransformerConfig['tiers'] },
        });
        const engine = new Engine(model);
        const random = randomNumbers(caseSeed);
        const ticks = ticksOf(model, 80, caseSeed);
        let past: number[][] = [];
        for (let tick = 0; tick < 80; tick++) {
          const plan = anyPlan(engine, random);
          const held = random() < 0.3 ? Math.floor(random() * 30) : 0;
          engine.hold(0, held);
          if (past.length > 0) past.push(...Array.from({ length: held }, () => past.at(-1)!));
          if (plan.kv === 'flush') past = [];
          const own = valuesOf(model, ticks, tick);
          engine.step(0, ticks.subarray(tick * model.config.features), plan);
          expect([...engine.logits]).toEqual(
            paperForecast(model, [...past, own], model.config.history!.ranks[plan.tier as 0 | 1 | 2]),
          );
          past.push(plan.kv === 'freeze' ? (past.at(-1) ?? own) : own);
        }
      }),
      { seed, numRuns: 25 },
    );
  });

  test('prefill, also of the last position, and batches give the bits of single steps', () => {
    fc.assert(
      fc.property(cases, ([config, caseSeed]) => {
        const model = tinyModel({ seed: caseSeed, config });
        const width = model.config.features;
        const options = { streams: 3, rows: 9 };
        const [single, batch] = [new Engine(model, options), new Engine(model, options)];
        const random = randomNumbers(caseSeed);
        for (let round = 0; round < 12; round++) {
          const count = 1 + Math.floor(random() * 9);
          const ticks = ticksOf(model, count, caseSeed + round);
          const chosen = anyPlan(single, random);
          const plan = chosen.kv === 'flush' ? single.plans[chosen.tier]!.write : chosen;
          const wanted = random() < 0.5 ? 'all' : 'last';
          const streams = Int32Array.from({ length: count }, () => Math.floor(random() * 3));
          if (round % 2 === 0) streams.fill(round % 3);
          if (round % 2 === 0) batch.prefill(round % 3, ticks, count, plan, wanted);
          else batch.stepBatch(streams, ticks, count, plan);
          for (let row = 0; row < count; row++) {
            single.step(streams[row]!, ticks.subarray(row * width), plan);
            if (round % 2 === 1) expect([...batch.rowLogits(row)]).toEqual([...single.logits]);
          }
          expect([...batch.logits]).toEqual([...single.logits]);
        }
      }),
      { seed, numRuns: 40 },
    );
  });

  test('a rollback takes ticks back, over the end of the ring and to the beginning', () => {
    fc.assert(
      fc.property(cases, ([config, caseSeed]) => {
        const model = tinyModel({ seed: caseSeed, config });
        const width = model.config.features;
        const [engine, straight] = [new Engine(model, { rows: 4 }), new Engine(model, { rows: 4 })];
        const random = randomNumbers(caseSeed);
        const ticks = ticksOf(model, 60, caseSeed);
        const others = ticksOf(model, 60, caseSeed + 1);
        const plan = engine.plans[0]!.write;
        for (let tick = 0; tick < 60; tick++) {
          const count = Math.floor(random() * 5);
          for (let i = 0; i < count; i++) engine.step(0, others.subarray(((tick % 50) + i) * width), plan);
          engine.rollback(0, count);
          for (const one of [engine, straight]) one.step(0, ticks.subarray(tick * width), plan);
          expect([...engine.logits]).toEqual([...straight.logits]);
        }
      }),
      { seed, numRuns: 25 },
    );
  });

  test('a rollback beyond a hold is refused', () => {
    const engine = new Engine(tinyModel({ config: { history } }));
    const ticks = new Int16Array(24);
    engine.step(0, ticks, engine.plans[0]!.write);
    engine.hold(0, 1);
    engine.step(0, ticks, engine.plans[0]!.write);
    expect(() => engine.rollback(0, 2)).toThrow('assertion failed: ticks that a history still has');
  });

  test('an exit and what is left of the layers after it give the bits of one step', () => {
    const model = tinyModel({ config: { history } });
    const [engine, straight] = [new Engine(model), new Engine(model)];
    const ticks = ticksOf(model, 20, 1);
    for (let tick = 0; tick < 20; tick++) {
      const features = ticks.subarray(tick * model.config.features);
      engine.step(0, features, engine.exits[0]!.write);
      engine.deepen(1, engine.plans[0]!.write);
      straight.step(0, features, straight.plans[0]!.write);
      expect([...engine.rowLogits(0)]).toEqual([...straight.logits]);
    }
  });

  test('costs what its configuration says, with a transformer and without', () => {
    const model = tinyModel({
      config: {
        history,
        tiers: [
          { layers: 2, sequence: 8, window: 4 },
          { layers: 0, sequence: 4, window: 2 },
          { layers: 0, sequence: 2, window: 2 },
        ],
      },
    });
    const engine = new Engine(model);
    const [full, reduced, safe] = engine.plans.map(({ write }) => write);
    const ofHistory = (rank: number) => 2 * rank * (6 + 1 + 1);
    expect([engine.cost(reduced!).macs, engine.cost(safe!).macs]).toEqual([ofHistory(3), ofHistory(2)]);
    const layer = 16 * (4 * 16 + 2 * 32);
    const transformer = (24 + 2 * 5) * 16 + 2 * layer + 2 * 16 + 2 * 2 * 4 * 16;
    expect(engine.cost(full!).macs).toBe(transformer + ofHistory(5));
    for (const plan of [full!, reduced!, safe!]) {
      for (let i = 0; i < 12; i++) engine.step(0, new Int16Array(24), plan);
      expect(engine.stats.macs).toBe(engine.cost(plan).macs);
      const { stats } = engine;
      const ring = 2 * 2 * (6 + 2);
      const moved = stats.weightBytes + (stats.kvReads + stats.kvWrites) * 2 * 16 + ring;
      expect(moved).toBe(engine.cost(plan).bytes);
    }
  });

  test('a model file with one is read back as it was; what does not fit is refused', () => {
    const model = forecastModel();
    const bytes = saveModel(model);
    const loaded = loadModel(bytes);
    expect(loaded.config).toEqual(model.config);
    expect(loaded.weights).toEqual(model.weights);
    const refused: [(model: Model) => unknown, string][] = [
      [({ weights }) => weights.history!.basis.bias.fill(2 ** 28), 'history.basis: row 0 can reach'],
      [
        ({ weights }) => weights.history!.readout.multiplier.fill(2 ** 16),
        'history.readout.multiplier[0]: expected 0',
      ],
      [
        (m) => Object.assign(m.meaning, { task: { kind: 'classify', classes: ['a', 'b', 'c', 'd'] } }),
        'meaning.task: expected a forecast of 2 channels',
      ],
      [
        (m) => Object.assign(m.config, { history: { ...history, ranks: [2, 3, 1] } }),
        'config.history.ranks[1]: expected a whole number from 1 to 2, got 3',
      ],
      [
        (m) => Object.assign(m.config, { history: { ...history, channels: 3 } }),
        'config.history.channels: expected a divisor of outputs (4), got 3',
      ],
      [
        (m) => Object.assign(m.config, { history: { ...history, stride: 24 } }),
        'config.history.stride: expected a whole number from 1 to 23, got 24',
      ],
      [
        (m) => Object.assign(m.config, { history: { ...history, ranks: [1, 1] } }),
        'config.history.ranks: expected 3 ranks, got an array of 2',
      ],
    ];
    for (const [spoil, message] of refused) {
      const spoilt = structuredClone(forecastModel());
      spoil(spoilt);
      expect(() => saveModel(spoilt)).toThrow(message);
    }
    const { history: _, ...without } = model.weights;
    expect(() => loadModel(saveModel({ ...model, weights: without }))).toThrow(
      'history.basis.weight: expected I8 [5,6], got no such tensor',
    );
  });
});

const history = { rows: 6, channels: 2, stride: 4, ranks: [5, 3, 2] } as const;

function forecastModel(): Model {
  const model = tinyModel({
    config: { history, outputs: 4 },
    meaning: { task: { kind: 'forecast', horizon: 2 } },
  });
  return { ...model, config: { ...model.config }, meaning: { ...model.meaning } };
}
