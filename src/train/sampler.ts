/** Fills a batch with windows of token streams: which ones depends on seed, step and shard alone. */
import { FEATURE_MAX, FEATURE_ONE } from '../engine/limits.ts';
import { FEATURES_PER_CHANNEL } from '../gate/features.ts';
import { layerDropout } from './losses.ts';
import type { BatchShape } from './network.ts';
import { Random } from './random.ts';
import type { TokenPool } from './tokens.ts';
import { floats, type Workspace } from './workspace.ts';

export interface SampleSettings {
  readonly seed: number;
  /** Largest weight of a token by the ticks that its output is held; 1: all tokens weigh the same. */
  readonly holdMax: number;
  /** Probability that the last layer is left out for a sequence. */
  readonly layerDropout: number;
  /** A channel's level is shifted for a whole sequence, by a normal number times this times its level drift. */
  readonly levelJitter: number;
  /** A channel's excursions from its resting level grow for a whole sequence by e to this times a normal number. */
  readonly gainJitter: number;
  /** Probability that a channel is blank for a whole sequence. */
  readonly channelDropout: number;
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
    const { start, count, end } = drawWindow(pool, shape.length, random);
    const first = sequence * shape.length;
    copyFeatures(workspace, pool, first, start, count, shape.length);
    const distortions = augment(workspace, pool, first, count, settings, random);
    total += fillTargets(
      workspace,
      pool,
      { first, start, count, end, length: shape.length },
      distortions,
      settings,
    );
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
  return { start, count, end: pool.streamEnds[stream]! };
}

function featureView(workspace: Workspace, first: number, count: number, width: number): Int16Array {
  return new Int16Array(workspace.memory.buffer, workspace.features + 2 * first * width, count * width);
}

function copyFeatures(
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
  return pool.levelDrift.map((drift, channel) => {
    const gain = Math.exp(settings.gainJitter * random.normal());
    const moved = settings.levelJitter * drift * random.normal();
    const shift = moved + (1 - gain) * pool.restingLevel[channel]!;
    const blank = random.uniform() < settings.channelDropout;
    for (let at = FEATURES_PER_CHANNEL * channel; at < view.length; at += pool.featureCount) {
      if (blank) view.fill(0, at, at + 3);
      else distort(view, at, gain, shift);
    }
    return { gain, shift };
  });
}

/** Value and change, as the feature encoder would have made them. */
function distort(view: Int16Array, at: number, gain: number, shift: number): void {
  view[at] = clampFeature(gain * view[at]! + shift * FEATURE_ONE);
  view[at + 1] = clampFeature(gain * view[at + 1]!);
}

function clampFeature(value: number): number {
  return Math.max(-FEATURE_MAX, Math.min(FEATURE_MAX, Math.round(value)));
}

const UNDISTORTED: Distortion = { gain: 1, shift: 0 };

interface Placement extends Window {
  readonly first: number;
  readonly length: number;
}

function fillTargets(
  workspace: Workspace,
  pool: TokenPool,
  { first, start, count, end, length }: Placement,
  distortions: readonly Distortion[],
  settings: SampleSettings,
): number {
  const size = workspace.targetSize;
  const weights = floats(workspace, workspace.weights + 4 * first, length).fill(0);
  const targets = floats(workspace, workspace.targets + 4 * first * size, length * size).fill(Number.NaN);
  let total = 0;
  for (let token = 0; token < count; token++) {
    const tick = pool.ticks[start + token]!;
    const row = targets.subarray(token * size, (token + 1) * size);
    if (!writeTarget(workspace, pool, tick, end, distortions, row)) continue;
    weights[token] = Math.min(settings.holdMax, pool.hold[start + token]!);
    total += weights[token]!;
  }
  return total;
}

/** The target at a tick; false if there is none. `row` comes filled with NaN. */
export function writeTarget(
  workspace: Workspace,
  pool: TokenPool,
  tick: number,
  end: number,
  distortions: readonly Distortion[] | null,
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
      row[channel * horizon + ahead] = gain * value + shift;
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
