/** Many streams over one set of weights. */
import { presetConfig, presetNames } from '../engine/config.ts';
import { Engine } from '../engine/engine.ts';
import type { KernelName } from '../engine/kernels/contract.ts';
import { type BenchResult, type Effort, measure, result } from './harness.ts';
import { randomFeatures, randomModel } from './random-model.ts';

const FEATURES = 36;

/** One tick of every stream, one step after another. */
export function streams(effort: Effort, kernels?: KernelName): BenchResult[] {
  return presetNames.flatMap((preset) =>
    [1, 16, 256].map((count) => {
      const model = randomModel({ config: presetConfig(preset, FEATURES, 2) });
      const engine = new Engine(model, { streams: count, ...(kernels === undefined ? {} : { kernels }) });
      const ticks = randomFeatures(FEATURES, 1);
      const plan = engine.plans[0]!.write;
      const run = () => {
        for (let stream = 0; stream < count; stream++) engine.step(stream, ticks, plan);
      };
      const name = `${preset}, ${count} streams, one by one`;
      const [timing] = measure([{ name, run }], effort);
      return result('streams', name, engine.kernel, timing!, {
        perStreamUs: Number((timing!.medianUs / count).toPrecision(3)),
        memoryBytes: engine.memory.buffer.byteLength,
      });
    }),
  );
}
