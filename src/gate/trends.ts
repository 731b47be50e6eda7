/**
 * How each channel has moved, from minutes to hours, in features that do not know its level: differences of
 * exponentially weighted means over ever longer times, and the height above the level that it comes down to when
 * nothing happens. A level says another thing in another week, and of another sensor; what it does says the same.
 */

import { assert, FEATURE_MAX, FEATURE_ONE } from '../engine/limits.ts';
import type { Channel } from '../engine/model.ts';
import type { StateCarrier } from './carrier.ts';
import { Decay, wholeIntervals } from './decay.ts';

/** Half-lives of the means, intervals: time constants of 1.4, 4.3, 13, 39, 117 and 351. */
const HALF_LIVES = [1, 3, 9, 27, 81, 243] as const;
const MEANS = HALF_LIVES.length;
/** Bands between neighbouring means, then the height. */
export const TRENDS_PER_CHANNEL = MEANS;
const BANDS = MEANS - 1;
/** Intervals in which the floor rises half of the way up to the value: a day and a half of minutes. */
const FLOOR_HALF_LIFE = 2187;
/** The height at which its feature has risen by one: 1/32 of a standard deviation, as a power of two in Q10. */
const HEIGHT_UNIT_BITS = 5;
/** Heights beyond are as good as this one, and z beyond: an exact int32 in Q10. */
const Z_MAX = 2 ** 19;

/** Sees every tick, also those that are skipped: a token then finds the same trends whether the ticks before were tokens or not. */
export class Trends {
  readonly #channels: number;
  readonly #center: Float64Array;
  readonly #scale: Float64Array;
  readonly #decays = HALF_LIVES.map((halfLife) => new Decay(halfLife));
  readonly #floorDecay = new Decay(FLOOR_HALF_LIFE);
  /** [MEANS + 1], the floor's last: what is left of a distance after the intervals that a value was held, and after one. */
  readonly #heldLeft = new Float64Array(MEANS + 1);
  readonly #factors: Float64Array;
  /** [channels, MEANS], normalised. */
  readonly #means: Float64Array;
  /** [channels]: where the channel rests, as far as is known; and its last known value. Normalised. */
  readonly #floor: Float64Array;
  readonly #last: Float64Array;
  /** 0 until a channel's first value. */
  readonly #known: Uint8Array;
  /** In its one place: time that has passed since the means were last moved on, in intervals, within a half. */
  readonly #unspent = new Float64Array(1);

  constructor(channels: readonly Channel[]) {
    const count = channels.length;
    this.#channels = count;
    this.#center = Float64Array.from(channels, ({ center }) => center);
    this.#scale = Float64Array.from(channels, ({ scale }) => scale);
    this.#factors = Float64Array.from([...this.#decays, this.#floorDecay], ({ factor }) => factor);
    this.#means = new Float64Array(count * MEANS);
    this.#floor = new Float64Array(count);
    this.#last = new Float64Array(count);
    this.#known = new Uint8Array(count);
  }

