/** Which network `dormouse train` makes: its options, and the configuration that they are for a recording. */
import {
  type AttentionKind,
  type KeyValueFormat,
  type PresetName,
  presetNames,
  type TransformerConfig,
  validateConfig,
} from '../engine/config.ts';
import { HIDDEN_MAX, LAYERS_MAX, REFINEMENT_ROUNDS_MAX, WINDOW_MAX } from '../engine/limits.ts';
import type { FeatureSet } from '../engine/model.ts';
import type { HeadPattern } from '../engine/patterns.ts';
import { featureCount } from '../gate/features.ts';
import type { Recording } from '../recording/recording.ts';
import { outputCount, taskOf } from '../train/dataset.ts';
import { resizedPreset, type Sizes } from '../train/sizes.ts';
import { UsageError } from './command.ts';
import { numberOption, requireChoice, wholeNumberOption } from './options.ts';
import { patternOption, withPattern } from './pattern-option.ts';

const text = { type: 'string' } as const;

export const architectureOptions = {
  preset: text,
  hidden: text,
  layers: text,
  window: text,
  routing: text,
  refinement: text,
  attention: text,
  pattern: text,
  'key-values': text,
} as const;

/** Lines of the command's usage. */
export const architectureUsage = `  --preset NAME         ${presetNames.join(' or ')} (default micro)
  --hidden N, --layers N, --window N
                        width, depth and ticks that one attends to, instead of the preset's
  --routing X           tokens may go around every second layer; a share of X goes through (mixture-of-depths)
  --router KIND         learned, or fixed: as it began, to compare with (default learned)
  --refinement N        a block after the last layer that runs up to N times a tick
  --attention KIND      softmax or spike: binary queries, keys and values, counted (default softmax)
  --pattern FORM        what heads see of the window: a-shape:L, the newest L; vertical-slash:L,K, also the K most
                        novel of the others (pinned); slash:L,A,B,..., also those of these ages (default all)
  --key-values FORMAT   int8, int4 or int4-rotated: how the rings hold keys and values (default int8)`;

export interface Architecture {
  readonly preset: PresetName;
  readonly sizes: Sizes;
  /** The capacity of every second layer; undefined: no layer is routed. */
  readonly routing: number | undefined;
  /** Rounds; undefined: none. */
  readonly refinement: number | undefined;
  readonly attention: AttentionKind;
  /** Undefined: heads see the whole window. */
  readonly pattern: HeadPattern | undefined;
  readonly keyValues: KeyValueFormat;
}

type Values = { readonly [name in keyof typeof architectureOptions]?: string | undefined };

/** Throws UsageError. */
export function readArchitecture(values: Values): Architecture {
  const { preset = 'micro', attention = 'softmax', 'key-values': keyValues = 'int8' } = values;
  return {
    preset: requireChoice('--preset', preset, presetNames),
    sizes: {
      hidden: sizeOption('hidden', values.hidden, HIDDEN_MAX),
      layers: sizeOption('layers', values.layers, LAYERS_MAX),
      window: sizeOption('window', values.window, WINDOW_MAX),
    },
    routing: values.routing === undefined ? undefined : numberOption('routing', values.routing, 1, 1e-3, 1),
    refinement: sizeOption('refinement', values.refinement, REFINEMENT_ROUNDS_MAX),
    attention: requireChoice('--attention', attention, ['softmax', 'spike']),
    pattern: patternOption(values.pattern),
    keyValues: requireChoice('--key-values', keyValues, ['int8', 'int4', 'int4-rotated']),
  };
}

function sizeOption(name: string, value: string | undefined, max: number): number | undefined {
  return value === undefined ? undefined : wholeNumberOption(name, value, 0, 1, max);
}

/** The smallest transformer that a file can hold. */
export const smallest: Sizes = { hidden: 4, heads: 1, layers: 1, window: 1, feedForward: 1 };

/** Throws UsageError, or ConfigError where the parts do not fit together. */
export function configOf(
  recording: Recording,
  { preset, sizes, routing, refinement, attention, pattern, keyValues }: Architecture,
  features: FeatureSet | undefined,
): TransformerConfig {
  const channels = recording.channels.length;
  const outputs = outputCount(taskOf(recording), channels);
  const config = resizedPreset(preset, featureCount(channels, features), outputs, sizes);
  return validateConfig({
    ...config,
    ...(routing !== undefined && { routing: { layers: everySecond(config.layers), capacity: routing } }),
    ...(attention !== 'softmax' && { attention }),
    ...(refinement !== undefined && { refinement: { rounds: refinement } }),
    ...withPattern(config, pattern),
    ...(keyValues !== 'int8' && { keyValues }),
  });
}

/** Never the first: what goes around a layer has been through one. */
function everySecond(layers: number): number[] {
  if (layers === 1) throw new UsageError('--routing: expected at least 2 layers, got 1');
  return Array.from({ length: Math.floor(layers / 2) }, (_, index) => 2 * index + 1);
}
