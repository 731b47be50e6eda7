/** The quantised forward pass of training gives the engine's logits, bit for bit, at every exit. */
import { describe, expect, it } from 'vitest';
import { hasPins, isInt4, type TransformerConfig, validateConfig } from '../../src/engine/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import type { Model } from '../../src/engine/model.ts';
import { loadModel, saveModel } from '../../src/engine/model-file.ts';
import type { HeadPattern } from '../../src/engine/patterns.ts';
import { calibrate } from '../../src/train/calibrate.ts';
import { integerForward } from '../../src/train/integer-network.ts';
import { initialParameters } from '../../src/train/layout.ts';
import { forward } from '../../src/train/network.ts';
import { quantise } from '../../src/train/quantise.ts';
import { loadQuantised } from '../../src/train/quantised-parameters.ts';
import { Random } from '../../src/train/random.ts';
import { floats, integers, makeWorkspace } from '../../src/train/workspace.ts';

const seed = 41;
const shape = { sequences: 2, length: 24 };
const rows = shape.sequences * shape.length;

function configOf(sizes: Partial<TransformerConfig>): TransformerConfig {
  const config = {
    features: 20,
    outputs: 3,
    sequence: 24,
    hidden: 32,
    heads: 4,
    layers: 2,
    window: 5,
    feedForward: 64,
  };
  const all = { ...config, ...sizes };
  const tier = { layers: all.layers, sequence: all.sequence, window: all.window };
  return validateConfig({ ...all, tiers: [tier, tier, tier] });
}

const meaningOf = (config: TransformerConfig): Model['meaning'] => ({
  channels: [{ name: 'a', unit: '', center: 0, scale: 1 }],
  intervalMs: 1000,
  task: { kind: 'classify', classes: Array.from({ length: config.outputs }, (_, index) => `class ${index}`) },
  spikes: { delta: [1], heartbeat: [10], refractory: [0] },
  provenance: {},
});

/** Parameters of a net that was trained, more or less: nothing is zero and some rows are much larger than others. */
function train(config: TransformerConfig, spread: number) {
  const workspace = makeWorkspace(config, 'classify', { sequences: shape.sequences, rows });
  const { layout } = workspace;
  const random = new Random(seed, spread);
  const parameters = floats(workspace, workspace.parameters, layout.count);
  parameters.set(initialParameters(config, layout, seed));
  for (const slice of layout.slices) {
    for (let i = 0; i < slice.rows * slice.columns; i++) {
      const rowScale = 1 + spread * ((i / slice.columns) % 1);
      parameters[slice.offset + i] =
        rowScale * (parameters[slice.offset + i]! + 0.1 * spread * random.normal());
    }
  }
  const features = new Int16Array(workspace.memory.buffer, workspace.features, rows * config.features);
  // Few values, so that some are equal; 0 is never pinned.
  const marks = integers(workspace, workspace.marks, rows);
  const fill = (size: number) => {
    marks.forEach((_, row) => {
      marks[row] = random.below(9);
    });
    features.forEach((_, index) => {
      features[index] = Math.max(-8191, Math.min(8191, Math.round(size * random.normal())));
    });
  };
  for (const tape of workspace.layers) floats(workspace, tape.keep, shape.sequences).fill(1);
  const scales = calibrate(workspace, shape, 3, () => fill(1024));
  const quantised = quantise(config, layout, parameters, scales);
  return { workspace, parameters, features, marks, fill, scales, quantised };
}

/** Of 2 layers and 4 heads. */
const everywhere = (pattern: HeadPattern) => Array.from({ length: 2 }, () => Array(4).fill(pattern));
const several: HeadPattern[][] = [
  [{ local: 14 }, { local: 2, pinned: 3 }, { local: 2, pinned: 3 }, { local: 4, ages: [5, 13] }],
  [{ local: 1, pinned: 1 }, { local: 1, pinned: 2, ages: [3, 7] }, { local: 5 }, { local: 1, pinned: 13 }],
];

