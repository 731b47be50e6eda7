/** Fills a batch with windows of token streams: which ones depends on seed, step and shard alone. */
import { FEATURE_MAX, FEATURE_ONE } from '../engine/limits.ts';
import { CHANGES_PER_CHANNEL, ELAPSED_BUCKETS, featuresPerChannel } from '../gate/features.ts';
import { stretchTrends } from '../gate/trends.ts';
import { layerDropout } from './losses.ts';
import type { BatchShape } from './network.ts';
import { Random } from './random.ts';
import type { PoolPath, TokenPool } from './tokens.ts';
import { floats, integers, type Workspace } from './workspace.ts';

export interface SampleSettings {
  readonly seed: number;
  /**
   * A token weighs as many ticks as its output is held, at most so many, over the mean of its stream: what counts
   * is every tick, and tokens crowd where much happens. 1: all tokens of a stream weigh the same.
   */
  readonly holdMax: number;
  /** Probability that the last layer is left out for a sequence. */
  readonly layerDropout: number;
  /**
   * A channel's level is shifted for a whole sequence: by a normal number times `levelJitter` times its own level
   * drift, and by one times `levelNoise` standard deviations whatever the channel.
   */
  readonly levelJitter: number;
  readonly levelNoise: number;
  /** A channel's excursions from its resting level grow for a whole sequence by e to this times a normal number. */
  readonly gainJitter: number;
  /** Probability that a channel is blank for a whole sequence. */
  readonly channelDropout: number;
  /**
   * Probability that fired flags, ages and elapsed times of a whole sequence come from another one. They say how a
   * stream was encoded, and what that happened to coincide with in a few days of training is seldom true later.
   */
  readonly eventShuffle: number;
  /** Probability that a whole sequence knows of each channel's past only what tier 1 does. */
  readonly rankDropout: number;
}

/** Writes features, targets, weights and kept layers of `shape`; returns the sum of the weights. */
export function sampleBatch(
  workspace: Workspace,
  pool: TokenPool,
  shape: BatchShape,
  settings: SampleSettings,
  step: number,
  shard: number,
): number {
  const random = new Random(settings.seed, 3, step, shard);
  let total = 0;
  for (let sequence = 0; sequence < shape.sequences; sequence++) {
    const window = drawWindow(pool, shape.length, random);
    const first = sequence * shape.length;
    copyTokens(workspace, pool, first, window.start, window.count, shape.length);
    const distortions = augment(workspace, pool, first, window.count, settings, random);
    const isReduced = pool.path !== null && random.uniform() < settings.rankDropout;
    if (isReduced)
      reducePast(featureView(workspace, first, window.count, pool.featureCount), pool, pool.path);
    const place = { ...window, first, length: shape.length, isReduced };
    total += fillTargets(workspace, pool, place, distortions, settings);
  }
  drawKeptLayers(workspace, shape.sequences, settings.layerDropout, random);
  return total;
}

interface Window {
  /** First token in the pool, and how many. */
  readonly start: number;
  readonly count: number;
  /** The tick after the last of its series. */
  readonly end: number;
  /** Ticks per token in its stream. */
  readonly meanHold: number;
}

/** Any variant, then any window of it: a stream that is too short for one is taken whole. */
function drawWindow(pool: TokenPool, length: number, random: Random): Window {
  const variant = random.below(pool.variantStarts.length - 1);
  const firstStream = pool.variantStarts[variant]!;
  const firstToken = pool.streamStarts[firstStream]!;
  const tokens = pool.streamStarts[pool.variantStarts[variant + 1]!]! - firstToken;
  const drawn = firstToken + random.below(tokens);
  let stream = firstStream;
  while (pool.streamStarts[stream + 1]! <= drawn) stream++;
  const from = pool.streamStarts[stream]!;
  const count = Math.min(length, pool.streamStarts[stream + 1]! - from);
  const start = Math.min(drawn, pool.streamStarts[stream + 1]! - count);
  const end = pool.streamEnds[stream]!;
  const meanHold = (end - pool.ticks[from]!) / (pool.streamStarts[stream + 1]! - from);
  return { start, count, end, meanHold };
}

