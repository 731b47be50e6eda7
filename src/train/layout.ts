/** Where each parameter lies in the one flat array that the trainer, the optimiser and the threads share. */
import { isRouted, type TransformerConfig } from '../engine/config.ts';
import type { FeatureSet } from '../engine/model.ts';
import { ELAPSED_BUCKETS, featuresPerChannel } from '../gate/features.ts';
import { Random } from './random.ts';

/** A threshold is so many times its parameter, so that a few hundred steps can move it by whole counts. */
export const THRESHOLD_UNIT = 16;

/** Places of a channel's flag and age among its features. */
const FIRED = 2;
const AGE = 3;

/** One parameter array, row-major; `offset` in floats, a multiple of 4. */
export interface Slice {
  readonly name: string;
  readonly offset: number;
  readonly rows: number;
  readonly columns: number;
  /** Whether weight decay applies (matrices only). */
  readonly decay: boolean;
}

export interface LinearSlices {
  readonly weight: Slice;
  readonly bias: Slice;
}

export interface FeedForwardSlices {
  readonly up: LinearSlices;
  readonly down: LinearSlices;
}

export interface LayerSlices extends FeedForwardSlices {
  /** [3 hidden, hidden]: queries, keys, values; row = head * headSize + component within each. */
  readonly qkv: LinearSlices;
  readonly output: LinearSlices;
  /** [heads, window]; with spike attention empty, and the next one, too. */
  readonly ageBias: Slice;
  /** [1, heads]. */
  readonly sink: Slice;
  /** [1, hidden], only with spike attention, in `THRESHOLD_UNIT`s. */
  readonly spikeThreshold?: Slice;
  /** [1, hidden], in routed layers. */
  readonly router?: LinearSlices;
}

export interface ParameterLayout {
  readonly embedding: LinearSlices;
  readonly layers: readonly LayerSlices[];
  /** The block that runs again and again after the last layer, if there is one. */
  readonly refinement?: FeedForwardSlices;
  readonly head: LinearSlices;
  /** [outputs, features], the linear path. */
  readonly linear: Slice;
  readonly slices: readonly Slice[];
  /** Floats in all, padding included. */
  readonly count: number;
}

export function parameterLayout(config: TransformerConfig): ParameterLayout {
  const { features, outputs, hidden, heads, window, feedForward } = config;
  const slices: Slice[] = [];
  let count = 0;
  const slice = (name: string, rows: number, columns: number, decay: boolean): Slice => {
    const made = { name, offset: count, rows, columns, decay };
    count += Math.ceil((rows * columns) / 4) * 4;
    slices.push(made);
    return made;
  };
  const linear = (name: string, rows: number, columns: number): LinearSlices => ({
    weight: slice(`${name}.weight`, rows, columns, true),
    bias: slice(`${name}.bias`, 1, rows, false),
  });
  const feedForwardOf = (name: string): FeedForwardSlices => ({
    up: linear(`${name}.up`, feedForward, hidden),
    down: linear(`${name}.down`, hidden, feedForward),
  });
  const isSpiking = config.attention === 'spike';
  const layer = (_: unknown, index: number): LayerSlices => ({
    qkv: linear(`layer${index}.qkv`, 3 * hidden, hidden),
    output: linear(`layer${index}.output`, hidden, hidden),
    ageBias: slice(`layer${index}.ageBias`, heads, isSpiking ? 0 : window, false),
    sink: slice(`layer${index}.sink`, 1, isSpiking ? 0 : heads, false),
    ...(isSpiking && { spikeThreshold: slice(`layer${index}.spikeThreshold`, 1, hidden, false) }),
    ...feedForwardOf(`layer${index}`),
  });
  const embedding = linear('embedding', hidden, features);
  const plain = Array.from({ length: config.layers }, layer);
  const head = linear('head', outputs, hidden);
  const path = slice('linear.weight', outputs, features, true);
  // Last, so that all else starts with the same numbers with routers and refinement and without.
  const layers = plain.map((slices, index) =>
    isRouted(config, index) ? { ...slices, router: linear(`layer${index}.router`, 1, hidden) } : slices,
  );
  const refinement = config.refinement && feedForwardOf('refinement');
  return { embedding, layers, ...(refinement && { refinement }), head, linear: path, slices, count };
}

/** `count` rows (of a bias: entries) of a slice, from row `first` on. */
export function rowsOf(slice: Slice, first: number, count: number): Slice {
  if (slice.rows === 1) return { ...slice, offset: slice.offset + first, columns: count };
  return { ...slice, offset: slice.offset + first * slice.columns, rows: count };
}

/**
 * Starting values: matrices normal with variance 1 / inputs (residual outputs smaller, by depth;
 * of values, their changes and trends `inputGain` times larger), the head and the
 * linear path near zero so that training starts at the prior, biases zero. Age biases fall with age, in each head at
 * another slope (ALiBi, Press et al. 2108.12409): heads begin as moving averages over few tokens to all.
 */
export function initialParameters(
  config: TransformerConfig,
  layout: ParameterLayout,
  seed: number,
  inputGain = 1,
  features: FeatureSet = 'changes',
): Float32Array {
  const parameters = new Float32Array(layout.count);
  const random = new Random(seed, 1);
  for (const { name, offset, rows, columns, decay } of layout.slices) {
    if (!decay) continue;
    const deviation = initialGain(name, config.layers) / Math.sqrt(columns);
    for (let i = 0; i < rows * columns; i++) parameters[offset + i] = deviation * random.normal();
  }
  for (const { ageBias, spikeThreshold } of layout.layers) {
    startAgeBias(parameters, ageBias);
    if (spikeThreshold) startThresholds(parameters, spikeThreshold, config.window);
  }
  amplifyValues(parameters, layout.embedding.weight, inputGain, featuresPerChannel(features));
  return parameters;
}

/** What a channel does, `gain` times as loud beside flags and ages: a slow trend is a small difference of values. */
function amplifyValues(
  parameters: Float32Array,
  { offset, rows, columns }: Slice,
  gain: number,
  perChannel: number,
): void {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column + ELAPSED_BUCKETS < columns; column++) {
      const feature = column % perChannel;
      if (feature !== FIRED && feature !== AGE) parameters[offset + row * columns + column]! *= gain;
    }
  }
}

/** Slopes from 2^(-8/heads) down to 2^-8 per token, in powers of two where `heads` divides 8. */
function startAgeBias(parameters: Float32Array, { offset, rows: heads, columns: window }: Slice): void {
  for (let head = 0; head < heads; head++) {
    const slope = 2 ** ((-8 * (head + 1)) / heads);
    for (let age = 0; age < window; age++) parameters[offset + head * window + age] = -slope * age;
  }
}

/** A quarter of the window: of a random key and a random value, both are positive as often. */
function startThresholds(parameters: Float32Array, { offset, columns }: Slice, window: number): void {
  parameters.fill(Math.max(1, window / 4) / THRESHOLD_UNIT, offset, offset + columns);
}

function initialGain(name: string, layers: number): number {
  if (name.startsWith('linear')) return 0;
  if (name.startsWith('head')) return 0.1;
  return name.includes('output') || name.includes('down') ? 1 / Math.sqrt(2 * layers) : 1;
}
