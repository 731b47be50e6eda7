/** What the peers are measured against: dormouse, its models and the functions that they stand for. */
import { randomFeatures, randomModel } from '../../../src/bench/random-model.ts';
import { type PresetName, presetConfig } from '../../../src/engine/config.ts';
import type { Model } from '../../../src/engine/model.ts';
import { gelu } from '../../../src/export/gelu-fit.ts';

export { letCompile } from '../../../src/bench/harness.ts';
export { Engine } from '../../../src/engine/engine.ts';
export { dequantise } from '../../../src/export/dequantise.ts';
export { exportOnnx } from '../../../src/export/onnx.ts';
export { cosine, floatLogits } from '../../export/float-reference.ts';
export { randomFeatures };

export const FEATURES = 36;
export const OUTPUTS = 2;
const ZERO = 8;

/** A preset with seeded weights and a real GELU, as training makes it, so that peers may use their own. */
export function subjectModel(preset: PresetName): Model {
  const model = randomModel({ seed: 1, config: presetConfig(preset, FEATURES, OUTPUTS) });
  const table = Uint8Array.from({ length: 256 }, (_, index) =>
    Math.min(127, Math.max(0, Math.round(ZERO + gelu((index - 128) / 32) * 28))),
  );
  const { weights } = model;
  const layers = weights.layers.map((layer) => ({ ...layer, gelu: table }));
  // Small, so that the check of a peer's outputs is a check of its transformer.
  const path = weights.linear!;
  const linear = { ...path, multiplier: path.multiplier.map((value) => value / 16) };
  return { ...model, weights: { ...weights, layers, linear } };
}
