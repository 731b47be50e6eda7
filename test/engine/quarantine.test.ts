/** What happens to keys and values: written, frozen, flushed, quarantined; by the written rules and on all kernels. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TransformerConfig } from '../../src/engine/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { isTrusted, kernelNames } from '../../src/engine/kernels/choose.ts';
import type { KvMode } from '../../src/engine/plan.ts';
import { type PaperDepth, paperLogits } from './paper.ts';
import { randomNumbers, tinyModel } from './tiny-model.ts';

const seed = 20261124;
const width = 24;
const kernels = kernelNames.filter(isTrusted);

function features(count: number, featureSeed: number): Int16Array {
  const random = randomNumbers(featureSeed);
  return Int16Array.from({ length: count * width }, () => Math.round((random() * 2 - 1) * 4000));
}

/** Runs of one mode, since trust does not come and go at every tick. */
const modesOf = fc
  .array(
    fc.tuple(
      fc.constantFrom<KvMode>('write', 'write', 'freeze', 'flush', 'quarantine', 'quarantine'),
      fc.integer({ min: 1, max: 12 }),
    ),
    { minLength: 4, maxLength: 14 },
  )
  .map((runs) => runs.flatMap(([mode, length]) => Array<KvMode>(mode === 'flush' ? 1 : length).fill(mode)));

const limits = (sequence: number, window: number) => ({ layers: 2, sequence, window });

const configs = fc.constantFrom<Partial<TransformerConfig>>(
  {},
  { attention: 'spike' },
  {
    window: 80,
    sequence: 80,
    tiers: [limits(80, 80), limits(80, 80), limits(80, 80)],
    keyValues: 'int4',
    patterns: [
      [
        { local: 3, blocks: 1 },
        { local: 3, pinned: 2 },
      ],
      [
        { local: 3, ages: [5, 9] },
        { local: 2, blocks: 1 },
      ],
    ],
  },
);

describe('keys and values', () => {
  test('are seen as the integer rules say, in any order of modes and depths', () => {
    fc.assert(
      fc.property(configs, modesOf, fc.integer(), (config, modes, caseSeed) => {
        const model = tinyModel({ seed: caseSeed, config });
        const random = randomNumbers(caseSeed);
        const count = modes.length;
        const ticks = features(count, caseSeed);
        const depths: PaperDepth[] = modes.map(() => ({ layers: random() < 0.8 ? 2 : 1, propagated: false }));
        const marks = modes.map(() => Math.floor(random() * 4));
        const history = modes.map((_, tick) => [...ticks.subarray(tick * width, (tick + 1) * width)]);
        const { window } = model.config;
        const expected = paperLogits(model, history, 2, window, depths, 0, 0, marks, modes);
        for (const name of kernels) {
          const engine = new Engine(model, { kernels: name });
          for (const [tick, mode] of modes.entries()) {
            if (engine.marks.length > 0) engine.marks[0] = marks[tick]!;
            const plan = engine.exits[depths[tick]!.layers - 1]![mode];
            engine.step(0, ticks.subarray(tick * width), plan);
            expect([...engine.logits]).toEqual(expected[tick]);
            const { macs, weightBytes, kvReadBytes, kvWriteBytes } = engine.stats;
            expect(macs).toBeLessThanOrEqual(engine.cost(plan).macs);
            expect(weightBytes + kvReadBytes + kvWriteBytes).toBeLessThanOrEqual(engine.cost(plan).bytes);
          }
        }
      }),
      { seed, numRuns: 30 },
    );
  });
});

describe('quarantine', () => {
  const model = tinyModel({ seed: 3 });
  const ticks = features(40, 3);
  const run = (engine: Engine, mode: KvMode, from: number, to: number) => {
    for (let tick = from; tick < to; tick++) {
      engine.step(0, ticks.subarray(tick * width), engine.plans[0]![mode]);
    }
    return [...engine.logits];
  };

  test('while it lasts, nothing of it is seen, as if it were frozen', () => {
    const [quarantined, frozen] = [new Engine(model), new Engine(model)];
    run(quarantined, 'write', 0, 10);
    run(frozen, 'write', 0, 10);
    for (let tick = 10; tick < 16; tick++) {
      expect(run(quarantined, 'quarantine', tick, tick + 1)).toEqual(run(frozen, 'freeze', tick, tick + 1));
      expect([quarantined.stats.kvWrites, frozen.stats.kvWrites]).toEqual([2, 0]);
    }
  });

  test('when trust returns, its tokens are there, where frozen ones are holes', () => {
    const [quarantined, frozen] = [new Engine(model), new Engine(model)];
    run(quarantined, 'write', 0, 10);
    run(frozen, 'write', 0, 10);
    run(quarantined, 'quarantine', 10, 12);
    run(frozen, 'freeze', 10, 12);
    expect(run(quarantined, 'write', 12, 13)).not.toEqual(run(frozen, 'write', 12, 13));
    expect([quarantined.stats.kvReads, frozen.stats.kvReads]).toEqual([6, 2]);
  });

  test('a flush drops what was quarantined', () => {
    const [engine, fresh] = [new Engine(model), new Engine(model)];
    run(engine, 'write', 0, 5);
    run(engine, 'quarantine', 5, 8);
    expect(run(engine, 'flush', 8, 9)).toEqual(run(fresh, 'write', 8, 9));
    expect(run(engine, 'write', 9, 12)).toEqual(run(fresh, 'write', 9, 12));
  });

  test('a prefill gives the bits of single steps', () => {
    const [single, whole] = [new Engine(model, { rows: 8 }), new Engine(model, { rows: 8 })];
    const random = randomNumbers(4);
    for (let at = 0; at + 8 <= 40; at += 8) {
      const mode = random() < 0.5 ? 'write' : 'quarantine';
      whole.prefill(0, ticks.subarray(at * width), 8, whole.plans[0]![mode]);
      for (let row = 0; row < 8; row++) {
        expect(run(single, mode, at + row, at + row + 1)).toEqual([...whole.rowLogits(row)]);
      }
    }
  });

  test('tokens in it are taken back without a trace', () => {
    const [plain, wavering] = [
      new Engine(tinyModel({ config: { sequence: 12 } })),
      new Engine(tinyModel({ config: { sequence: 12 } })),
    ];
    for (let round = 0; round < 6; round++) {
      for (const engine of [plain, wavering])
        run(engine, round % 2 === 0 ? 'write' : 'quarantine', round, round + 2);
      run(wavering, 'quarantine', 20, 23);
      wavering.rollback(0, 3);
      expect(run(wavering, 'write', 30, 31)).toEqual(run(plain, 'write', 30, 31));
    }
  });
});
