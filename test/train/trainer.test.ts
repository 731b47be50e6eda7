/** Whole runs on a small made-up recording: they learn, and the same seed gives the same model. */
import { describe, expect, it } from 'vitest';
import { validateConfig } from '../../src/engine/config.ts';
import { loadModel, saveModel } from '../../src/engine/model-file.ts';
import { loadFloatModel, saveFloatModel } from '../../src/train/float-model.ts';
import { initialParameters, parameterLayout } from '../../src/train/layout.ts';
import { Optimiser } from '../../src/train/optimiser.ts';
import { Progress } from '../../src/train/progress.ts';
import { Random } from '../../src/train/random.ts';
import type { TrainingSettings } from '../../src/train/settings.ts';
import { type StepReport, train } from '../../src/train/trainer.ts';
import { smallConfig, smallDataset, smallSettings } from './small-dataset.ts';

const classify = { kind: 'classify', classes: ['below', 'above'] } as const;

async function run(task: Parameters<typeof smallDataset>[0], settings: TrainingSettings) {
  const reports: StepReport[] = [];
  const result = await train(smallDataset(task), smallConfig(task), settings, 1, (report) =>
    reports.push(report),
  );
  return { result, reports };
}

describe('train', () => {
  it('learns a class, in int8, at every exit, dense and gated', async () => {
    const { result, reports } = await run(classify, { ...smallSettings, linearStart: false });
    expect(reports.length).toBe(60);
    expect(reports[0]!.quantised).toBe(false);
    expect(reports.at(-1)!.quantised).toBe(true);
    expect(result.exits.length).toBe(2);
    for (const { dense, gated } of result.exits) {
      expect(dense.accuracy).toBeGreaterThan(0.9);
      expect(gated.accuracy).toBeGreaterThan(0.9);
      expect(gated.tokenShare).toBeLessThan(0.5);
    }
  });

  it('gives the same bytes for the same seed, others for another', async () => {
    const short = { ...smallSettings, steps: 8, evaluateEvery: 4 };
    const bytes = async (settings: TrainingSettings) =>
      Buffer.from(saveModel((await run(classify, settings)).result.model)).toString('base64');
    const first = await bytes(short);
    expect(await bytes(short)).toBe(first);
    expect(await bytes({ ...short, seed: 8 })).not.toBe(first);
  });

  it.each([
    { kind: 'anomaly', threshold: 0 },
    { kind: 'forecast', horizon: 2 },
  ] as const)('learns to predict: $kind', async (task) => {
    const { result, reports } = await run(task, smallSettings);
    const looks = reports.filter(({ validation }) => validation !== null);
    expect(looks.at(-1)!.validation!.dense.loss).toBeLessThan(looks[0]!.validation!.dense.loss);
    expect(result.validation!.dense.accuracy).toBeNull();
    if (result.model.meaning.task.kind === 'anomaly') expect(result.model.meaning.task.threshold).not.toBe(0);
  });

  it('ends the float part early, at its best, when validation no longer gets better', async () => {
    const { reports } = await run(classify, { ...smallSettings, evaluateEvery: 2, patience: 3 });
    const floatSteps = reports.filter(({ quantised }) => !quantised).length;
    expect(floatSteps).toBeLessThan(45);
    expect(reports.filter(({ quantised }) => quantised).length).toBe(15);
  });
});

describe('a routed layer', () => {
  const routed = validateConfig({ ...smallConfig(classify), routing: { layers: [1], capacity: 0.5 } });
  const train1 = (settings: TrainingSettings, config = routed) =>
    train(smallDataset(classify), config, settings, 1, () => {});

  it('lets about the capacity through, on rows that were not trained on, and the model still learns', async () => {
    const { routedShares, validation } = await train1({ ...smallSettings, linearStart: false });
    expect(routedShares.length).toBe(1);
    expect(routedShares[0]).toBeGreaterThan(0.3);
    expect(routedShares[0]).toBeLessThan(0.55);
    expect(validation!.dense.accuracy).toBeGreaterThan(0.9);
  });

  it('keeps a fixed router as it began, and teaches a learned one', async () => {
    const short = { ...smallSettings, steps: 8, evaluateEvery: 4 };
    const layout = parameterLayout(routed);
    const { offset, columns } = layout.layers[1]!.router!.weight;
    const routerOf = (parameters: Float32Array) => [...parameters.subarray(offset, offset + columns)];
    const initial = routerOf(initialParameters(routed, layout, short.seed));
    const fixed = await train1({ ...short, routersLearn: false });
    const learned = await train1(short);
    expect(routerOf(fixed.parameters)).toEqual(initial);
    expect(routerOf(learned.parameters)).not.toEqual(initial);
  });
});