function featureView(workspace: Workspace, first: number, count: number, width: number): Int16Array {
  return new Int16Array(workspace.memory.buffer, workspace.features + 2 * first * width, count * width);
}

/** Features and marks. */
function copyTokens(
  workspace: Workspace,
  pool: TokenPool,
  first: number,
  start: number,
  count: number,
  length: number,
): void {
  const width = pool.featureCount;
  const view = featureView(workspace, first, length, width);
  view.fill(0);
  view.set(pool.features.subarray(start * width, (start + count) * width));
  const marks = integers(workspace, workspace.marks + 4 * first, length).fill(0);
  marks.set(pool.marks.subarray(start, start + count));
}

/** What happened to a channel for a sequence: z becomes gain z + shift. */
interface Distortion {
  readonly gain: number;
  readonly shift: number;
}

/** Distorts and blanks channels; returns what was done to each, so that targets can follow. */
function augment(
  workspace: Workspace,
  pool: TokenPool,
  first: number,
  count: number,
  settings: SampleSettings,
  random: Random,
): Distortion[] {
  const view = featureView(workspace, first, count, pool.featureCount);
  if (random.uniform() < settings.eventShuffle) copyEvents(view, pool, drawWindow(pool, count, random).start);
  const perChannel = featuresPerChannel(pool.featureSet);
  const hasTrends = pool.featureSet === 'trends';
  return pool.levelDrift.map((drift, channel) => {
    const gain = Math.exp(settings.gainJitter * random.normal());
    const moved = settings.levelJitter * drift * random.normal() + settings.levelNoise * random.normal();
    const shift = moved + (1 - gain) * pool.restingLevel[channel]!;
    const blank = random.uniform() < settings.channelDropout;
    for (let at = perChannel * channel; at < view.length; at += pool.featureCount) {
      if (blank) blankChannel(view, at, perChannel);
      else distort(view, at, gain, shift);
      if (hasTrends && !blank && gain !== 1) stretchTrends(view, at + CHANGES_PER_CHANNEL, gain);
    }
    distortPast(view, pool, channel, blank ? 0 : gain);
    return { gain, shift };
  });
}

/** Fired flags, ages and elapsed times of the tokens from `start` on; a short stream runs into the next. */
function copyEvents(view: Int16Array, pool: TokenPool, start: number): void {
  const width = pool.featureCount;
  const perChannel = featuresPerChannel(pool.featureSet);
  const buckets = perChannel * pool.channels;
  const last = pool.features.length / width - 1;
  for (let token = 0; token * width < view.length; token++) {
    const from = Math.min(start + token, last) * width;
    for (let at = 2; at < buckets; at += perChannel) {
      view[token * width + at] = pool.features[from + at]!;
      view[token * width + at + 1] = pool.features[from + at + 1]!;
    }
    view.set(
      pool.features.subarray(from + buckets, from + buckets + ELAPSED_BUCKETS),
      token * width + buckets,
    );
  }
}

/** All but its age, which an unknown channel has, too. */
function blankChannel(view: Int16Array, at: number, perChannel: number): void {
  view.fill(0, at, at + 3);
  view.fill(0, at + CHANGES_PER_CHANNEL, at + perChannel);
}

/** Value and change, as the feature encoder would have made them. */
function distort(view: Int16Array, at: number, gain: number, shift: number): void {
  view[at] = clampFeature(gain * view[at]! + shift * FEATURE_ONE);
  view[at + 1] = clampFeature(gain * view[at + 1]!);
}

/** What the past amounts to is above the present value: a shift leaves it as it is. */
function distortPast(view: Int16Array, pool: TokenPool, channel: number, gain: number): void {
  if (pool.path === null || gain === 1) return;
  const { rank } = pool.path;
  const first = pool.featureCount - pool.channels * rank;
  for (let at = first + channel * rank; at < view.length; at += pool.featureCount) {
    for (let k = at; k < at + rank; k++) view[k] = clampFeature(gain * view[k]!);
  }
}

