import { describe, expect, test } from 'vitest';
import { randomFeatures, randomModel } from '../../src/bench/random-model.ts';
import type { NormGains } from '../../src/engine/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import type { Model } from '../../src/engine/model.ts';
import { fitGelu, gelu } from '../../src/export/gelu-fit.ts';
import { exportOnnx } from '../../src/export/onnx.ts';
import { cosine, floatLogits } from './float-reference.ts';
import { runOnnx } from './onnx-interpreter.ts';
import { type OnnxModel, readOnnx, type Tensor } from './onnx-reader.ts';

const ROWS = 8;

/** Without the linear path, which would hide a wrong transformer. */
function subject(seed: number, table?: Uint8Array, normGains: NormGains = 'shared'): Model {
  const model = randomModel({ seed, config: { layers: 2, normGains } });
  const { layers } = model.weights;
  const linear = model.weights.linear!;
  return {
    ...model,
    weights: {
      ...model.weights,
      linear: { ...linear, weight: linear.weight.map((one, i) => (i % 7 === 0 ? Math.trunc(one / 16) : 0)) },
      layers: layers.map((layer) => ({ ...layer, gelu: table ?? layer.gelu })),
    },
  };
}

function geluTable(center: number, step: number, zero: number, outputStep: number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, index) =>
    Math.min(127, Math.max(0, Math.round(zero + gelu(center + (index - 128) * step) / outputStep))),
  );
}

const curve = geluTable(0.4, 1 / 32, 7, 1 / 26);
const wave = Uint8Array.from({ length: 256 }, (_, index) => Math.round(64 + 60 * Math.sin(index / 9)));

function tensor(features: Int16Array, width: number): Tensor {
  return { shape: [features.length / width, width], data: Array.from(features, (value) => value / 1024) };
}

function engineLogits(model: Model, features: Int16Array): number[] {
  const engine = new Engine(model);
  engine.prefill(0, features, ROWS, engine.plans[0]!.write);
  return Array.from({ length: ROWS }, (_, row) => Array.from(engine.rowLogits(row), (v) => v / 65536)).flat();
}

const operatorsOf = (onnx: OnnxModel) => new Set(onnx.nodes.map(({ operator }) => operator));

describe('exported ONNX', () => {
  test.each([
    [1, 'shared'],
    [2, 'shared'],
    [3, 'channel'],
  ] as const)('computes what the engine computes, with a GELU (seed %i, gains %s)', (seed, normGains) => {
    const model = subject(seed, curve, normGains);
    const features = randomFeatures(ROWS * model.config.features, seed);
    const onnx = readOnnx(exportOnnx(model));
    const logits = runOnnx(onnx, { features: tensor(features, model.config.features) }).get('logits')!;
    expect(operatorsOf(onnx)).toContain('Erf');
    expect(cosine(logits.data, engineLogits(model, features))).toBeGreaterThan(0.99);
    expect(
      cosine(
        logits.data,
        floatLogits(model, features, ROWS).flatMap((row) => [...row]),
      ),
    ).toBeGreaterThan(0.999);
  });

  test('looks up a table that is no GELU', () => {
    const model = subject(4, wave);
    const features = randomFeatures(ROWS * model.config.features, 4);
    const onnx = readOnnx(exportOnnx(model));
    const logits = runOnnx(onnx, { features: tensor(features, model.config.features) }).get('logits')!;
    expect(operatorsOf(onnx)).toContain('Gather');
    expect(cosine(logits.data, engineLogits(model, features))).toBeGreaterThan(0.99);
  });

  test('with integer weights computes the same', () => {
    const model = subject(5, curve);
    const features = randomFeatures(ROWS * model.config.features, 5);
    const onnx = readOnnx(exportOnnx(model, { precision: 'int8' }));
    const logits = runOnnx(onnx, { features: tensor(features, model.config.features) }).get('logits')!;
    expect(operatorsOf(onnx)).toContain('MatMulInteger');
    expect(cosine(logits.data, engineLogits(model, features))).toBeGreaterThan(0.99);
  });

  test('step by step computes the same once its past is real', () => {
    const model = subject(6, curve);
    const { features: width, layers, window } = model.config;
    const warm = layers * (window - 1);
    const features = randomFeatures((warm + 3) * width, 6);
    const onnx = readOnnx(exportOnnx(model, { form: 'step' }));
    const engine = new Engine(model);
    const state = Object.fromEntries(
      [...onnx.inputs].map(([name, shape]) => [
        name,
        { shape, data: new Array(shape.reduce((a, b) => a * b)).fill(0) },
      ]),
    ) as Record<string, Tensor>;
    for (let tick = 0; tick < warm + 3; tick++) {
      const one = features.subarray(tick * width, (tick + 1) * width);
      const results = runOnnx(onnx, { ...state, features: tensor(one, width) });
      for (const [name, value] of results) state[name.replace('next_', '')] = value;
      engine.step(0, one, engine.plans[0]!.write);
      if (tick < warm) continue;
      const expected = Array.from(engine.logits, (value) => value / 65536);
      for (const [i, logit] of Array.from(results.get('logits')!.data).entries()) {
        expect(Math.abs(logit - expected[i]!)).toBeLessThan(0.15);
      }
    }
  });

  test('says its version, shapes, and names every tensor once', () => {
    const model = subject(7);
    const onnx = readOnnx(exportOnnx(model, { rows: 5 }));
    expect([onnx.irVersion, onnx.opset]).toEqual([8, 17]);
    expect([...onnx.inputs]).toEqual([['features', [5, model.config.features]]]);
    expect([...onnx.outputs]).toEqual([['logits', [5, model.config.outputs]]]);
    const names = [...onnx.constants.keys(), ...onnx.nodes.flatMap(({ outputs }) => outputs)];
    expect(new Set(names).size).toBe(names.length);
  });

  test.each([0, 1.5, 1e6, Number.NaN])('refuses %d rows', (rows) => {
    expect(() => exportOnnx(subject(1), { rows })).toThrow(
      /rows: expected a whole number from 1 to \d+, got/,
    );
  });
});

