/** Configurations between the presets. */
import { type PresetName, presetConfig, type TransformerConfig, validateConfig } from '../engine/config.ts';

/** Instead of the preset's; absent: the preset's, and of the feed-forward width 4 x hidden. */
export interface Sizes {
  readonly hidden?: number | undefined;
  readonly heads?: number | undefined;
  readonly layers?: number | undefined;
  readonly window?: number | undefined;
  readonly sequence?: number | undefined;
  readonly feedForward?: number | undefined;
}

/**
 * The preset in other sizes: rings long enough for the window, the lower tiers as much shorter and shallower as they
 * were. Throws ConfigError.
 */
export function resizedPreset(
  preset: PresetName,
  features: number,
  outputs: number,
  sizes: Sizes,
): TransformerConfig {
  const config = presetConfig(preset, features, outputs);
  const {
    hidden = config.hidden,
    heads = config.heads,
    layers = config.layers,
    window = config.window,
  } = sizes;
  const sequence = sizes.sequence ?? Math.max(config.sequence, window);
  const tiers = config.tiers.map((tier) => {
    const own = Math.ceil((window * tier.window) / config.window);
    const scaled = Math.ceil((sequence * tier.sequence) / config.sequence);
    return { layers: Math.min(tier.layers, layers), window: own, sequence: Math.max(own, scaled) };
  });
  tiers[0] = { layers, window, sequence };
  const feedForward = sizes.feedForward ?? 4 * hidden;
  return validateConfig({ ...config, hidden, heads, layers, window, sequence, feedForward, tiers });
}
