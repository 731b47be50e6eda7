import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AttentionKind,
  type NormGains,
  presetConfig,
  type TransformerConfig,
} from '../../src/engine/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { isTrusted, kernelNames } from '../../src/engine/kernels/choose.ts';
import type { KernelName } from '../../src/engine/kernels/contract.ts';
import type { Model } from '../../src/engine/model.ts';
import type { Plan } from '../../src/engine/plan.ts';
import { paperLogits } from './paper.ts';
import { randomNumbers, tinyModel } from './tiny-model.ts';

const seed = 20261124;

/** The WebAssembly builds that run on this Node; `exact` always does. */
const builds = kernelNames.filter((name) => name !== 'truth' && isTrusted(name));

/** Any valid configuration, odd sizes first. */
const configs: fc.Arbitrary<Partial<TransformerConfig>> = fc
  .record({
    features: fc.integer({ min: 1, max: 50 }),
    outputs: fc.integer({ min: 1, max: 20 }),
    heads: fc.integer({ min: 1, max: 4 }),
    headSize: fc.integer({ min: 1, max: 20 }),
    layers: fc.integer({ min: 1, max: 3 }),
    sequence: fc.integer({ min: 1, max: 12 }),
    window: fc.integer({ min: 1, max: 12 }),
    feedForward: fc.integer({ min: 1, max: 50 }),
    attention: fc.constantFrom<AttentionKind>('softmax', 'softmax', 'spike'),
    normGains: fc.constantFrom<NormGains>('shared', 'channel'),
  })
  .map(({ headSize, ...sizes }) => {
    const window = Math.min(sizes.window, sizes.sequence);
    const full = { layers: sizes.layers, sequence: sizes.sequence, window };
    const less = { layers: Math.max(1, sizes.layers - 1), sequence: window, window };
    return {
      ...sizes,
      window,
      hidden: sizes.heads * headSize,
      tiers: [full, less, { layers: 1, sequence: 1, window: 1 }] as const,
    };
  });

/** A model of any shape; the meaning does not matter to the engine. */
function modelOf(config: Partial<TransformerConfig>, modelSeed: number): Model {
  return tinyModel({ seed: modelSeed, config });
}

function features(model: Model, count: number, featureSeed: number): Int16Array {
  const random = randomNumbers(featureSeed);
  return Int16Array.from({ length: count * model.config.features }, () =>
    Math.round((random() * 2 - 1) * 8191),
  );
}

/** Weights, keys and values that the last step moved. */
function bytesOf({ stats, config }: Engine): number {
  return stats.weightBytes + (stats.kvReads + stats.kvWrites) * 2 * config.hidden;
}

function anyPlan(engine: Engine, random: () => number): Plan {
  const modes = engine.plans[Math.floor(random() * 3)]!;
  const choice = random();
  return choice < 0.7 ? modes.write : choice < 0.9 ? modes.freeze : modes.flush;
}

/** Steps a mixture of plans and hashes all outputs. */
function hashOfSteps(model: Model, kernels: KernelName, steps: number, planSeed: number): string {
  const engine = new Engine(model, { kernels, streams: 2 });
  const random = randomNumbers(planSeed);
  const ticks = features(model, 64, planSeed);
  const hash = createHash('sha256');
  for (let i = 0; i < steps; i++) {
    const at = (i % 64) * model.config.features;
    engine.step(i % 2, ticks.subarray(at, at + model.config.features), anyPlan(engine, random));
    hash.update(engine.logits);
  }
  return hash.digest('hex');
}