test('a step without a past is refused', () => {
  const limits = { layers: 1, sequence: 8, window: 1 };
  const model = randomModel({ config: { window: 1, tiers: [limits, limits, limits] } });
  expect(() => exportOnnx(model, { form: 'step' })).toThrow(
    'form step: expected a window of at least 2, got 1',
  );
  expect(() => exportOnnx(model)).not.toThrow();
});

test('a model with a history is refused', () => {
  const history = { rows: 3, channels: 1, stride: 1, ranks: [1, 1, 1] as const };
  expect(() => exportOnnx(randomModel({ config: { history } }))).toThrow(
    'model: expected a linear path of the present tick, got one over a history',
  );
});

test('a model with routed layers is refused', () => {
  const routed = randomModel({ config: { routing: { layers: [1], capacity: 1 } } });
  expect(() => exportOnnx(routed)).toThrow('model: expected every token to go through every layer');
});

describe('fitGelu', () => {
  test.each([
    [0, 1 / 32, 8, 1 / 28],
    [0.4, 1 / 32, 7, 1 / 26],
    [-1.2, 0.012, 30, 0.004],
    [1.5, 0.05, 2, 0.08],
    [-0.3, 0.02, 5, 0.02],
  ])('finds center %d, step %d, zero %d, output step %d', (center, step, zero, outputStep) => {
    const table = geluTable(center, step, zero, outputStep);
    const fit = fitGelu(table)!;
    expect(fit).not.toBeNull();
    // What the fit means for the activations, over the whole table.
    for (let u = -128; u < 128; u++) {
      const expected = zero + gelu(center + u * step) / outputStep;
      const got = fit.zero + gelu(fit.center + u * fit.step) / fit.outputStep;
      if (expected > 0 && expected < 127) expect(Math.abs(got - expected)).toBeLessThan(1);
    }
  });

  test('takes a ramp for a GELU far from its bend', () => {
    expect(fitGelu(Uint8Array.from({ length: 256 }, (_, index) => Math.floor(index / 2)))).not.toBeNull();
  });

  test.each([
    ['a step', Uint8Array.from({ length: 256 }, (_, index) => (index < 128 ? 0 : 127))],
    ['a wave', wave],
    ['all one value', new Uint8Array(256).fill(9)],
    ['all zero', new Uint8Array(256)],
    ['a mirrored GELU', curve.toReversed()],
  ])('knows that %s is none', (_, table) => {
    expect(fitGelu(table)).toBeNull();
  });
});
