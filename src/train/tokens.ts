/** Series as the gateway's own encoders see them: event-encoded token streams, many threshold settings of each. */
import type { Channel, FeatureSet, SpikeSettings } from '../engine/model.ts';
import { FeatureEncoder, featureCount, featuresPerChannel } from '../gate/features.ts';
import { makeSpikePacket, SpikeEncoder } from '../gate/spike-encoder.ts';
import type { Series } from '../recording/recording.ts';
import type { Dataset } from './dataset.ts';
import { type LeakSettings, leakFaster } from './leak.ts';
import { type PastMap, type TokenShape, tracePast } from './past.ts';
import { Random } from './random.ts';
import { wander } from './wander.ts';

/** The ticks of one series that became tokens. */
export interface TokenStream {
  /** [tokens, features] Q10. */
  readonly features: Int16Array;
  /** [tokens]: the series' row at which each token came. */
  readonly rows: Int32Array;
  /** [tokens]: how novel each was, what a head that pins chooses by. */
  readonly marks: Int32Array;
  /** [tokens, channels x horizon]: where the past leads by itself; absent where nobody asked. */
  readonly forecasts?: Float32Array;
}

export interface EncodeSettings {
  readonly channels: readonly Channel[];
  readonly intervalMs: number;
  readonly spikes: SpikeSettings;
  /** Default `changes`. */
  readonly features?: FeatureSet;
  /** Every tick becomes a token and every known channel fires, as in a pipeline without gating. */
  readonly dense: boolean;
}

/** Runs a series through spike and feature encoder, from their cold start. */
export function encodeSeries(series: Series, settings: EncodeSettings): TokenStream {
  const { channels, intervalMs, spikes, dense } = settings;
  const count = channels.length;
  const width = featureCount(count, settings.features);
  const spikeEncoder = new SpikeEncoder(channels, dense ? alwaysFire(count) : spikes);
  const featureEncoder = new FeatureEncoder(channels, settings.features);
  const packet = makeSpikePacket(count);
  const features = new Int16Array(series.rows * width);
  const rows = new Int32Array(series.rows);
  const marks = new Int32Array(series.rows);
  let tokens = 0;
  for (let row = 0; row < series.rows; row++) {
    const timeMs = series.timeMs[row]!;
    const frame = { timeMs, values: series.values.subarray(row * count, (row + 1) * count) };
    const elapsed = row === 0 ? 0 : (timeMs - series.timeMs[row - 1]!) / intervalMs;
    spikeEncoder.encode(frame, elapsed, packet);
    featureEncoder.observe(frame, elapsed);
    if (!packet.fired && !dense) continue;
    const sinceToken = tokens === 0 ? 0 : (timeMs - series.timeMs[rows[tokens - 1]!]!) / intervalMs;
    featureEncoder.encode(frame, packet, sinceToken, features.subarray(tokens * width, (tokens + 1) * width));
    marks[tokens] = packet.noveltyQ15;
    rows[tokens++] = row;
  }
  return {
    features: features.slice(0, tokens * width),
    rows: rows.slice(0, tokens),
    marks: marks.slice(0, tokens),
  };
}

function alwaysFire(channels: number): SpikeSettings {
  const zeros: number[] = Array(channels).fill(0);
  return { delta: zeros, heartbeat: zeros, refractory: zeros };
}

/** Thresholds `scale` times as wide. */
function scaleDeltas(spikes: SpikeSettings, scale: number): SpikeSettings {
  return { ...spikes, delta: spikes.delta.map((delta) => delta * scale) };
}

/** The last part of the linear path over the past. */
export interface PoolPath {
  /** Components of a channel, and those that tier 1 uses. */
  readonly rank: number;
  readonly reducedRank: number;
  /** [horizon x rank]: what 1 of a component adds to a forecast. */
  readonly readout: Float32Array;
}