function clampFeature(value: number): number {
  return Math.max(-FEATURE_MAX, Math.min(FEATURE_MAX, Math.round(value)));
}

/** Components that tier 1 does without become zero. */
function reducePast(view: Int16Array, { featureCount, channels }: TokenPool, path: PoolPath): void {
  const first = featureCount - channels * path.rank;
  for (let token = 0; token < view.length; token += featureCount) {
    for (let at = token + first; at < token + featureCount; at += path.rank) {
      view.fill(0, at + path.reducedRank, at + path.rank);
    }
  }
}

/** Where the past of a token leads by itself, with all components or those of tier 1; null without such a path. */
function pathForecast(pool: TokenPool, token: number, isReduced: boolean): Float32Array | null {
  const { forecasts, path, channels, featureCount } = pool;
  if (forecasts === null || path === null) return null;
  const { rank, reducedRank, readout } = path;
  const horizon = readout.length / rank;
  const size = channels * horizon;
  const whole = forecasts.subarray(token * size, (token + 1) * size);
  if (!isReduced) return whole;
  const components = (token + 1) * featureCount - channels * rank;
  return whole.map((value, i) => {
    const channel = Math.floor(i / horizon);
    let reduced = value;
    for (let k = reducedRank; k < rank; k++) {
      reduced -= readout[(i % horizon) * rank + k]! * pool.features[components + channel * rank + k]!;
    }
    return reduced;
  });
}

const UNDISTORTED: Distortion = { gain: 1, shift: 0 };

interface Placement extends Window {
  readonly first: number;
  readonly length: number;
  readonly isReduced: boolean;
}

function fillTargets(
  workspace: Workspace,
  pool: TokenPool,
  { first, start, count, end, length, meanHold, isReduced }: Placement,
  distortions: readonly Distortion[],
  settings: SampleSettings,
): number {
  const { holdMax } = settings;
  const size = workspace.targetSize;
  const weights = floats(workspace, workspace.weights + 4 * first, length).fill(0);
  const targets = floats(workspace, workspace.targets + 4 * first * size, length * size).fill(Number.NaN);
  let total = 0;
  for (let token = 0; token < count; token++) {
    const tick = pool.ticks[start + token]!;
    const row = targets.subarray(token * size, (token + 1) * size);
    const from = pathForecast(pool, start + token, isReduced);
    if (!writeTarget(workspace, pool, tick, end, distortions, from, row)) continue;
    weights[token] = holdMax === 1 ? 1 : Math.min(holdMax, pool.hold[start + token]!) / meanHold;
    total += weights[token]!;
  }
  return total;
}

/** The target at a tick, above `from` if that is given; false if there is none. `row` comes filled with NaN. */
export function writeTarget(
  workspace: Pick<Workspace, 'kind'>,
  pool: TokenPool,
  tick: number,
  end: number,
  distortions: readonly Distortion[] | null,
  from: Float32Array | null,
  row: Float32Array,
): boolean {
  if (workspace.kind === 'classify') {
    row[0] = pool.labels[tick]!;
    return row[0] >= 0;
  }
  const horizon = workspace.kind === 'anomaly' ? 1 : row.length / pool.channels;
  const ticks = Math.min(horizon, end - tick - 1);
  for (let channel = 0; channel < pool.channels; channel++) {
    const { gain, shift } = distortions?.[channel] ?? UNDISTORTED;
    for (let ahead = 0; ahead < ticks; ahead++) {
      const value = pool.values[(tick + 1 + ahead) * pool.channels + channel]!;
      const at = channel * horizon + ahead;
      row[at] = from === null ? gain * value + shift : gain * (value - from[at]!);
    }
  }
  return ticks > 0;
}

function drawKeptLayers(workspace: Workspace, sequences: number, max: number, random: Random): void {
  for (const [layer, tape] of workspace.layers.entries()) {
    const dropped = layerDropout(layer, workspace.layers.length, max);
    const keep = floats(workspace, tape.keep, sequences);
    for (let sequence = 0; sequence < sequences; sequence++)
      keep[sequence] = random.uniform() < dropped ? 0 : 1;
  }
}
