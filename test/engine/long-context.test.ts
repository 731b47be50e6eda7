/** Heads with patterns, and rings of four bits: the written rules, on all kernels, in any order of calls. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { KeyValueFormat, TransformerConfig } from '../../src/engine/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { isTrusted, kernelNames } from '../../src/engine/kernels/choose.ts';
import type { HeadPattern } from '../../src/engine/patterns.ts';
import type { Plan } from '../../src/engine/plan.ts';
import { paperLogits } from './paper.ts';
import { randomNumbers, tinyModel } from './tiny-model.ts';

const seed = 20261124;
/** Configurations tried in the longest test; each takes half a second. */
const runs = Number(process.env.DORMOUSE_CONTEXT_RUNS ?? 5);
const width = 10;
const kernels = kernelNames.filter(isTrusted);

function patternOf(window: number): fc.Arbitrary<HeadPattern> {
  const local = fc.integer({ min: 1, max: window });
  const verticalSlash = fc
    .record({
      local,
      pinned: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
      ages: fc.option(fc.uniqueArray(fc.integer({ min: 1, max: window - 1 }), { maxLength: 6 }), {
        nil: undefined,
      }),
    })
    .map(({ local, pinned, ages }) => ({
      local,
      ...(pinned === undefined ? {} : { pinned }),
      ...(ages === undefined ? {} : { ages: ages.filter((age) => age >= local).sort((a, b) => a - b) }),
    }));
  const blocks = fc.record({
    local: fc.integer({ min: 1, max: 20 }),
    blocks: fc.integer({ min: 1, max: 3 }),
  });
  return fc.oneof(
    local.map((local) => ({ local })),
    verticalSlash,
    blocks,
  );
}

/** A window of some blocks, over which the ring wraps. */
const window = 80;

interface Case {
  readonly keyValues: KeyValueFormat;
  readonly headSize: number;
  readonly patterns: readonly (readonly HeadPattern[])[] | undefined;
  readonly seed: number;
}

const cases: fc.Arbitrary<Case> = fc
  .record({
    keyValues: fc.constantFrom<KeyValueFormat>('int8', 'int4', 'int4-rotated'),
    odd: fc.integer({ min: 1, max: 20 }),
    even: fc.constantFrom(16, 32),
    patterns: fc.option(
      fc.array(fc.array(patternOf(window), { minLength: 2, maxLength: 2 }), { minLength: 2, maxLength: 2 }),
      { nil: undefined },
    ),
    seed: fc.integer(),
  })
  .map(({ odd, even, ...rest }) => ({ ...rest, headSize: rest.keyValues === 'int4-rotated' ? even : odd }));

function configOf({ keyValues, headSize, patterns }: Omit<Case, 'seed'>): Partial<TransformerConfig> {
  const limits = { layers: 2, sequence: window + 10, window };
  return {
    features: width,
    hidden: 2 * headSize,
    heads: 2,
    layers: 2,
    window,
    sequence: window + 10,
    feedForward: 16,
    tiers: [limits, { layers: 1, sequence: 60, window: 40 }, { layers: 1, sequence: 2, window: 2 }],
    keyValues,
    ...(patterns === undefined ? {} : { patterns }),
  };
}

function features(count: number, featureSeed: number): Int16Array {
  const random = randomNumbers(featureSeed);
  return Int16Array.from({ length: count * width }, () => Math.round((random() * 2 - 1) * 4000));
}

function mark(engine: Engine, row: number, value: number): void {
  if (engine.marks.length > 0) engine.marks[row] = value;
}

