/**
 * What self-speculation could gain at most: rollouts whose every draft is accepted, against greedy decoding. What a
 * trained model gains lies below, by the drafts that its deeper layers refuse.
 */
import { type PresetName, presetConfig } from '../engine/config.ts';
import { Engine } from '../engine/engine.ts';
import type { KernelName } from '../engine/kernels/contract.ts';
import { type Feedback, Speculation } from '../engine/speculation.ts';
import { type BenchResult, type Effort, measure, result, rounded } from './harness.ts';
import { randomModel } from './random-model.ts';

const FEATURES = 36;
const TICKS = 32;

/** Preset, layers that draft, drafts. */
const shapes: readonly (readonly [PresetName, number, number])[] = [
  ['micro', 1, 3],
  ['baseline', 1, 3],
  ['baseline', 2, 3],
  ['baseline', 2, 7],
  ['baseline', 3, 3],
];

/** Whatever the logits say, so that drafts are always right. */
const constant: Feedback = (_, features) => features.fill(300);

export async function speculation(effort: Effort, kernels?: KernelName): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  for (const [preset, layers, drafts] of effort.quick ? shapes.slice(0, 2) : shapes) {
    results.push(...(await measureShape(preset, layers, drafts, effort, kernels)));
  }
  return results;
}

async function measureShape(
  preset: PresetName,
  layers: number,
  drafts: number,
  effort: Effort,
  kernels: KernelName | undefined,
): Promise<BenchResult[]> {
  const model = randomModel({ config: presetConfig(preset, FEATURES, 2) });
  const options = kernels === undefined ? {} : { kernels };
  const [greedy, speculating] = [new Engine(model, options), new Engine(model, options)];
  const subject = new Speculation(speculating, { drafts, layers, feedback: constant });
  const features = new Int16Array(FEATURES).fill(300);
  const logits = new Int32Array(TICKS * model.config.outputs);
  const cases = [
    {
      name: 'greedy',
      run: () => {
        for (let tick = 0; tick < TICKS; tick++) {
          greedy.step(0, features, greedy.plans[0]!.write);
          constant(greedy.logits, features);
        }
      },
    },
    {
      name: `${layers} of ${model.config.layers} layers draft ${drafts}`,
      run: () => subject.rollout(0, features, TICKS, logits),
    },
  ];
  const timings = await measure(cases, effort);
  const { drafted, accepted } = subject.counters;
  return cases.map(({ name }, index) =>
    result('speculation', `${preset}, ${layers} and ${drafts}: ${name}`, greedy.kernel, timings[index]!, {
      perTickUs: rounded(timings[index]!.medianUs / TICKS),
      acceptedShare: index === 0 ? null : accepted / drafted,
      speedUpMost: rounded(timings[0]!.medianUs / timings[index]!.medianUs),
    }),
  );
}
