/**
 * The golden hash: many steps of mixed plans over several configurations, every logit hashed. It is one and the same
 * on every machine, Node and kernel; test/vectors/golden.json holds it.
 */
import { createHash } from 'node:crypto';
import { presetConfig, type TransformerConfig } from '../engine/config.ts';
import { Engine } from '../engine/engine.ts';
import type { KernelName } from '../engine/kernels/contract.ts';
import { randomNumbers } from '../statistics/random.ts';
import { randomFeatures, randomModel } from './random-model.ts';

const FEATURES = 36;
const STREAMS = 3;
const TICKS = 64;

const odd: Partial<TransformerConfig> = {
  features: 36,
  outputs: 5,
  sequence: 11,
  hidden: 57,
  heads: 3,
  layers: 3,
  window: 6,
  feedForward: 101,
  tiers: [
    { layers: 3, sequence: 11, window: 6 },
    { layers: 2, sequence: 5, window: 3 },
    { layers: 1, sequence: 2, window: 1 },
  ],
};

/** The configurations and their share of the steps. */
const parts: readonly { readonly config: Partial<TransformerConfig>; readonly share: number }[] = [
  { config: presetConfig('micro', FEATURES, 2), share: 0.5 },
  { config: presetConfig('baseline', FEATURES, 14), share: 0.1 },
  { config: odd, share: 0.4 },
];

/**
 * sha256 of all logits of `steps` steps, in hex. `kernels`: default the fastest that runs here. `onProgress` is told
 * the share done, some ten times.
 */
export function goldenHash(
  steps: number,
  kernels?: KernelName,
  onProgress?: (share: number) => void,
): string {
  const hash = createHash('sha256');
  let done = 0;
  for (const [index, { config, share }] of parts.entries()) {
    const model = randomModel({ seed: index + 1, config });
    const engine = new Engine(model, { streams: STREAMS, ...(kernels === undefined ? {} : { kernels }) });
    const ticks = randomFeatures(TICKS * FEATURES, index + 1);
    const random = randomNumbers(index + 100);
    for (let step = 0; step < steps * share; step++) {
      const modes = engine.plans[Math.floor(random() * 3)]!;
      const choice = random();
      const plan = choice < 0.8 ? modes.write : choice < 0.95 ? modes.freeze : modes.flush;
      const at = (step % TICKS) * FEATURES;
      engine.step(step % STREAMS, ticks.subarray(at, at + FEATURES), plan);
      hash.update(engine.logits);
      if (++done % Math.ceil(steps / 10) === 0) onProgress?.(done / steps);
    }
  }
  return hash.digest('hex');
}