const cases: [string, Partial<TransformerConfig>][] = [
  ['even sizes', {}],
  ['three heads of five', { hidden: 15, heads: 3, features: 7, outputs: 5, feedForward: 33, layers: 3 }],
  ['one of everything', { hidden: 8, heads: 1, layers: 1, window: 1, outputs: 1 }],
  ['a wide feed-forward', { feedForward: 1100 }],
  ['routed layers', { layers: 3, routing: { layers: [0, 2], capacity: 1 } }],
  ['spike attention', { attention: 'spike' }],
  ['spike attention in routed layers', { attention: 'spike', routing: { layers: [1], capacity: 1 } }],
  ['refinement', { refinement: { rounds: 3 } }],
  ['A-shapes', { patterns: everywhere({ local: 3 }) }],
  ['pinned tokens', { window: 20, patterns: everywhere({ local: 3, pinned: 4 }) }],
  [
    'pinned tokens and a ring that is full',
    { sequence: 12, window: 12, patterns: everywhere({ local: 2, pinned: 3 }) },
  ],
  ['ages', { window: 17, patterns: everywhere({ local: 2, ages: [4, 9, 16] }) }],
  ['heads of several patterns', { window: 14, patterns: several }],
  [
    'ages in routed layers',
    {
      layers: 2,
      patterns: several.map((layer) => [...layer].fill({ local: 1, ages: [2, 4] })),
      routing: { layers: [1], capacity: 1 },
    },
  ],
  ['four bits', { keyValues: 'int4' }],
  ['four bits, three heads of five', { keyValues: 'int4', hidden: 15, heads: 3, layers: 3 }],
  ['four bits in routed layers', { keyValues: 'int4', routing: { layers: [1], capacity: 1 } }],
  ['four bits, rotated', { keyValues: 'int4-rotated', hidden: 64, window: 9 }],
  [
    'four bits, rotated, of pinned tokens',
    { keyValues: 'int4-rotated', hidden: 64, window: 14, patterns: several },
  ],
  ['routed layers that run out of credit', { routing: { layers: [1], capacity: 0.03 } }],
];

describe.each(cases)('%s', (_, sizes) => {
  const config = configOf(sizes);

  it.each([
    ['ordinary features', 1, 1024],
    ['saturating features', 1, 9000],
    ['rows of very different size', 6, 2048],
  ])('equals the engine on %s', (_case, spread, size) => {
    const { workspace, features, marks, fill, scales, quantised } = train(config, spread);
    const saved = saveModel({ config, weights: quantised.weights, meaning: meaningOf(config) });
    const engine = new Engine(loadModel(saved), {
      streams: shape.sequences,
      rows: shape.length,
      kernels: 'truth',
    });
    loadQuantised(workspace, quantised, scales);
    fill(size);
    integerForward(workspace, shape, scales);
    for (const { routing } of workspace.layers) {
      const through = routing && floats(workspace, routing.gate, rows).filter((share) => share > 0).length;
      if (through !== undefined) expect(through > 0 && through < rows).toBe(true);
    }
    for (let layers = 1; layers <= config.layers; layers++) {
      const plan = { ...engine.plans[0]!.write, layers };
      const logits = integers(workspace, workspace.layers[layers - 1]!.integerLogits, rows * config.outputs);
      for (let sequence = 0; sequence < shape.sequences; sequence++) {
        engine.reset(sequence);
        const first = sequence * shape.length;
        const own = features.slice(first * config.features, (first + shape.length) * config.features);
        if (hasPins(config)) engine.marks.set(marks.subarray(first, first + shape.length));
        engine.prefill(sequence, own, shape.length, plan);
        for (let token = 0; token < shape.length; token++) {
          const at = (first + token) * config.outputs;
          expect([...logits.subarray(at, at + config.outputs)]).toEqual([...engine.rowLogits(token)]);
        }
      }
    }
  });

  it('equals the engine after each round of refinement', () => {
    const { workspace, features, marks, fill, scales, quantised } = train(config, 1);
    const engine = new Engine({ config, weights: quantised.weights, meaning: meaningOf(config) });
    loadQuantised(workspace, quantised, scales);
    fill(1024);
    integerForward(workspace, shape, scales);
    expect(workspace.rounds.length).toBe(config.refinement?.rounds ?? 0);
    const logits = workspace.rounds.map(({ integerLogits }) =>
      integers(workspace, integerLogits, rows * config.outputs),
    );
    for (let row = 0; row < rows; row++) {
      if (row % shape.length === 0) engine.reset(0);
      if (hasPins(config)) engine.marks[0] = marks[row]!;
      engine.step(0, features.subarray(row * config.features), engine.plans[0]!.write);
      for (const own of logits) {
        engine.refine();
        expect([...own.subarray(row * config.outputs, (row + 1) * config.outputs)]).toEqual([
          ...engine.logits,
        ]);
      }
    }
  });

  it('stays close to the float network', () => {
    const { workspace, fill, scales, quantised } = train(config, 1);
    loadQuantised(workspace, quantised, scales);
    fill(1024);
    forward(workspace, shape);
    const place = workspace.layers.at(-1)!.logits;
    const float = floats(workspace, place, rows * config.outputs).slice();
    integerForward(workspace, shape, scales);
    const integer = floats(workspace, place, rows * config.outputs);
    const error = Math.sqrt(float.reduce((sum, x, i) => sum + (x - integer[i]!) ** 2, 0) / float.length);
    const size = Math.sqrt(float.reduce((sum, x) => sum + x * x, 0) / float.length);
    expect(error / size).toBeLessThan(isInt4(config.keyValues) ? 0.25 : 0.15);
  });
});