/** Token streams under many thresholds, and the ticks beneath, as plain arrays that threads can share. */
export interface TokenPool {
  readonly featureCount: number;
  readonly featureSet: FeatureSet;
  readonly channels: number;
  /** [channels], see Dataset. */
  readonly restingLevel: readonly number[];
  readonly levelDrift: readonly number[];
  /** [tokens, featureCount]. */
  readonly features: Int16Array;
  /** [tokens, channels x horizon]: where the past leads by itself, which is left out of what is to learn; or nothing. */
  readonly forecasts: Float32Array | null;
  /** What `forecasts` are made of; null where there are none. */
  readonly path: PoolPath | null;
  /** [tokens], see TokenStream. */
  readonly marks: Int32Array;
  /** [tokens]: tick in the arrays below. */
  readonly ticks: Int32Array;
  /** [tokens]: ticks until the next token of its stream, at least 1. */
  readonly hold: Int32Array;
  /** [streams + 1]: first token of each stream. */
  readonly streamStarts: Int32Array;
  /** [streams]: the tick after the stream's last. */
  readonly streamEnds: Int32Array;
  /** [variants + 1]: first stream of each threshold setting. */
  readonly variantStarts: Int32Array;
  /** [ticks, channels], normalised, NaN where unknown. */
  readonly values: Float32Array;
  /** [ticks], -1 where there is none. */
  readonly labels: Int8Array;
}

export interface PoolSettings extends LeakSettings {
  readonly seed: number;
  /** Threshold settings to make, if they fit `maxBytes`; at least 2. */
  readonly variants: number;
  /** Share of them in which every tick is a token. */
  readonly denseShare: number;
  /** Thresholds are drawn log-uniformly from `finest` to `widest` times the default. */
  readonly finest: number;
  readonly widest: number;
  /** The channels of the drawn settings leak faster, and wander by so many standard deviations; classify only. See leak.ts, wander.ts. */
  readonly levelWander: number;
  readonly maxBytes: number;
}

/** Nothing but the two variants that every pool begins with. */
export const plainPool: PoolSettings = {
  seed: 0,
  variants: 2,
  denseShare: 1,
  finest: 1,
  widest: 1,
  levelWander: 0,
  leak: 1,
  leakHalfLife: 1,
  maxBytes: 0,
};

/** Variant 0 is dense and variant 1 has the default thresholds; the rest is drawn. */
export function makePool(
  dataset: Dataset,
  series: readonly Series[],
  settings: PoolSettings,
  past: PastMap | null = null,
  reducedRank = past?.rank ?? 0,
): TokenPool {
  const total = series.reduce((sum, { rows }) => sum + rows, 0);
  const channels = dataset.channels.length;
  const width = featureCount(channels, dataset.features) + channels * (past?.rank ?? 0);
  const tokenBytes = width * 2 + (past === null ? 0 : channels * past.horizon * 4);
  const fitting = Math.floor(settings.maxBytes / (total * tokenBytes));
  const variants = Math.max(2, Math.min(settings.variants, fitting));
  const { finest, widest } = settings;
  const random = new Random(settings.seed, 2);
  const streams: TokenStream[] = [];
  for (let variant = 0; variant < variants; variant++) {
    const drawnDense = random.uniform() < settings.denseShare;
    const drawnScale = finest * Math.exp(Math.log(widest / finest) * random.uniform());
    const dense = variant > 1 ? drawnDense : variant === 0;
    const spikes = scaleDeltas(dataset.spikes, variant > 1 ? drawnScale : 1);
    const distorted = variant > 1 ? distortion(dataset, settings, variant) : null;
    for (const one of series) {
      const stream = encodeSeries(distorted?.(one) ?? one, { ...dataset, spikes, dense });
      streams.push(past === null ? stream : withPast(stream, past, tokenShape(dataset)));
    }
  }
  const path = past && { rank: past.rank, reducedRank, readout: past.readout };
  return joinStreams(dataset, series, streams, variants, path);
}

export function tokenShape({ channels, features }: Pick<Dataset, 'channels' | 'features'>): TokenShape {
  const count = channels.length;
  return { width: featureCount(count, features), channels: count, stride: featuresPerChannel(features) };
}

