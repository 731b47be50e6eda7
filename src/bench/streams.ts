/** Many streams over one set of weights. */
import { type PresetName, presetConfig, presetNames } from '../engine/config.ts';
import { Engine } from '../engine/engine.ts';
import type { KernelName } from '../engine/kernels/contract.ts';
import { type BenchResult, type Effort, measure, result } from './harness.ts';
import { randomFeatures, randomModel } from './random-model.ts';

const FEATURES = 36;

const COUNTS = [1, 16, 256];
const BATCH_ROWS = 256;

/** One tick of every stream: one step after another, and in one batch. */
export function streams(effort: Effort, kernels?: KernelName): BenchResult[] {
  return presetNames.flatMap((preset) =>
    COUNTS.flatMap((count) => measureStreams(preset, count, effort, kernels)),
  );
}

function measureStreams(
  preset: PresetName,
  count: number,
  effort: Effort,
  kernels: KernelName | undefined,
): BenchResult[] {
  const model = randomModel({ config: presetConfig(preset, FEATURES, 2) });
  const rows = Math.min(count, BATCH_ROWS);
  const engine = new Engine(model, { streams: count, rows, ...(kernels === undefined ? {} : { kernels }) });
  const one = randomFeatures(FEATURES, 1);
  const all = randomFeatures(FEATURES * rows, 1);
  const ready = Int32Array.from({ length: rows }, (_, stream) => stream);
  const plan = engine.plans[0]!.write;
  const cases = [
    {
      name: `${preset}, ${count} streams, one by one`,
      run: () => {
        for (let stream = 0; stream < count; stream++) engine.step(stream, one, plan);
      },
    },
    { name: `${preset}, ${count} streams, one batch`, run: () => engine.stepBatch(ready, all, count, plan) },
  ];
  return measure(cases, effort).map((timing, index) =>
    result('streams', cases[index]!.name, engine.kernel, timing, {
      perStreamUs: Number((timing.medianUs / count).toPrecision(3)),
      memoryBytes: engine.memory.buffer.byteLength,
    }),
  );
}
