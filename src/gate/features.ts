/**
 * What the model sees of a tick: a frame and its spikes as Q10 integers.
 *
 * A model names its set of features in `meaning.features`; `dormouse train --features trends` makes one that also sees
 * how each channel has moved over minutes to hours. From a program: `new FeatureEncoder(channels, 'trends')`, `observe`
 * at every tick and then `encode` at those that become tokens; a model takes `featureCount(channels, 'trends')`.
 */

import { assert, FEATURE_MAX, FEATURE_ONE } from '../engine/limits.ts';
import type { Channel, FeatureSet } from '../engine/model.ts';
import type { StateCarrier } from './carrier.ts';
import type { Frame, SpikePacket } from './packets.ts';
import { TRENDS_PER_CHANNEL, Trends } from './trends.ts';

/** Of a channel in every set: normalised value, its change since the previous token, fired flag, age. */
export const CHANGES_PER_CHANNEL = 4;
/** One-hot buckets of the time since the previous token. */
export const ELAPSED_BUCKETS = 16;
/** One step of the age feature: 16 buckets stay below 1.0. */
const AGE_STEP = FEATURE_ONE / ELAPSED_BUCKETS;
/** Far beyond the clamp, yet the difference of two of them is an exact int32. */
const WIDE_MAX = 2 ** 30 - 1;

/** The distance between the features of two channels. */
export function featuresPerChannel(features: FeatureSet = 'changes'): number {
  return CHANGES_PER_CHANNEL + (features === 'trends' ? TRENDS_PER_CHANNEL : 0);
}

/** Features per tick for so many channels. */
export function featureCount(channels: number, features: FeatureSet = 'changes'): number {
  return featuresPerChannel(features) * channels + ELAPSED_BUCKETS;
}

/**
 * The bucket 0..15 of a time in intervals >= 0: the bit length of its nearest whole number, at most 15.
 * 0: under half an interval, 1: one, 2: two or three, ... 15: 16384 or more.
 */
export function elapsedBucket(intervals: number): number {
  return Math.min(32 - Math.clz32(Math.min(Math.floor(intervals + 0.5), 2 ** 31 - 1)), ELAPSED_BUCKETS - 1);
}

/** Turns the ticks that become tokens into features. */
export class FeatureEncoder {
  readonly #center: Float64Array;
  readonly #scale: Float64Array;
  /** Normalised value at the previous token, Q10, wide. */
  readonly #last: Int32Array;
  /** 0 until a channel's first value. */
  readonly #known: Uint8Array;
  readonly #sinceFired: Float64Array;
  readonly #perChannel: number;
  /** null: the set has none. */
  readonly #trends: Trends | null;
  /** In its one place: intervals since the last tick. */
  readonly #elapsed = new Float64Array(1);
  #isObserved = false;

  constructor(channels: readonly Channel[], features: FeatureSet = 'changes') {
    this.#perChannel = featuresPerChannel(features);
    this.#trends = features === 'trends' ? new Trends(channels) : null;
    this.#center = Float64Array.from(channels, (channel) => channel.center);
    this.#scale = Float64Array.from(channels, (channel) => channel.scale);
    this.#last = new Int32Array(channels.length);
    this.#known = new Uint8Array(channels.length);
    this.#sinceFired = new Float64Array(channels.length);
  }

  /** Hands over what it remembers. */
  carry(state: StateCarrier): void {
    for (const array of [this.#last, this.#known, this.#sinceFired]) state.array(array);
    this.#trends?.carry(state);
  }

  /** Forgets everything: the next token is the first. */
  reset(): void {
    this.#last.fill(0);
    this.#known.fill(0);
    this.#sinceFired.fill(0);
    this.#trends?.reset();
    this.#isObserved = false;
  }

  /**
   * Call it at every tick, skipped or not, before `encode`; only trends look. `elapsedIntervals`: time since the last
   * tick, >= 0, 0 at the first.
   */
  observe(frame: Frame, elapsedIntervals: number): void {
    this.#elapsed[0] = elapsedIntervals;
    this.#trends?.observe(frame.values, this.#elapsed);
    this.#isObserved = true;
  }

  /**
   * Call it once per token, and for nothing else. Writes `featureCount(channels, features)` Q10 features, clamped to
   * +-FEATURE_MAX, to the start of `out`.
   *
   * Channel c, at c * featuresPerChannel(features): z = (value - center) / scale; z minus z at the previous token, 0 at the channel's first value;
   * 1024 if it fired; 64 x the bucket of the time between its previous firing (or the start) and this token;
   * its trends, if the set has any (see Trends). After all channels, 16 buckets, 1024 at that of `elapsedIntervals`. An unknown value (NaN) keeps the last known z, or 0.
   *
   * `elapsedIntervals`: time since the previous token, >= 0, 0 at the first.
   */
  encode(frame: Frame, packet: SpikePacket, elapsedIntervals: number, out: Int16Array): void {
    const count = this.#center.length;
    assert(frame.values.length === count, 'a frame has one value per channel');
    const buckets = this.#perChannel * count;
    assert(out.length >= buckets + ELAPSED_BUCKETS, 'the features fit');
    assert(this.#trends === null || this.#isObserved, 'trends have seen the tick');
    this.#isObserved = false;
    assert(elapsedIntervals >= 0, 'time never runs backwards');
    for (let channel = 0; channel < count; channel++) {
      this.#sinceFired[channel]! += elapsedIntervals;
      this.#encodeChannel(channel, frame.values, packet.firedMask[channel]!, out);
      this.#trends?.write(channel, out, channel * this.#perChannel + CHANGES_PER_CHANNEL);
    }
    out.fill(0, buckets, buckets + ELAPSED_BUCKETS);
    out[buckets + elapsedBucket(elapsedIntervals)] = FEATURE_ONE;
  }

  // Values are passed in their array: a double that is passed by itself is allocated.
  #encodeChannel(channel: number, values: Float64Array, fired: number, out: Int16Array): void {
    const at = this.#perChannel * channel;
    const last = this.#last[channel]!;
    const known = Number.isFinite(values[channel]!);
    const wide = known ? this.#normalise(channel, values) : last;
    out[at] = clamp(wide, FEATURE_MAX);
    out[at + 1] = this.#known[channel] ? clamp(wide - last, FEATURE_MAX) : 0;
    out[at + 2] = fired ? FEATURE_ONE : 0;
    out[at + 3] = AGE_STEP * elapsedBucket(this.#sinceFired[channel]!);
    if (fired) this.#sinceFired[channel] = 0;
    this.#last[channel] = wide;
    if (known) this.#known[channel] = 1;
  }

  /** z in Q10, not yet clamped to a feature. */
  #normalise(channel: number, values: Float64Array): number {
    const z = (values[channel]! - this.#center[channel]!) / this.#scale[channel]!;
    return clamp(Math.round(z * FEATURE_ONE), WIDE_MAX);
  }
}

function clamp(value: number, max: number): number {
  return Math.max(-max, Math.min(max, value));
}
