/** What a transformer is: its sizes, its tiers, and the two presets. */
import { ConfigError, describe, requireObject, requireSize } from './config-fields.ts';
import {
  assert,
  FEATURES_MAX,
  FEED_FORWARD_MAX,
  HEADS_MAX,
  HIDDEN_MAX,
  HISTORY_RANK_MAX,
  HISTORY_ROWS_MAX,
  LAYERS_MAX,
  OUTPUTS_MAX,
  REFINEMENT_ROUNDS_MAX,
  SEQUENCE_MAX,
  WINDOW_MAX,
} from './limits.ts';
import { type HeadPattern, isRotatable, requirePatterns } from './patterns.ts';

export { ConfigError } from './config-fields.ts';

/** What one tier of compute may use. Tier 3 (skip) uses nothing and has no limits. */
export interface TierLimits {
  /** The first so many layers run (LayerSkip: the first, never the last). 0, with a history: the linear path alone. */
  readonly layers: number;
  /** So many of the newest positions may be looked at. */
  readonly sequence: number;
  /** So many of the newest positions one token attends to, itself included. */
  readonly window: number;
}

/** softmax: a distribution over the visible positions. spike: counts of binary keys and values, no products. */
export type AttentionKind = 'softmax' | 'spike';

/**
 * How the rings hold keys and values. int4: four bits, a scale per head and slot. int4-rotated: each head rotated by a
 * Hadamard transform first, which spreads outliers; head sizes of 16 to 256, powers of two.
 */
export type KeyValueFormat = 'int8' | 'int4' | 'int4-rotated';

/** shared: one gain for all channels of a norm. channel: one for each. */
export type NormGains = 'shared' | 'channel';

/** Mixture-of-depths: which layers a token may go around, and how many tokens may go through. */
export interface Routing {
  /** Layers with a router, counted from 0, ascending. */
  readonly layers: readonly number[];
  /** Of any run of ticks at most this share, and 32 times that at once, goes through a routed layer; 1: no limit. */
  readonly capacity: number;
}

/** A feed-forward block after the last layer, run again and again while it helps. */
export interface Refinement {
  /** At most so many times a tick. */
  readonly rounds: number;
}

/**
 * A linear path over each channel's past beside the transformer (NLinear, Zeng et al. 2023, at reduced rank): the same
 * map for every channel, of its last ticks less the present value, to `outputs / channels` outputs above that value.
 */
export interface HistoryConfig {
  /** Ticks looked back on, the present one included. */
  readonly rows: number;
  /** Outputs are channel-major: so many for the first channel, as many for the next. */
  readonly channels: number;
  /** Channel c's value is feature c x stride. */
  readonly stride: number;
  /**
   * How many components tiers 0, 1 and 2 use, the first ones; none more than the tier before. The transformer reads
   * them beside the features, zeros for those that a tier leaves out.
   */
  readonly ranks: readonly [number, number, number];
}

/** Sizes of a causal pre-norm transformer over sensor ticks. All are whole numbers >= 1. */
export interface TransformerConfig {
  /** Features per tick. */
  readonly features: number;
  /** Outputs (logits) per tick. */
  readonly outputs: number;
  /** Slots of each layer's KV ring; at least `window`. */
  readonly sequence: number;
  /** Width of the residual stream; a multiple of `heads`. */
  readonly hidden: number;
  readonly heads: number;
  readonly layers: number;
  /** Positions that one token attends to, itself included. */
  readonly window: number;
  /** Width of the feed-forward layer (the presets: 4 x hidden). */
  readonly feedForward: number;
  /** Limits of tiers 0 (full), 1 (reduced), 2 (safe). */
  readonly tiers: readonly [TierLimits, TierLimits, TierLimits];
  /** Absent: softmax. */
  readonly attention?: AttentionKind;
  /** Absent: shared. */
  readonly normGains?: NormGains;
  /** Absent: every token goes through every layer of its plan. */
  readonly routing?: Routing;
  /** Absent: there is nothing to refine with. */
  readonly refinement?: Refinement;
  /** Absent: the linear path beside the transformer sees the present tick alone. */
  readonly history?: HistoryConfig;
  /** Absent: int8. */
  readonly keyValues?: KeyValueFormat;
  /** [layers][heads]: what each head looks at within its window. Absent: everything. */
  readonly patterns?: readonly (readonly HeadPattern[])[];
}

/** 0 full, 1 reduced, 2 safe, 3 skip. */
export type Tier = 0 | 1 | 2 | 3;