describe('long histories', () => {
  test('are what the integer rules say, on all kernels, and never more than the plan costs', () => {
    fc.assert(
      fc.property(cases, (one) => {
        const model = tinyModel({ seed: one.seed, config: configOf(one) });
        const random = randomNumbers(one.seed);
        const count = 150;
        const ticks = features(count, one.seed);
        const marks = Array.from({ length: count }, () => Math.max(0, Math.floor(random() * 8) - 4));
        const rows = Array.from({ length: count }, (_, tick) => [
          ...ticks.subarray(tick * width, (tick + 1) * width),
        ]);
        const expected = paperLogits(model, rows, 2, window, undefined, 0, 0, marks);
        for (const name of kernels) {
          const engine = new Engine(model, { kernels: name });
          const plan = engine.plans[0]!.write;
          for (let tick = 0; tick < count; tick++) {
            mark(engine, 0, marks[tick]!);
            engine.step(0, ticks.subarray(tick * width), plan);
            expect([...engine.logits]).toEqual(expected[tick]);
            expectWithin(engine, plan);
          }
        }
      }),
      { seed, numRuns: runs },
    );
  });

  test('give the same bits one by one, at once, in a cone, and on all kernels, with every plan', () => {
    fc.assert(
      fc.property(cases, (one) => {
        const model = tinyModel({ seed: one.seed, config: configOf(one) });
        const random = randomNumbers(one.seed);
        const make = (name = kernels[0]!) => new Engine(model, { kernels: name, rows: 40, streams: 2 });
        const [single, whole, cone] = [make(), make(), make()];
        const others = kernels.slice(1).map(make);
        for (let round = 0; round < 12; round++) {
          const count = 1 + Math.floor(random() * 40);
          const ticks = features(count, one.seed + round);
          const marks = Array.from({ length: count }, () => Math.floor(random() * 5));
          const modes = single!.plans[Math.floor(random() * 3)]!;
          const choice = random();
          const kv = choice < 0.7 ? 'write' : choice < 0.9 ? 'freeze' : 'flush';
          for (const engine of [whole!, cone!, ...others]) {
            for (const [row, value] of marks.entries()) mark(engine, row, value);
            engine.prefill(1, ticks, count, modes[kv], engine === cone ? 'last' : 'all');
          }
          for (let row = 0; row < count; row++) {
            mark(single!, 0, marks[row]!);
            // A flush empties the ring once.
            single!.step(1, ticks.subarray(row * width), row > 0 && kv === 'flush' ? modes.write : modes[kv]);
            expect([...single!.logits]).toEqual([...whole!.rowLogits(row)]);
            expectWithin(single!, modes[kv]);
          }
          for (const engine of [cone!, ...others]) expect([...engine.logits]).toEqual([...single!.logits]);
        }
      }),
      { seed, numRuns: 2 * runs },
    );
  });

  test('a pattern as wide as the window sees what no pattern does', () => {
    const plain = tinyModel({
      seed: 5,
      config: configOf({ keyValues: 'int8', headSize: 16, patterns: undefined }),
    });
    const local = { local: window };
    const patterns = [
      [local, { local: 1, ages: Array.from({ length: window - 1 }, (_, i) => i + 1) }],
      [local, local],
    ];
    const [dense, listed] = [plain, { ...plain, config: { ...plain.config, patterns } }].map(
      (model) => new Engine(model),
    );
    const ticks = features(300, 5);
    for (let tick = 0; tick < 300; tick++) {
      for (const engine of [dense!, listed!])
        engine.step(0, ticks.subarray(tick * width), engine.plans[0]!.write);
      expect([...listed!.logits]).toEqual([...dense!.logits]);
      expect(listed!.stats).toEqual(dense!.stats);
    }
  });

  test('tokens are taken back without a trace, unless blocks were summed', () => {
    const patterns = [0, 1].map(() => [
      { local: 4, pinned: 3 },
      { local: 2, ages: [5, 9] },
    ]);
    const model = tinyModel({ config: configOf({ keyValues: 'int4', headSize: 16, patterns }) });
    const [plain, wavering] = [new Engine(model), new Engine(model)];
    const ticks = features(200, 3);
    for (let tick = 0; tick < 200; tick++) {
      const detour = tick % 7;
      for (let i = 0; i < detour; i++) {
        mark(wavering!, 0, 9);
        wavering!.step(0, ticks.subarray((199 - i) * width), wavering!.plans[0]!.write);
      }
      wavering!.rollback(0, detour);
      for (const engine of [plain!, wavering!]) {
        mark(engine, 0, tick % 5);
        engine.step(0, ticks.subarray(tick * width), engine.plans[0]!.write);
      }
      expect([...wavering!.logits]).toEqual([...plain!.logits]);
    }
    const blocks = [0, 1].map(() => [{ local: 4 }, { local: 4, blocks: 1 }]);
    const rounded = new Engine(
      tinyModel({ config: configOf({ keyValues: 'int4', headSize: 16, patterns: blocks }) }),
    );
    rounded.step(0, ticks, rounded.plans[0]!.write);
    expect(() => rounded.rollback(0, 1)).toThrow('keys that were rounded since are not taken back');
  });

  test('tokens are taken back without a trace from the sums of blocks, too', () => {
    const patterns = [0, 1].map((layer) => [
      { local: 4 + layer, blocks: 1 },
      { local: 9, blocks: 2 },
    ]);
    fc.assert(
      fc.property(fc.integer(), (modelSeed) => {
        const config = configOf({ keyValues: 'int8', headSize: 16, patterns });
        const model = tinyModel({ seed: modelSeed, config });
        const random = randomNumbers(modelSeed);
        const [plain, wavering] = [new Engine(model), new Engine(model)];
        const ticks = features(260, modelSeed);
        const kvOf = () =>
          (['write', 'write', 'write', 'freeze', 'quarantine', 'flush'] as const)[Math.floor(6 * random())]!;
        for (let tick = 0; tick < 260; tick++) {
          // Never a flush: what it drops stays lost. Up to the ten that the ring is longer than the window.
          const detour = Math.floor(11 * random());
          for (let i = 0; i < detour; i++) {
            const kv = kvOf();
            wavering.step(
              0,
              ticks.subarray((259 - i) * width),
              wavering.plans[0]![kv === 'flush' ? 'write' : kv],
            );
          }
          wavering.rollback(0, detour);
          const kv = random() < 0.02 ? 'flush' : random() < 0.9 ? 'write' : 'freeze';
          for (const engine of [plain, wavering])
            engine.step(0, ticks.subarray(tick * width), engine.plans[0]![kv]);
          expect([...wavering.logits]).toEqual([...plain.logits]);
        }
      }),
      { seed, numRuns: 4 },
    );
  });
});

/** MACs and bytes stay within what the plan can take. */
function expectWithin(engine: Engine, plan: Plan): void {
  const { macs, weightBytes, kvReadBytes, kvWriteBytes } = engine.stats;
  const most = engine.cost(plan);
  expect(macs).toBeLessThanOrEqual(most.macs);
  expect(weightBytes + kvReadBytes + kvWriteBytes).toBeLessThanOrEqual(most.bytes);
}
