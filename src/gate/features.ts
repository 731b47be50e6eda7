/** What the model sees of a tick: a frame and its spikes as Q10 integers. */
import { assert, FEATURE_MAX, FEATURE_ONE } from '../engine/limits.ts';
import type { Channel } from '../engine/model.ts';
import type { Frame, SpikePacket } from './packets.ts';

/** Per channel: normalised value, its change since the previous token, fired flag, age. */
export const FEATURES_PER_CHANNEL = 4;
/** One-hot buckets of the time since the previous token. */
export const ELAPSED_BUCKETS = 16;
/** One step of the age feature: 16 buckets stay below 1.0. */
const AGE_STEP = FEATURE_ONE / ELAPSED_BUCKETS;
/** Far beyond the clamp, yet the difference of two of them is an exact int32. */
const WIDE_MAX = 2 ** 30 - 1;

/** Features per tick for so many channels. */
export function featureCount(channels: number): number {
  return FEATURES_PER_CHANNEL * channels + ELAPSED_BUCKETS;
}

/**
 * The bucket 0..15 of a time in intervals >= 0: the bit length of its nearest whole number, at most 15.
 * 0: under half an interval, 1: one, 2: two or three, ... 15: 16384 or more.
 */
export function elapsedBucket(intervals: number): number {
  return Math.min(32 - Math.clz32(Math.min(Math.floor(intervals + 0.5), 2 ** 31 - 1)), ELAPSED_BUCKETS - 1);
}

/** Turns the ticks that become tokens into features. Call it once per token, and for nothing else. */
export class FeatureEncoder {
  readonly #center: Float64Array;
  readonly #scale: Float64Array;
  /** Normalised value at the previous token, Q10, wide. */
  readonly #last: Int32Array;
  /** 0 until a channel's first value. */
  readonly #known: Uint8Array;
  readonly #sinceFired: Float64Array;

  constructor(channels: readonly Channel[]) {
    this.#center = Float64Array.from(channels, (channel) => channel.center);
    this.#scale = Float64Array.from(channels, (channel) => channel.scale);
    this.#last = new Int32Array(channels.length);
    this.#known = new Uint8Array(channels.length);
    this.#sinceFired = new Float64Array(channels.length);
  }

  /** Forgets everything: the next token is the first. */
  reset(): void {
    this.#last.fill(0);
    this.#known.fill(0);
    this.#sinceFired.fill(0);
  }

  /**
   * Writes `featureCount(channels)` Q10 features, clamped to +-FEATURE_MAX, to the start of `out`.
   *
   * Channel c, at 4c: z = (value - center) / scale; z minus z at the previous token, 0 at the channel's first value;
   * 1024 if it fired; 64 x the bucket of the time between its previous firing (or the start) and this token. Then 16
   * buckets, 1024 at that of `elapsedIntervals`. An unknown value (NaN) keeps the last known z, or 0.
   *
   * `elapsedIntervals`: time since the previous token, >= 0, 0 at the first.
   */
  encode(frame: Frame, packet: SpikePacket, elapsedIntervals: number, out: Int16Array): void {
    const count = this.#center.length;
    assert(frame.values.length === count, 'a frame has one value per channel');
    assert(out.length >= featureCount(count), 'the features fit');
    assert(elapsedIntervals >= 0, 'time never runs backwards');
    for (let channel = 0; channel < count; channel++) {
      this.#sinceFired[channel]! += elapsedIntervals;
      this.#encodeChannel(channel, frame.values, packet.firedMask[channel]!, out);
    }
    const buckets = FEATURES_PER_CHANNEL * count;
    out.fill(0, buckets, buckets + ELAPSED_BUCKETS);
    out[buckets + elapsedBucket(elapsedIntervals)] = FEATURE_ONE;
  }

  // Values are passed in their array: a double that is passed by itself is allocated.
  #encodeChannel(channel: number, values: Float64Array, fired: number, out: Int16Array): void {
    const at = FEATURES_PER_CHANNEL * channel;
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
