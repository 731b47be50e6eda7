/** The divergence from the last exit, against closed forms and central differences; and what it does to the exits. */
import { describe, expect, it } from 'vitest';
import { divergence } from '../../src/train/distillation.ts';
import { enginePredictor } from '../../src/train/evaluate.ts';
import { initialParameters } from '../../src/train/layout.ts';
import { exitWeights, loss } from '../../src/train/losses.ts';
import { exitLosses, forward } from '../../src/train/network.ts';
import { Random } from '../../src/train/random.ts';
import { encodeSeries } from '../../src/train/tokens.ts';
import { train } from '../../src/train/trainer.ts';
import { floats, makeWorkspace } from '../../src/train/workspace.ts';
import { smallConfig, smallDataset, smallSettings } from './small-dataset.ts';

const kinds = ['classify', 'anomaly', 'forecast'] as const;
const outputs = 4;
const rows = 3;

describe.each(kinds)('%s', (kind) => {
  const random = new Random(7);
  const draw = () => Float64Array.from({ length: rows * outputs }, () => random.normal());
  const [teacher, student] = [draw(), draw()];
  const weights = Float64Array.of(1, 0, 2.5);
  const at = (logits: Float64Array) =>
    divergence(kind, teacher, logits, weights, outputs, new Float64Array(rows * outputs), 1);

  it('is 0 from itself and more from anything else', () => {
    expect(at(teacher)).toBeCloseTo(0, 12);
    expect(at(student)).toBeGreaterThan(0.01);
  });

  it('has the gradient of central differences', () => {
    const gradient = new Float64Array(rows * outputs);
    divergence(kind, teacher, student, weights, outputs, gradient, 3);
    for (const [i, logit] of student.entries()) {
      const moved = (by: number) => Float64Array.from(student, (value, j) => (j === i ? logit + by : value));
      expect(gradient[i]!).toBeCloseTo((3 * (at(moved(1e-5)) - at(moved(-1e-5)))) / 2e-5, 5);
    }
  });
});

it('is the expected loss of the teacher beyond its own entropy', () => {
  // Two Laplace distributions, the integral by the midpoint rule.
  const [teacher, student] = [Float64Array.of(0.3, -0.4), Float64Array.of(-0.5, 0.2)];
  const density = (x: number) => Math.exp(-Math.abs(x - 0.3) * Math.exp(0.4)) / (2 * Math.exp(-0.4));
  const settings = { kind: 'anomaly', labelSmoothing: 0 } as const;
  const cost = (logits: Float64Array, x: number) =>
    loss(settings, logits, Float64Array.of(x), Float64Array.of(1), 1, 2, null, 1);
  let expected = 0;
  for (let x = -25; x < 25; x += 1e-3) expected += 1e-3 * density(x) * (cost(student, x) - cost(teacher, x));
  const got = divergence('anomaly', teacher, student, Float64Array.of(1), 2, new Float64Array(2), 1);
  expect(got).toBeCloseTo(expected, 5);
});

it('mixes into the exits before the last, and leaves that one alone', () => {
  const task = { kind: 'classify', classes: ['below', 'above'] } as const;
  const config = smallConfig(task);
  const shape = { sequences: 2, length: 8 };
  const logitsWith = (distillation: number) => {
    const workspace = makeWorkspace(config, 'classify', { sequences: 2, rows: 16 });
    const parameters = initialParameters(config, workspace.layout, 3);
    floats(workspace, workspace.parameters, parameters.length).set(parameters);
    const random = new Random(5);
    const features = new Int16Array(workspace.memory.buffer, workspace.features, 16 * config.features);
    features.forEach((_, i) => {
      features[i] = 1024 * random.normal();
    });
    floats(workspace, workspace.targets, 16).forEach((_, i, all) => {
      all[i] = i % 2;
    });
    floats(workspace, workspace.weights, 16).fill(1);
    for (const { keep } of workspace.layers) floats(workspace, keep, 2).fill(1);
    forward(workspace, shape);
    const before = workspace.layers.map(({ logits }) => floats(workspace, logits, 32).slice());
    const settings = { kind: 'classify', labelSmoothing: 0, distillation } as const;
    const total = exitLosses(workspace, shape, settings, exitWeights(2, 1));
    const gradients = workspace.layers.map(({ logits }) => floats(workspace, logits, 32).slice());
    return { before, total, gradients };
  };
  const [none, half, whole] = [0, 0.5, 1].map(logitsWith);
  expect(half!.gradients[1]).toEqual(none!.gradients[1]);
  expect(whole!.gradients[1]).toEqual(none!.gradients[1]);
  const [student, teacher] = none!.before;
  const pull = new Float32Array(32);
  const [share] = exitWeights(2, 1);
  divergence('classify', teacher!, student!, new Float32Array(16).fill(1), 2, pull, share!);
  for (const [i, part] of pull.entries()) {
    expect(whole!.gradients[0]![i]!).toBeCloseTo(part, 6);
    expect(half!.gradients[0]![i]!).toBeCloseTo((none!.gradients[0]![i]! + part) / 2, 6);
  }
  expect(half!.total).toBeCloseTo((none!.total + whole!.total) / 2, 4);
});

it('draws the first exit of a trained model to the last', async () => {
  const task = { kind: 'forecast', horizon: 3 } as const;
  const dataset = smallDataset(task);
  const apart = async (distillation: number) => {
    const settings = { ...smallSettings, steps: 40, distillation };
    const { model } = await train(dataset, smallConfig(task), settings, 1, () => {});
    const stream = encodeSeries(dataset.validation[0]!, { ...dataset, dense: true });
    const { features, rows, marks } = stream;
    const sequence = { features, count: rows.length, ticks: rows, marks, forecasts: null };
    const [first, last] = [1, 2].map((layers) => enginePredictor(model, layers)(sequence));
    return first!.reduce((sum, logit, i) => sum + (logit - last![i]!) ** 2, 0);
  };
  expect(await apart(0.9)).toBeLessThan(await apart(0));
});