describe('Engine', () => {
  test('streaming equals prefill bit for bit, in any configuration and plan, over wraps of the ring', () => {
    fc.assert(
      fc.property(configs, fc.integer(), (config, caseSeed) => {
        const model = modelOf(config, caseSeed);
        const streaming = new Engine(model);
        const whole = new Engine(model);
        const random = randomNumbers(caseSeed);
        for (let chunk = 0; chunk < 5; chunk++) {
          const count = 1 + Math.floor(random() * whole.rows);
          const ticks = features(model, count, caseSeed + chunk);
          const modes = whole.plans[Math.floor(random() * 3)]!;
          const plan = random() < 0.7 ? modes.write : modes.freeze;
          whole.prefill(0, ticks, count, plan);
          for (let row = 0; row < count; row++) {
            streaming.step(0, ticks.subarray(row * model.config.features), plan);
            expect([...streaming.logits]).toEqual([...whole.rowLogits(row)]);
          }
          expect([...whole.logits]).toEqual([...whole.rowLogits(count - 1)]);
        }
      }),
      { seed, numRuns: 60 },
    );
  });

  test('is what the integer rules say, computed without memory, rings or kernels, in any configuration', () => {
    fc.assert(
      fc.property(configs, fc.integer(), (config, caseSeed) => {
        const model = modelOf(config, caseSeed);
        const width = model.config.features;
        const ticks = features(model, 16, caseSeed);
        const history = Array.from({ length: 16 }, (_, tick) => [
          ...ticks.subarray(tick * width, (tick + 1) * width),
        ]);
        const engine = new Engine(model);
        for (const { write: plan } of engine.plans) {
          engine.reset(0);
          const expected = paperLogits(model, history, plan.layers, plan.window);
          for (const [tick, logits] of expected.entries()) {
            engine.step(0, ticks.subarray(tick * width), plan);
            expect([...engine.logits]).toEqual(logits);
          }
        }
      }),
      { seed, numRuns: 40 },
    );
  });

  test('WebAssembly equals the truth bit for bit, in any configuration and mixture of plans', () => {
    fc.assert(
      fc.property(configs, fc.integer(), (config, caseSeed) => {
        const model = modelOf(config, caseSeed);
        const truth = hashOfSteps(model, 'truth', 40, caseSeed);
        for (const build of builds) expect(hashOfSteps(model, build, 40, caseSeed)).toBe(truth);
      }),
      { seed, numRuns: 60 },
    );
  });

  test.each(['micro', 'baseline'] as const)('%s: WebAssembly equals the truth', (preset) => {
    const model = modelOf(presetConfig(preset, 36, 2), 7);
    const truth = hashOfSteps(model, 'truth', 24, 7);
    for (const build of builds) expect(hashOfSteps(model, build, 24, 7)).toBe(truth);
  });

  test('KV streaming equals recomputing the whole sequence, since the sequence covers the receptive field', () => {
    const model = modelOf(presetConfig('micro', 36, 2), 3);
    const { layers, window, sequence, features: width } = model.config;
    expect(layers * (window - 1) + 1).toBeLessThanOrEqual(sequence);
    const streaming = new Engine(model);
    const whole = new Engine(model);
    const plan = whole.plans[0]!.write;
    const ticks = features(model, 100, 3);
    for (let tick = 0; tick < 100; tick++) {
      streaming.step(0, ticks.subarray(tick * width), plan);
      if (tick < sequence) continue;
      whole.reset(0);
      whole.prefill(0, ticks.subarray((tick + 1 - sequence) * width), sequence, plan);
      expect([...whole.logits]).toEqual([...streaming.logits]);
    }
  });

  test('a prefill of the last position gives the same bits, then and afterwards, for less work', () => {
    fc.assert(
      fc.property(configs, fc.integer(), (config, caseSeed) => {
        const model = modelOf(config, caseSeed);
        const [all, last] = [new Engine(model, { rows: 40 }), new Engine(model, { rows: 40 })];
        const random = randomNumbers(caseSeed);
        for (let round = 0; round < 4; round++) {
          const count = 1 + Math.floor(random() * 40);
          const ticks = features(model, count, caseSeed + round);
          const { write, freeze } = all.plans[0]!;
          const plan = random() < 0.8 ? write : freeze;
          all.prefill(0, ticks, count, plan, 'all');
          last.prefill(0, ticks, count, plan, 'last');
          expect([...last.logits]).toEqual([...all.logits]);
          expect(last.stats.macs).toBeLessThanOrEqual(all.stats.macs);
          for (let step = 0; step < 3; step++) {
            const next = anyPlan(all, randomNumbers(caseSeed + step));
            for (const engine of [all, last]) engine.step(0, ticks, next);
            expect([...last.logits]).toEqual([...all.logits]);
          }
        }
      }),
      { seed, numRuns: 60 },
    );
  });

  test('the cone is a sixth of the whole for micro, two fifths for baseline (MMAC without the embedding)', () => {
    const macsOf = (preset: 'micro' | 'baseline', wanted: 'all' | 'last') => {
      const engine = new Engine(modelOf(presetConfig(preset, 1, 1), 1));
      engine.prefill(0, features(engine.model, engine.rows, 1), engine.rows, engine.plans[0]!.write, wanted);
      return Number((engine.stats.macs / 1e6).toPrecision(3));
    };
    expect([macsOf('micro', 'last'), macsOf('micro', 'all')]).toEqual([2.25, 12.7]);
    expect([macsOf('baseline', 'last'), macsOf('baseline', 'all')]).toEqual([82.6, 203]);
  });

  test('a batch of streams gives the bits of single steps, a stream that occurs twice included', () => {
    fc.assert(
      fc.property(configs, fc.integer(), (config, caseSeed) => {
        const model = modelOf(config, caseSeed);
        const [single, batch] = [1, 2].map(() => new Engine(model, { streams: 5, rows: 9 }));
        const random = randomNumbers(caseSeed);
        for (let round = 0; round < 8; round++) {
          const count = 1 + Math.floor(random() * 9);
          const ready = Int32Array.from({ length: count }, () => Math.floor(random() * 5));
          const ticks = features(model, count, caseSeed + round);
          const chosen = anyPlan(single!, random);
          // A flush empties a stream once per batch, so a stream that occurs twice would differ.
          const plan = new Set(ready).size < count ? single!.plans[chosen.tier]!.write : chosen;
          batch!.stepBatch(ready, ticks, count, plan);
          for (let row = 0; row < count; row++) {
            single!.step(ready[row]!, ticks.subarray(row * model.config.features), plan);
            expect([...batch!.rowLogits(row)]).toEqual([...single!.logits]);
          }
          expect(batch!.stats.weightBytes).toBe(single!.stats.weightBytes);
        }
      }),
      { seed, numRuns: 60 },
    );
  });

  test('no output is stuck: different inputs and histories give different logits', () => {
    const model = modelOf({}, 1);
    const seen = new Set<string>();
    const engine = new Engine(model);
    const ticks = features(model, 50, 1);
    for (let tick = 0; tick < 50; tick++) {
      engine.step(0, ticks.subarray(tick * model.config.features), engine.plans[0]!.write);
      seen.add(engine.logits.join());
    }
    expect(seen.size).toBe(50);
    const before = engine.logits.join();
    engine.reset(0);
    engine.step(0, ticks.subarray(49 * model.config.features), engine.plans[0]!.write);
    expect(engine.logits.join()).not.toBe(before);
  });

  test('streams do not see each other', () => {
    const model = modelOf({}, 5);
    const alone = new Engine(model);
    const shared = new Engine(model, { streams: 3 });
    const ticks = features(model, 40, 5);
    const others = features(model, 40, 6);
    const width = model.config.features;
    for (let tick = 0; tick < 40; tick++) {
      alone.step(0, ticks.subarray(tick * width), alone.plans[0]!.write);
      shared.step(0, others.subarray(tick * width), shared.plans[0]!.write);
      shared.step(2, others.subarray(tick * width), shared.plans[1]!.flush);
      shared.step(1, ticks.subarray(tick * width), shared.plans[0]!.write);
      expect([...shared.logits]).toEqual([...alone.logits]);
    }
  });

  test('freeze leaves the past as it was; the frozen token still sees itself', () => {
    const model = modelOf({}, 2);
    const width = model.config.features;
    const [engine, reference] = [new Engine(model), new Engine(model)];
    const ticks = features(model, 20, 2);
    for (let tick = 0; tick < 10; tick++) {
      for (const one of [engine, reference]) one.step(0, ticks.subarray(tick * width), one.plans[0]!.write);
    }
    engine.step(0, ticks.subarray(10 * width), engine.plans[0]!.freeze);
    reference.step(0, ticks.subarray(10 * width), reference.plans[0]!.write);
    expect([...engine.logits]).toEqual([...reference.logits]);
    expect(engine.stats).toMatchObject({ kvWrites: 0, kvReads: 6 });
    engine.step(0, ticks.subarray(11 * width), engine.plans[0]!.freeze);
    expect(engine.stats.kvReads, 'the frozen token is a hole within the window').toBe(4);
  });

  test('flush empties the past and writes this token', () => {
    const model = modelOf({}, 2);
    const width = model.config.features;
    const [engine, fresh] = [new Engine(model), new Engine(model)];
    const ticks = features(model, 20, 4);
    for (let tick = 0; tick < 10; tick++)
      engine.step(0, ticks.subarray(tick * width), engine.plans[0]!.write);
    engine.step(0, ticks.subarray(10 * width), engine.plans[0]!.flush);
    fresh.step(0, ticks.subarray(10 * width), fresh.plans[0]!.write);
    expect([...engine.logits]).toEqual([...fresh.logits]);
    expect(engine.stats).toMatchObject({ kvWrites: 2, kvReads: 0 });
    engine.step(0, ticks.subarray(11 * width), engine.plans[0]!.write);
    fresh.step(0, ticks.subarray(11 * width), fresh.plans[0]!.write);
    expect([...engine.logits]).toEqual([...fresh.logits]);
  });

  test('cost is never exceeded, and reached in a full window', () => {
    fc.assert(
      fc.property(configs, fc.integer(), (config, caseSeed) => {
        const model = modelOf(config, caseSeed);
        const engine = new Engine(model);
        const random = randomNumbers(caseSeed);
        const ticks = features(model, 1, caseSeed);
        for (let i = 0; i < 40; i++) {
          const plan = anyPlan(engine, random);
          engine.step(0, ticks, plan);
          expect(engine.stats.macs).toBeLessThanOrEqual(engine.cost(plan).macs);
          expect(bytesOf(engine)).toBeLessThanOrEqual(engine.cost(plan).bytes);
        }
        const full = engine.plans[0]!.write;
        for (let i = 0; i < 12; i++) engine.step(0, ticks, full);
        expect(engine.stats.macs).toBe(engine.cost(full).macs);
        expect(bytesOf(engine)).toBe(engine.cost(full).bytes);
      }),
      { seed, numRuns: 40 },
    );
  });

  test('the presets fit their memory: micro 1 MiB, baseline 6 MiB', () => {
    const micro = new Engine(modelOf(presetConfig('micro', 36, 2), 1), { maxBytes: 2 ** 20 });
    const baseline = new Engine(modelOf(presetConfig('baseline', 36, 2), 1), { maxBytes: 6 * 2 ** 20 });
    for (const { memory, memoryPlan } of [micro, baseline]) {
      expect(memory.buffer.byteLength).toBe(memoryPlan.totalBytes);
      expect(memoryPlan.regions.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(memoryPlan.totalBytes);
      let end = 0;
      for (const region of memoryPlan.regions) {
        expect(region.offset).toBe(end);
        end += region.bytes;
      }
    }
  });

  test('refuses what does not fit or is out of range, with the reason', () => {
    const model = modelOf({}, 1);
    expect(() => new Engine(model, { maxBytes: 1000 })).toThrow(
      'memory: expected at most 1000 bytes, this engine needs 65536',
    );
    expect(() => new Engine(model, { streams: 0 })).toThrow(
      'streams: expected a whole number from 1 to 4096, got 0',
    );
    expect(() => new Engine(model, { rows: 4097 })).toThrow(
      'rows: expected a whole number from 1 to 4096, got 4097',
    );
    expect(() => new Engine(model, { kernels: 'fast' as KernelName })).toThrow(
      'kernels: expected one of relaxed, exact, truth, got fast',
    );
    const engine = new Engine(model);
    const ticks = features(model, 9, 1);
    expect(() => engine.step(1, ticks, engine.plans[0]!.write)).toThrow(
      'stream: expected a whole number from 0 to 0, got 1',
    );
    expect(() => engine.step(0, ticks.subarray(0, 3), engine.plans[0]!.write)).toThrow(
      'features: expected 24 values, got 3',
    );
    expect(() => engine.prefill(0, ticks, 9, engine.plans[0]!.write)).toThrow(
      'count: expected a whole number from 1 to 8, got 9',
    );
    expect(() => engine.step(0, new Int16Array(24).fill(9000), engine.plans[0]!.write)).toThrow(
      'assertion failed: features are clamped',
    );
  });
});