/** Features grow by what each channel's past amounts to. */
function withPast({ features, rows, marks }: TokenStream, past: PastMap, shape: TokenShape): TokenStream {
  const trace = tracePast(past, features, shape, rows);
  return { features: trace.features, rows, marks, forecasts: trace.forecasts };
}

/** The series as another week, or another place, might have given it. */
function distortion(
  { channels, restingLevel, intervalMs }: Dataset,
  settings: PoolSettings,
  variant: number,
): (series: Series) => Series {
  const { seed, levelWander, leak } = settings;
  const [waves, leaks] = [4, 5].map((purpose) => new Random(seed, purpose, variant)) as [Random, Random];
  return (series) => {
    const leaky =
      leak === 1 ? series : leakFaster(series, channels, restingLevel, intervalMs, settings, leaks);
    return levelWander === 0 ? leaky : wander(leaky, channels, intervalMs, levelWander, waves);
  };
}

function joinStreams(
  dataset: Dataset,
  series: readonly Series[],
  streams: readonly TokenStream[],
  variants: number,
  path: PoolPath | null,
): TokenPool {
  const channels = dataset.channels.length;
  const width = featureCount(channels, dataset.features) + channels * (path?.rank ?? 0);
  const ahead = path === null ? 0 : (channels * path.readout.length) / path.rank;
  const tokens = streams.reduce((sum, { rows }) => sum + rows.length, 0);
  const total = series.reduce((sum, { rows }) => sum + rows, 0);
  const pool: TokenPool = {
    featureCount: width,
    featureSet: dataset.features ?? 'changes',
    channels,
    restingLevel: dataset.restingLevel,
    levelDrift: dataset.levelDrift,
    features: new Int16Array(new SharedArrayBuffer(2 * tokens * width)),
    forecasts: path === null ? null : new Float32Array(new SharedArrayBuffer(4 * tokens * ahead)),
    path,
    marks: new Int32Array(new SharedArrayBuffer(4 * tokens)),
    ticks: new Int32Array(new SharedArrayBuffer(4 * tokens)),
    hold: new Int32Array(new SharedArrayBuffer(4 * tokens)),
    streamStarts: new Int32Array(new SharedArrayBuffer(4 * (streams.length + 1))),
    streamEnds: new Int32Array(new SharedArrayBuffer(4 * streams.length)),
    variantStarts: Int32Array.from({ length: variants + 1 }, (_, variant) => variant * series.length),
    values: new Float32Array(new SharedArrayBuffer(4 * total * channels)),
    labels: new Int8Array(new SharedArrayBuffer(total)).fill(-1),
  };
  const seriesStarts = copyTicks(pool, dataset.channels, series);
  let at = 0;
  streams.forEach(({ features, rows, marks, forecasts }, stream) => {
    const start = seriesStarts[stream % series.length]!;
    const end = start + series[stream % series.length]!.rows;
    pool.features.set(features, at * width);
    pool.marks.set(marks, at);
    if (forecasts !== undefined) pool.forecasts?.set(forecasts, at * ahead);
    rows.forEach((row, token) => {
      pool.ticks[at + token] = start + row;
      pool.hold[at + token] = (token + 1 < rows.length ? start + rows[token + 1]! : end) - start - row;
    });
    pool.streamEnds[stream] = end;
    at += rows.length;
    pool.streamStarts[stream + 1] = at;
  });
  return pool;
}

/** Returns the first tick of each series. */
function copyTicks(pool: TokenPool, channels: readonly Channel[], series: readonly Series[]): number[] {
  let tick = 0;
  return series.map((one) => {
    const start = tick;
    for (let i = 0; i < one.rows * channels.length; i++) {
      const { center, scale } = channels[i % channels.length]!;
      pool.values[start * channels.length + i] = (one.values[i]! - center) / scale;
    }
    if (one.labels) pool.labels.set(one.labels, start);
    tick += one.rows;
    return start;
  });
}
