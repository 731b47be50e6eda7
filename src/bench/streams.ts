/** Many streams over one set of weights: one tick of each, one step after another, and in one batch. */
import { type PresetName, presetConfig, presetNames } from '../engine/config.ts';
import { Engine } from '../engine/engine.ts';
import type { KernelName } from '../engine/kernels/contract.ts';
import { type BenchResult, type Effort, measure, result, rounded } from './harness.ts';
import { randomFeatures, randomModel } from './random-model.ts';

const FEATURES = 36;
const COUNTS = [1, 4, 16, 64, 256, 1024];
const QUICK_COUNTS = [1, 16, 256];

export async function streams(effort: Effort, kernels?: KernelName): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  for (const preset of presetNames) {
    for (const count of effort.quick ? QUICK_COUNTS : COUNTS) {
      results.push(...(await measureStreams(preset, count, effort, kernels)));
    }
  }
  return results;
}

async function measureStreams(
  preset: PresetName,
  count: number,
  effort: Effort,
  kernels: KernelName | undefined,
): Promise<BenchResult[]> {
  const model = randomModel({ config: presetConfig(preset, FEATURES, 2) });
  const engine = new Engine(model, {
    streams: count,
    rows: count,
    ...(kernels === undefined ? {} : { kernels }),
  });
  const all = randomFeatures(FEATURES * count, 1);
  const ticks = Array.from({ length: count }, (_, stream) =>
    all.subarray(FEATURES * stream, FEATURES * (stream + 1)),
  );
  const ready = Int32Array.from({ length: count }, (_, stream) => stream);
  const plan = engine.plans[0]!.write;
  const oneByOne = () => {
    for (let stream = 0; stream < count; stream++) engine.step(stream, ticks[stream]!, plan);
  };
  const batch = () => engine.stepBatch(ready, all, count, plan);
  oneByOne();
  const stepBytes = engine.stats.weightBytes;
  batch();
  const batchBytes = engine.stats.weightBytes / count;
  const timings = await measure(
    [
      { name: 'one by one', run: oneByOne },
      { name: 'one batch', run: batch },
    ],
    effort,
  );
  const line = (name: string, index: number, weightBytesPerToken: number) =>
    result('scaling', `${preset}, ${count} streams, ${name}`, engine.kernel, timings[index]!, {
      perTokenUs: rounded(timings[index]!.medianUs / count),
      weightBytesPerToken: Math.round(weightBytesPerToken),
      overOneByOne: rounded(timings[0]!.medianUs / timings[index]!.medianUs),
      memoryBytes: engine.memory.buffer.byteLength,
    });
  return [line('one by one', 0, stepBytes), line('one batch', 1, batchBytes)];
}