  /** Hands over what it remembers. */
  carry(state: StateCarrier): void {
    for (const array of [this.#means, this.#floor, this.#last, this.#known, this.#unspent])
      state.array(array);
  }

  /** Forgets everything. */
  reset(): void {
    this.#known.fill(0);
    this.#unspent[0] = 0;
  }

  /**
   * Moves all means on by the time since the last tick, to the nearest whole interval (what is left over counts at the
   * next). `values` [channels], physical units; NaN: as before. A value holds until the next one: k intervals later
   * the means are those of k - 1 ticks with the old value and one with the new.
   *
   * `elapsed` [1], in an array since a double that is passed by itself may be allocated: intervals >= 0, 0 at the first
   * tick.
   */
  observe(values: Float64Array, elapsed: Float64Array): void {
    assert(values.length === this.#channels, 'a frame has one value per channel');
    assert(elapsed[0]! >= 0, 'time never runs backwards');
    const time = this.#unspent[0]! + elapsed[0]!;
    const intervals = wholeIntervals(time);
    this.#unspent[0] = Math.min(time - intervals, 0.5);
    if (intervals > 1) this.#holdFor(intervals - 1);
    for (let channel = 0; channel < this.#channels; channel++) this.#see(channel, values, intervals);
  }

  #holdFor(intervals: number): void {
    for (let i = 0; i < MEANS; i++) {
      this.#decays[i]!.forget(intervals);
      this.#heldLeft[i] = this.#decays[i]!.left[0]!;
    }
    this.#floorDecay.forget(intervals);
    this.#heldLeft[MEANS] = this.#floorDecay.left[0]!;
  }

  #see(channel: number, values: Float64Array, intervals: number): void {
    const isKnown = this.#known[channel] === 1;
    if (isKnown && intervals > 1) this.#approach(channel, this.#heldLeft);
    if (Number.isFinite(values[channel]!)) {
      const z = (values[channel]! - this.#center[channel]!) / this.#scale[channel]!;
      this.#last[channel] = Math.max(-Z_MAX, Math.min(Z_MAX, z));
      if (!isKnown) this.#begin(channel);
    }
    if (isKnown && intervals > 0) this.#approach(channel, this.#factors);
  }

  /** All means at the first value; the floor no higher than the middle of what the model was trained on. */
  #begin(channel: number): void {
    const first = this.#last[channel]!;
    this.#means.fill(first, channel * MEANS, (channel + 1) * MEANS);
    this.#floor[channel] = Math.min(first, 0);
    this.#known[channel] = 1;
  }

  /** `left` [MEANS + 1]: the share of the distance to the last value that is left. */
  #approach(channel: number, left: Float64Array): void {
    const means = this.#means;
    const value = this.#last[channel]!;
    for (let i = 0; i < MEANS; i++) {
      const at = channel * MEANS + i;
      means[at] = value + (means[at]! - value) * left[i]!;
    }
    const floor = value + (this.#floor[channel]! - value) * left[MEANS]!;
    this.#floor[channel] = Math.min(value, floor);
  }

  /**
   * Writes TRENDS_PER_CHANNEL Q10 features of a channel to `out` from `at` on, clamped to +-FEATURE_MAX; 0 before its
   * first value. Bands first: the mean over each half-life less that over the next longer one, the shortest times 16,
   * then times 8, 4, 2 and 1, since a slope shows so much less in them. Then log2(1 + 32 height), piecewise linear
   * between powers of two.
   */
  write(channel: number, out: Int16Array, at: number): void {
    if (this.#known[channel] === 0) {
      out.fill(0, at, at + TRENDS_PER_CHANNEL);
      return;
    }
    const first = channel * MEANS;
    for (let band = 0; band < BANDS; band++) {
      const difference = this.#means[first + band]! - this.#means[first + band + 1]!;
      const gain = FEATURE_ONE << (BANDS - 1 - band);
      out[at + band] = Math.max(-FEATURE_MAX, Math.min(FEATURE_MAX, Math.round(difference * gain)));
    }
    const height = (this.#last[channel]! - this.#floor[channel]!) * FEATURE_ONE;
    out[at + BANDS] = logHeight(Math.round(Math.min(height, Z_MAX * FEATURE_ONE)) | 0);
  }
}

/** What `write` would have written at `at` had all distances of the channel been `gain` times as large; > 0. */
export function stretchTrends(features: Int16Array, at: number, gain: number): void {
  for (let band = at; band < at + BANDS; band++) {
    features[band] = Math.max(-FEATURE_MAX, Math.min(FEATURE_MAX, Math.round(gain * features[band]!)));
  }
  const height = Math.round(gain * heightOfLog(features[at + BANDS]!));
  features[at + BANDS] = logHeight(Math.min(height, Z_MAX * FEATURE_ONE));
}

/** log2(1 + height / unit) in Q10 of a height in Q10, 0..2^29, at most FEATURE_MAX. */
export function logHeight(heightQ10: number): number {
  const shifted = heightQ10 + (1 << HEIGHT_UNIT_BITS);
  const power = 31 - Math.clz32(shifted);
  const mantissa = power > 10 ? shifted >> (power - 10) : shifted << (10 - power);
  return Math.min(FEATURE_MAX, (power - HEIGHT_UNIT_BITS) * FEATURE_ONE + mantissa - FEATURE_ONE);
}

/** The least height in Q10 with that logHeight, 0..FEATURE_MAX. */
function heightOfLog(feature: number): number {
  const power = HEIGHT_UNIT_BITS + (feature >> 10);
  return ((FEATURE_ONE + (feature & (FEATURE_ONE - 1))) << power) / FEATURE_ONE - (1 << HEIGHT_UNIT_BITS);
}
