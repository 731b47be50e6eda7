/** What training shows a head is the written rule, and a model can learn to remember by it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type TransformerConfig, validateConfig } from '../../src/engine/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { loadModel, saveModel } from '../../src/engine/model-file.ts';
import type { HeadPattern } from '../../src/engine/patterns.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import type { Series } from '../../src/recording/recording.ts';
import type { Dataset } from '../../src/train/dataset.ts';
import { loadFloatModel, saveFloatModel } from '../../src/train/float-model.ts';
import { parameterLayout } from '../../src/train/layout.ts';
import { Random } from '../../src/train/random.ts';
import { seenAges } from '../../src/train/sight.ts';
import { encodeSeries } from '../../src/train/tokens.ts';
import { train } from '../../src/train/trainer.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { smallConfig, smallDataset, smallSettings } from './small-dataset.ts';

const seed = 77;
const classify = { kind: 'classify', classes: ['below', 'above'] } as const;

const withPattern = (window: number, pattern: HeadPattern, more: Partial<TransformerConfig> = {}) => {
  const config = { ...smallConfig(classify), sequence: window, window, ...more };
  const tier = { layers: config.layers, sequence: window, window };
  const patterns = Array.from({ length: config.layers }, () => [pattern, pattern]);
  return validateConfig({ ...config, tiers: [tier, tier, tier], patterns });
};

describe('seenAges', () => {
  it('is the newest, the listed, and the most novel of the rest, of equals the newest', () => {
    const marks = fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 40 });
    const ages = fc.uniqueArray(fc.integer({ min: 1, max: 45 }), { maxLength: 5 });
    fc.assert(
      fc.property(
        marks,
        fc.integer({ min: 1, max: 8 }),
        fc.nat({ max: 9 }),
        ages,
        (mark, local, pinned, all) => {
          const listed = all.filter((age) => age >= local).sort((a, b) => a - b);
          const pattern = { local, ...(pinned > 0 && { pinned }), ages: listed };
          const reached = [...mark.keys()];
          const rest = reached.filter((age) => age >= local && !listed.includes(age) && mark[age]! > 0);
          const best = rest.sort((a, b) => mark[b]! - mark[a]! || a - b).slice(0, pinned);
          const isSeen = (age: number) => age < local || listed.includes(age) || best.includes(age);
          expect(seenAges(pattern, mark.length, (age) => mark[age]!)).toEqual(reached.filter(isSeen));
        },
      ),
      { seed, numRuns: 500 },
    );
  });
});

it.each([true, false])('marks a token in training as the gateway does (every tick one: %s)', (dense) => {
  const dataset = smallDataset(classify);
  const series = dataset.train[0]!;
  const { channels, intervalMs, spikes } = dataset;
  const patterns = withPattern(4, { local: 1, pinned: 2 }).patterns!;
  const engine = new Engine(
    tinyModel({
      channels: ['level', 'wave'],
      config: { patterns },
      meaning: { channels, intervalMs, spikes },
    }),
  );
  const seen: number[] = [];
  const pipeline = new Pipeline(
    {
      ...forwarded(engine),
      step(stream, features, plan) {
        seen.push(engine.marks[0]!);
        engine.step(stream, features, plan);
      },
    },
    0,
    { gating: !dense, anytime: false },
  );
  for (let row = 0; row < series.rows; row++) {
    pipeline.tick({ timeMs: series.timeMs[row]!, values: series.values.slice(2 * row, 2 * row + 2) });
  }
  const { marks } = encodeSeries(series, { ...dataset, dense });
  expect([...marks]).toEqual(seen);
  expect(new Set(seen).size).toBeGreaterThan(20);
});

function forwarded(engine: Engine) {
  const { model, plans, stats, marks, logits } = engine;
  return {
    ...{ model, plans, stats, marks, logits },
    hold: (stream: number, ticks: number) => engine.hold(stream, ticks),
    cost: (plan: Parameters<Engine['cost']>[0]) => engine.cost(plan),
    reset: (stream: number) => engine.reset(stream),
  };
}

/** Rare pulses of either sign, which end at once, among many small moves: the class is the last pulse's sign. */
function latch(rows: number, key: number): Series {
  const random = new Random(seed, key);
  const values = new Float64Array(2 * rows);
  const labels = new Int8Array(rows);
  let wave = 0;
  let sign = 1;
  for (let row = 0; row < rows; row++) {
    const isPulse = row === 0 || random.uniform() < 0.08;
    if (isPulse) sign = random.uniform() < 0.5 ? -1 : 1;
    if (random.uniform() < 0.5) wave = 0.4 * random.normal();
    values[2 * row] = isPulse ? 4 * sign : 0;
    values[2 * row + 1] = wave;
    labels[row] = sign > 0 ? 1 : 0;
  }
  const timeMs = Float64Array.from({ length: rows }, (_, row) => 1000 * row);
  return { name: `latch ${key}`, rows, timeMs, values, labels };
}

const latches: Dataset = {
  ...smallDataset(classify),
  train: [latch(3000, 1)],
  validation: [latch(1000, 2)],
  spikes: { delta: [0.5, 0.1], heartbeat: [20, 20], refractory: [0, 0] },
};

describe('a model trained with pinned tokens', () => {
  const learn = async (pattern: HeadPattern) => {
    const settings = { ...smallSettings, sequence: 64, shardSequences: 2, steps: 100 };
    return await train(latches, withPattern(40, pattern, { layers: 1 }), settings, 1, () => {});
  };

  it('remembers what its newest tokens forgot, in the engine', async () => {
    const near = await learn({ local: 3 });
    const far = await learn({ local: 3, pinned: 2 });
    expect(near.validation!.gated.accuracy).toBeLessThan(0.75);
    expect(far.validation!.gated.accuracy).toBeGreaterThan(0.9);
    expect(far.validation!.dense.accuracy).toBeGreaterThan(0.85);
    expect(loadModel(saveModel(far.model)).config.patterns![0]![0]).toEqual({ local: 3, pinned: 2 });
  }, 30_000);
});

it('does not change what is trained where the pattern shows the whole window', async () => {
  const settings = { ...smallSettings, steps: 8, evaluateEvery: 4 };
  const learn = (config: TransformerConfig) => train(smallDataset(classify), config, settings, 1, () => {});
  const { patterns: _, ...plain } = withPattern(8, { local: 8 });
  const [one, other] = [await learn(withPattern(8, { local: 8 })), await learn(validateConfig(plain))];
  expect(one.parameters).toEqual(other.parameters);
});

it.each([
  [withPattern(64, { local: 8, blocks: 1 }), 'expected no blocks, since quantised keys choose them'],
  [
    withPattern(8, { local: 2, pinned: 1 }, { routing: { layers: [1], capacity: 0.5 } }),
    'expected nothing pinned beside routing',
  ],
])('refuses what only an engine can follow', async (config, message) => {
  await expect(train(smallDataset(classify), config, smallSettings, 1, () => {})).rejects.toThrow(
    `config.patterns: ${message}`,
  );
});

it('reads a float file with pinned tokens, and none with blocks', () => {
  const fileOf = (config: TransformerConfig) =>
    saveFloatModel({ config, parameters: new Float32Array(parameterLayout(config).count) });
  const pinned = withPattern(8, { local: 2, pinned: 1 });
  expect(loadFloatModel(fileOf(pinned)).config).toEqual(pinned);
  expect(() => loadFloatModel(fileOf(withPattern(64, { local: 8, blocks: 1 })))).toThrow(
    'config.patterns: expected no blocks',
  );
});