const presets = {
  micro: {
    sequence: 32,
    hidden: 128,
    heads: 4,
    layers: 2,
    window: 8,
    feedForward: 512,
    tiers: [
      { layers: 2, sequence: 32, window: 8 },
      { layers: 1, sequence: 16, window: 4 },
      { layers: 1, sequence: 4, window: 4 },
    ],
  },
  baseline: {
    sequence: 64,
    hidden: 256,
    heads: 4,
    layers: 4,
    window: 16,
    feedForward: 1024,
    tiers: [
      { layers: 4, sequence: 64, window: 16 },
      { layers: 2, sequence: 32, window: 8 },
      { layers: 1, sequence: 8, window: 4 },
    ],
  },
} as const;

export type PresetName = keyof typeof presets;
export const presetNames = Object.keys(presets) as readonly PresetName[];

/** The preset of that name for so many features and outputs. Throws ConfigError. */
export function presetConfig(name: PresetName, features: number, outputs: number): TransformerConfig {
  if (!Object.hasOwn(presets, name)) {
    throw new ConfigError(`preset: expected one of ${presetNames.join(', ')}, got ${JSON.stringify(name)}`);
  }
  return validateConfig({ ...presets[name], features, outputs });
}

/** `hidden / heads`: the width of one attention head. */
export function headSize(config: TransformerConfig): number {
  return config.hidden / config.heads;
}

/** What the embedding reads: the features, and the components of each channel's past. */
export function embeddingInputs({ features, history }: TransformerConfig): number {
  return features + (history === undefined ? 0 : history.channels * history.ranks[0]);
}

/** Whether tokens may go around layer `index`. */
export function isRouted({ routing }: TransformerConfig, index: number): boolean {
  return routing?.layers.includes(index) ?? false;
}

export function isInt4(format: KeyValueFormat | undefined): boolean {
  return format === 'int4' || format === 'int4-rotated';
}

/** Whether attention reads more than an int8 window. */
export function hasLongContext({ keyValues, patterns }: TransformerConfig): boolean {
  return isInt4(keyValues) || patterns !== undefined;
}

/** Whether a head looks at marked positions. */
export function hasPins({ patterns }: TransformerConfig): boolean {
  return patterns?.flat().some(({ pinned }) => pinned !== undefined) ?? false;
}

/** Whether a head looks at chosen blocks. */
export function hasBlocks({ patterns }: TransformerConfig): boolean {
  return patterns?.flat().some(({ blocks }) => blocks !== undefined) ?? false;
}

const sizeLimits = {
  features: FEATURES_MAX,
  outputs: OUTPUTS_MAX,
  sequence: SEQUENCE_MAX,
  hidden: HIDDEN_MAX,
  heads: HEADS_MAX,
  layers: LAYERS_MAX,
  window: WINDOW_MAX,
  feedForward: FEED_FORWARD_MAX,
} as const;

/** Checks every field and relation; returns a frozen copy. Throws ConfigError naming the field. */
export function validateConfig(input: unknown): TransformerConfig {
  const fields = requireObject(input, 'config', [
    ...Object.keys(sizeLimits),
    'tiers',
    'attention',
    'normGains',
    'routing',
    'refinement',
    'history',
    'keyValues',
    'patterns',
  ]);
  const sizes = {} as Record<keyof typeof sizeLimits, number>;
  for (const [name, max] of Object.entries(sizeLimits)) {
    sizes[name as keyof typeof sizeLimits] = requireSize(fields[name], `config.${name}`, max);
  }
  if (sizes.hidden % sizes.heads !== 0) {
    throw new ConfigError(
      `config.hidden: expected a multiple of heads (${sizes.heads}), got ${sizes.hidden}`,
    );
  }
  if (sizes.window > sizes.sequence) {
    throw new ConfigError(
      `config.window: expected at most sequence (${sizes.sequence}), got ${sizes.window}`,
    );
  }
  const { attention, normGains, routing, refinement, history, keyValues, patterns } = fields;
  if (attention === 'spike' && (keyValues ?? patterns) !== undefined) {
    throw new ConfigError('config.attention: expected softmax with keyValues or patterns, got spike');
  }
  const tiers = requireTiers(fields.tiers, sizes, history === undefined ? 1 : 0);
  return Object.freeze({
    ...sizes,
    tiers,
    ...(attention === undefined ? {} : { attention: requireAttention(attention) }),
    ...(normGains === undefined ? {} : { normGains: requireNormGains(normGains) }),
    ...(routing === undefined ? {} : { routing: requireRouting(routing, sizes.layers) }),
    ...(refinement === undefined ? {} : { refinement: requireRefinement(refinement) }),
    ...(history === undefined ? {} : { history: requireHistory(history, sizes) }),
    ...(keyValues === undefined ? {} : { keyValues: requireFormat(keyValues, sizes.hidden / sizes.heads) }),
    ...(patterns === undefined ? {} : { patterns: requirePatterns(patterns, sizes) }),
  });
}

