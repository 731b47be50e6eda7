/** Ticks that stop at some layer: deepened later, propagated, left as holes, taken back. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TransformerConfig } from '../../src/engine/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { type PaperDepth, paperLogits } from './paper.ts';
import { randomNumbers, tinyModel } from './tiny-model.ts';

const seed = 20261124;
const width = 24;

/** Three layers; the sequence leaves room for what is taken back. */
const config: Partial<TransformerConfig> = {
  features: width,
  layers: 3,
  window: 4,
  sequence: 12,
  tiers: [
    { layers: 3, sequence: 12, window: 4 },
    { layers: 2, sequence: 6, window: 3 },
    { layers: 1, sequence: 2, window: 2 },
  ],
};

function features(count: number, featureSeed: number): Int16Array {
  const random = randomNumbers(featureSeed);
  return Int16Array.from({ length: count * width }, () => Math.round((random() * 2 - 1) * 4000));
}

describe('early exit', () => {
  test('an exit is tier 0 with fewer layers; the last one is tier 0', () => {
    const engine = new Engine(tinyModel({ config }));
    expect(engine.exits.map(({ write }) => [write.layers, write.window, write.sequence])).toEqual([
      [1, 4, 12],
      [2, 4, 12],
      [3, 4, 12],
    ]);
    expect(engine.exits[2]!.freeze).toBe(engine.plans[0]!.freeze);
  });

  test('deepened ticks are the bits of whole ones, then and afterwards, for one head more', () => {
    fc.assert(
      fc.property(fc.integer(), (caseSeed) => {
        const model = tinyModel({ seed: caseSeed, config });
        const [whole, parts] = [new Engine(model), new Engine(model)];
        const random = randomNumbers(caseSeed);
        for (let round = 0; round < 12; round++) {
          const ticks = features(4, caseSeed + round);
          const count = 1 + Math.floor(random() * 4);
          const kv = random() < 0.7 ? 'write' : 'freeze';
          const exit = parts.exits[Math.floor(random() * 2)]![kv];
          let macs = 0;
          for (let row = 0; row < count; row++) {
            parts.step(0, ticks.subarray(row * width), exit, row);
            macs += parts.stats.macs;
          }
          parts.deepen(count, parts.plans[0]![kv]);
          macs += parts.stats.macs;
          for (let row = 0; row < count; row++) {
            whole.step(0, ticks.subarray(row * width), whole.plans[0]![kv]);
            macs -= whole.stats.macs + model.config.outputs * (model.config.hidden + width);
            expect([...parts.rowLogits(row)]).toEqual([...whole.logits]);
          }
          expect([...parts.logits]).toEqual([...whole.logits]);
          expect(macs).toBe(0);
        }
      }),
      { seed, numRuns: 60 },
    );
  });

  test('deeper layers see holes, or what was propagated, as the integer rules say', () => {
    fc.assert(
      fc.property(fc.integer(), (caseSeed) => {
        const model = tinyModel({ seed: caseSeed, config });
        const engine = new Engine(model);
        const random = randomNumbers(caseSeed);
        const ticks = features(30, caseSeed);
        const depths: PaperDepth[] = [];
        const seen: number[][] = [];
        for (let tick = 0; tick < 30; tick++) {
          const layers = 1 + Math.floor(random() * 3);
          const propagated = layers < 3 && random() < 0.5;
          depths.push({ layers, propagated });
          engine.step(0, ticks.subarray(tick * width), engine.exits[layers - 1]!.write);
          seen.push([...engine.logits]);
          if (!propagated) continue;
          engine.propagate(engine.plans[0]!.write);
          expect(engine.stats.kvWrites).toBe(3 - layers);
          expect(engine.stats.macs).toBe((3 - layers) * 2 * model.config.hidden ** 2);
        }
        const history = depths.map((_, tick) => [...ticks.subarray(tick * width, (tick + 1) * width)]);
        expect(seen).toEqual(paperLogits(model, history, 3, 4, depths));
      }),
      { seed, numRuns: 40 },
    );
  });
});

describe('rollback', () => {
  test('ticks taken back leave no trace, whatever layers they reached', () => {
    fc.assert(
      fc.property(fc.integer(), (caseSeed) => {
        const model = tinyModel({ seed: caseSeed, config });
        const [plain, wavering] = [1, 2].map(() => new Engine(model, { streams: 2 }));
        const random = randomNumbers(caseSeed);
        for (let round = 0; round < 25; round++) {
          const ticks = features(8, caseSeed + round);
          const detour = Math.floor(random() * 8);
          for (let i = 0; i < detour; i++) {
            const modes = wavering!.exits[Math.floor(random() * 3)]!;
            wavering!.step(1, ticks.subarray(i * width), random() < 0.8 ? modes.write : modes.freeze);
          }
          wavering!.rollback(1, detour);
          const depth = Math.floor(random() * 3);
          for (const engine of [plain!, wavering!]) engine.step(1, ticks, engine.exits[depth]!.write);
          expect([...wavering!.logits]).toEqual([...plain!.logits]);
        }
      }),
      { seed, numRuns: 60 },
    );
  });

  test('more than a stream has seen is refused', () => {
    const engine = new Engine(tinyModel({ config }), { streams: 2 });
    engine.step(0, features(1, 1), engine.plans[0]!.write);
    expect(() => engine.rollback(1, 1)).toThrow('no more tokens than the stream has seen');
    expect(() => engine.rollback(2, 0)).toThrow('stream: expected a whole number from 0 to 1, got 2');
  });
});
