/**
 * A model with massive activations (Sun et al., 2402.17762): a few channels of the residual stream are far larger than
 * the others at every tick, and say little.
 */
import type { TransformerConfig } from '../../src/engine/config.ts';
import { initialParameters, parameterLayout } from '../../src/train/layout.ts';

const isOutlier = (channel: number) => channel % 8 === 3;

/** Starting values, with every eighth channel near `size`, and weights that hear the others all the same. */
export function outlierParameters(config: TransformerConfig, size: number): Float32Array {
  const layout = parameterLayout(config);
  const parameters = initialParameters(config, layout, 3);
  for (let channel = 0; channel < config.hidden; channel++) {
    if (isOutlier(channel)) parameters[layout.embedding.bias.offset + channel] = size;
  }
  // Next to them, the norm makes the others so much smaller.
  const louder = Math.max(1, size / Math.sqrt(8));
  const following = layout.layers.flatMap(({ qkv, up }) => [qkv.weight, up.weight]);
  for (const { offset, rows, columns } of [...following, layout.head.weight]) {
    for (let i = 0; i < rows * columns; i++) if (!isOutlier(i % columns)) parameters[offset + i]! *= louder;
  }
  return parameters;
}