function requireAttention(input: unknown): AttentionKind {
  if (input === 'softmax' || input === 'spike') return input;
  throw new ConfigError(`config.attention: expected softmax or spike, got ${describe(input)}`);
}

function requireFormat(input: unknown, size: number): KeyValueFormat {
  if (input !== 'int8' && input !== 'int4' && input !== 'int4-rotated') {
    throw new ConfigError(`config.keyValues: expected int8, int4 or int4-rotated, got ${describe(input)}`);
  }
  if (input === 'int4-rotated' && !isRotatable(size)) {
    throw new ConfigError(
      `config.keyValues: int4-rotated: expected heads of 16, 32, 64, 128 or 256, got ${size}`,
    );
  }
  return input;
}

function requireNormGains(input: unknown): NormGains {
  if (input === 'shared' || input === 'channel') return input;
  throw new ConfigError(`config.normGains: expected shared or channel, got ${describe(input)}`);
}

function requireRefinement(input: unknown): Refinement {
  const { rounds } = requireObject(input, 'config.refinement', ['rounds']);
  return Object.freeze({ rounds: requireSize(rounds, 'config.refinement.rounds', REFINEMENT_ROUNDS_MAX) });
}

function requireRouting(input: unknown, count: number): Routing {
  const fields = requireObject(input, 'config.routing', ['layers', 'capacity']);
  const { layers, capacity } = fields;
  const ascends = (index: unknown, i: number, all: unknown[]) =>
    Number.isInteger(index) &&
    (index as number) < count &&
    (index as number) > (i === 0 ? -1 : (all[i - 1] as number));
  if (!Array.isArray(layers) || layers.length === 0 || !layers.every(ascends)) {
    throw new ConfigError(
      `config.routing.layers: expected ascending layers below ${count}, got ${JSON.stringify(layers)}`,
    );
  }
  if (typeof capacity !== 'number' || !(capacity > 0 && capacity <= 1)) {
    throw new ConfigError(`config.routing.capacity: expected above 0 to 1, got ${describe(capacity)}`);
  }
  return Object.freeze({ layers: Object.freeze([...layers]), capacity });
}

function requireHistory(
  input: unknown,
  { features, outputs }: Record<keyof typeof sizeLimits, number>,
): HistoryConfig {
  const path = 'config.history';
  const fields = requireObject(input, path, ['rows', 'channels', 'stride', 'ranks']);
  const rows = requireSize(fields.rows, `${path}.rows`, HISTORY_ROWS_MAX);
  const channels = requireSize(fields.channels, `${path}.channels`, features);
  const strideMax = channels === 1 ? features : Math.floor((features - 1) / (channels - 1));
  const stride = requireSize(fields.stride, `${path}.stride`, strideMax);
  if (outputs % channels !== 0) {
    throw new ConfigError(`${path}.channels: expected a divisor of outputs (${outputs}), got ${channels}`);
  }
  if (!Array.isArray(fields.ranks) || fields.ranks.length !== 3) {
    throw new ConfigError(`${path}.ranks: expected 3 ranks, got ${describe(fields.ranks)}`);
  }
  const ranks: number[] = [];
  for (const [tier, rank] of fields.ranks.entries()) {
    ranks.push(requireSize(rank, `${path}.ranks[${tier}]`, ranks[tier - 1] ?? HISTORY_RANK_MAX));
  }
  return Object.freeze({ rows, channels, stride, ranks: Object.freeze(ranks) as HistoryConfig['ranks'] });
}

function requireTiers(
  input: unknown,
  sizes: Record<keyof typeof sizeLimits, number>,
  leastLayers: number,
): TransformerConfig['tiers'] {
  if (!Array.isArray(input) || input.length !== 3) {
    throw new ConfigError(`config.tiers: expected 3 tiers, got ${describe(input)}`);
  }
  const tiers = input.map((tier, index) => {
    const path = `config.tiers[${index}]`;
    const fields = requireObject(tier, path, ['layers', 'sequence', 'window']);
    const sequence = requireSize(fields.sequence, `${path}.sequence`, sizes.sequence);
    return Object.freeze({
      layers: requireSize(fields.layers, `${path}.layers`, sizes.layers, leastLayers),
      sequence,
      window: requireSize(fields.window, `${path}.window`, Math.min(sizes.window, sequence)),
    });
  });
  assert(tiers.length === 3, 'three tiers');
  return Object.freeze(tiers) as unknown as TransformerConfig['tiers'];
}
