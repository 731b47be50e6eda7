/** A million steps allocate nothing and grow nothing. */
import { expect, test } from 'vitest';
import { presetConfig } from '../../src/engine/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { tinyModel } from './tiny-model.ts';

const collect = globalThis.gc;

test.skipIf(collect === undefined)(
  'one million steps of mixed plans: no heap growth, constant memory',
  () => {
    const engine = new Engine(tinyModel({ config: { sequence: 8 } }), { streams: 2 });
    const ticks = Int16Array.from({ length: 64 * 24 }, (_, i) => ((i * 7919) % 4000) - 2000);
    const rows = Array.from({ length: 64 }, (_, row) => ticks.subarray(row * 24, row * 24 + 24));
    const plans = engine.plans.flatMap((modes) => [modes.write, modes.freeze, modes.write, modes.flush]);
    let consumed = 0;
    const run = (steps: number) => {
      for (let i = 0; i < steps; i++) {
        engine.step(i & 1, rows[i & 63]!, plans[i % plans.length]!);
        consumed ^= engine.logits[0]!;
      }
    };
    const bytesBefore = engine.memory.buffer.byteLength;
    run(100_000);
    expect(
      allocatedPerStep(() => run(200_000), 200_000),
      'bytes allocated per step, collected or not',
    ).toBeLessThan(1);
    collect!();
    const before = process.memoryUsage().heapUsed;
    run(1_000_000);
    collect!();
    const growth = process.memoryUsage().heapUsed - before;
    expect(consumed).not.toBe(0);
    // The heap as a whole breathes by some tens of kilobytes; one object of 16 bytes per step would be 16 MB.
    expect(growth / 1_000_000).toBeLessThan(0.5);
    expect(engine.memory.buffer.byteLength).toBe(bytesBefore);
    expect(engine.memoryPlan.totalBytes).toBe(bytesBefore);
    expect(() => engine.memory.grow(1)).toThrow(RangeError);
  },
  60_000,
);

test.skipIf(collect === undefined)('steps of a model with a history allocate nothing either', () => {
  const history = { rows: 40, channels: 2, stride: 4, ranks: [5, 3, 2] } as const;
  const engine = new Engine(tinyModel({ config: { history } }), { streams: 2 });
  const rows = Array.from({ length: 64 }, (_, row) => new Int16Array(24).fill(row * 9));
  const plans = engine.plans.flatMap((modes) => [modes.write, modes.freeze, modes.write, modes.flush]);
  let consumed = 0;
  const run = (steps: number) => {
    for (let i = 0; i < steps; i++) {
      if (i % 5 === 0) engine.hold(i & 1, 3);
      engine.step(i & 1, rows[i & 63]!, plans[i % plans.length]!);
      consumed ^= engine.logits[0]!;
    }
  };
  run(30_000);
  expect(allocatedPerStep(() => run(50_000), 50_000)).toBeLessThan(1);
  expect(consumed).not.toBe(0);
});

/** So little, and no further run could say more: one object of 16 bytes at every thirtieth step. */
const ENOUGH = 0.5;

/** Bytes of garbage and growth per step: the least of several runs, since a collection or a compiler may come between. */
function allocatedPerStep(run: () => void, steps: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 20 && least > ENOUGH * steps; attempt++) {
    collect!();
    const before = process.memoryUsage().heapUsed;
    run();
    const grown = process.memoryUsage().heapUsed - before;
    if (grown >= 0) least = Math.min(least, grown);
  }
  return least / steps;
}

test('the presets keep to their memory while they run', () => {
  const engine = new Engine(tinyModel({ config: presetConfig('micro', 24, 2) }), { maxBytes: 2 ** 20 });
  const features = new Int16Array(24 * 32).fill(500);
  for (let i = 0; i < 100; i++) engine.prefill(0, features, 32, engine.plans[0]!.write);
  expect(engine.memory.buffer.byteLength).toBe(engine.memoryPlan.totalBytes);
});

test.skipIf(collect === undefined)(
  'heads with patterns and rings of four bits allocate nothing either',
  () => {
    const limits = { layers: 2, sequence: 128, window: 128 };
    const patterns = [0, 1].map(() => [
      { local: 8, pinned: 4, ages: [16, 32] },
      { local: 8, blocks: 2 },
    ]);
    const engine = new Engine(
      tinyModel({
        config: {
          hidden: 32,
          sequence: 128,
          window: 128,
          tiers: [limits, limits, limits],
          keyValues: 'int4-rotated',
          patterns,
        },
      }),
    );
    const ticks = Int16Array.from({ length: 64 * 24 }, (_, i) => ((i * 7919) % 4000) - 2000);
    const rows = Array.from({ length: 64 }, (_, row) => ticks.subarray(row * 24, row * 24 + 24));
    const { write, freeze } = engine.plans[0]!;
    let consumed = 0;
    const run = (steps: number) => {
      for (let i = 0; i < steps; i++) {
        engine.marks[0] = i % 5;
        engine.step(0, rows[i & 63]!, i % 7 === 0 ? freeze : write);
        consumed ^= engine.logits[0]!;
      }
    };
    run(50_000);
    expect(
      allocatedPerStep(() => run(50_000), 50_000),
      'bytes allocated per step, collected or not',
    ).toBeLessThan(1);
    expect(consumed).not.toBe(0);
  },
);