it('learns to answer after each round of refinement, in the engine as in training', async () => {
  const config = validateConfig({ ...smallConfig(classify), refinement: { rounds: 2 } });
  const settings = { ...smallSettings, linearStart: false };
  const { exits, model } = await train(smallDataset(classify), config, settings, 1, () => {});
  expect(exits.length).toBe(4);
  for (const { dense } of exits.slice(1)) expect(dense.accuracy).toBeGreaterThan(0.9);
  expect(model.meaning.refinement).toEqual({ gainQ16: 0 });
  expect(loadModel(saveModel(model)).config.refinement).toEqual({ rounds: 2 });
});

it('refuses a capacity that no token of a sequence fits in, by name', async () => {
  const config = validateConfig({ ...smallConfig(classify), routing: { layers: [1], capacity: 0.01 } });
  await expect(train(smallDataset(classify), config, smallSettings, 1, () => {})).rejects.toThrow(
    'config.routing.capacity: expected at least one token in a training sequence of 16, got 0.01',
  );
});

it('learns with spike attention, in float and in the engine', async () => {
  const config = validateConfig({ ...smallConfig(classify), attention: 'spike' });
  const settings = { ...smallSettings, linearStart: false };
  const { validation, model, parameters } = await train(
    smallDataset(classify),
    config,
    settings,
    1,
    () => {},
  );
  expect(validation!.dense.accuracy).toBeGreaterThan(0.9);
  expect(loadModel(saveModel(model)).weights.layers[0]!.spikeThreshold!.length).toBe(16);
  expect(loadFloatModel(saveFloatModel({ config, parameters }))).toEqual({ config, parameters });
});

describe('Optimiser', () => {
  const layout = parameterLayout(smallConfig(classify));
  const settings = smallSettings.optimiser;
  const random = new Random(5);
  const gradients = Array.from({ length: 3 }, () =>
    Float32Array.from({ length: layout.count }, () => random.normal()),
  );

  it('reports the norm of the summed gradient over the weight, and clips it', () => {
    const sum = gradients[0]!.map((value, i) => value + gradients[1]![i]! + gradients[2]![i]!);
    const norm = Math.sqrt(sum.reduce((total, value) => total + value * value, 0)) / 4;
    const optimiser = new Optimiser(layout, new Float32Array(layout.count), settings);
    expect(optimiser.step(gradients, 4, 1e-3)).toBeCloseTo(norm, 3);
    // The first step of Adam moves everything by the learning rate, whatever the clipping.
    const moved = [...optimiser.parameters].map(Math.abs);
    expect(Math.max(...moved)).toBeCloseTo(1e-3, 6);
  });

  it('decays matrices and nothing else', () => {
    const ones = new Float32Array(layout.count).fill(1);
    const optimiser = new Optimiser(layout, ones, settings);
    optimiser.step([new Float32Array(layout.count)], 1, 0.01);
    expect(optimiser.parameters[layout.head.weight.offset]!).toBeCloseTo(1 - 0.01 * settings.weightDecay, 6);
    expect(optimiser.parameters[layout.head.bias.offset]).toBe(1);
    expect(optimiser.parameters[layout.layers[0]!.sink.offset]).toBe(1);
    expect(optimiser.parameters[layout.layers[0]!.ageBias.offset]).toBe(1);
  });
});

it('shows step, loss, speed and time left', () => {
  let text = '';
  let now = 0;
  const progress = new Progress({ interactive: true, write: (part) => (text += part) }, () => now);
  const report = {
    step: 5,
    steps: 10,
    quantised: false,
    loss: 0.5,
    gradientNorm: 1,
    tokens: 100,
    validation: null,
  };
  now = 1000;
  progress.update({ ...report, step: 1 });
  expect(text).toContain('1/10 float');
  expect(text).toContain('loss 0.5000');
  expect(text).toContain('100 tokens/s');
  expect(text).toContain('9 s left');
});
