/**
 * What each channel is expected to read, for send-on-prediction: from nothing but tokens and the time since the last
 * one, so that whoever got the tokens expects the same (a dual prediction scheme: Santini and Roemer 2006).
 */
import type { SpikeRule } from '../engine/model.ts';
import type { StateCarrier } from './carrier.ts';
import { Decay, factorOfHalfLife, wholeIntervals } from './decay.ts';

/** Half-life, in intervals, of a trend: how fast it is learned, and how fast it is no longer believed. */
export const TREND_HALF_LIFE = 8;

/** [1] intervals since the last token. In an array: a double by itself is allocated. */
export type Age = Float64Array;

/** The nearest whole number of intervals, at most `max`. */
function wholeAge(age: Age, max: number): number {
  return Math.min(Math.floor(age[0]! + 0.5), max);
}

export interface Expectation {
  /** [channels] what each channel should read now; NaN before its first value. */
  readonly values: Float64Array;
  reset(): void;
  /** Hands over what it remembers. */
  carry(state: StateCarrier): void;
  /** Time passes: refills `values`. */
  advance(age: Age): void;
  /** A token carries `values`, NaN where unknown; `age` is still since the one before. */
  learn(values: Float64Array, age: Age): void;
}

/** Send-on-delta: what the last token carried. */
export class LastValue implements Expectation {
  readonly values: Float64Array;

  constructor(channels: number) {
    this.values = new Float64Array(channels);
    this.reset();
  }

  carry(state: StateCarrier): void {
    state.array(this.values);
  }

  reset(): void {
    this.values.fill(Number.NaN);
  }

  advance(): void {}

  learn(values: Float64Array): void {
    for (let channel = 0; channel < values.length; channel++) {
      if (Number.isFinite(values[channel]!)) this.values[channel] = values[channel]!;
    }
  }
}

/** phi^age is nothing beyond so many intervals: 2^-64 with the half-life above. */
const AGE_MAX = 64 * TREND_HALF_LIFE;

/**
 * The last value and its slope, damped (Gardner and McKenzie 1985): slope x (phi + phi^2 + ... + phi^age), phi of
 * TREND_HALF_LIFE. The slope is a moving average over time, so that two tokens close together hardly turn it.
 */
export class DampedTrend implements Expectation {
  readonly values: Float64Array;
  readonly #last: LastValue;
  readonly #slopes: Float64Array;
  /** [AGE_MAX + 1] phi^age, and the sum of its powers up to there. */
  readonly #beliefs = new Float64Array(AGE_MAX + 1).fill(1);
  readonly #reaches = new Float64Array(AGE_MAX + 1);

  constructor(channels: number) {
    this.values = new Float64Array(channels);
    this.#last = new LastValue(channels);
    this.#slopes = new Float64Array(channels);
    const phi = factorOfHalfLife(TREND_HALF_LIFE);
    for (let age = 1; age <= AGE_MAX; age++) {
      this.#beliefs[age] = phi * this.#beliefs[age - 1]!;
      this.#reaches[age] = this.#reaches[age - 1]! + this.#beliefs[age]!;
    }
    this.reset();
  }

  carry(state: StateCarrier): void {
    state.array(this.values);
    this.#last.carry(state);
    state.array(this.#slopes);
  }

  reset(): void {
    this.values.fill(Number.NaN);
    this.#last.reset();
    this.#slopes.fill(0);
  }

  advance(age: Age): void {
    const reach = this.#reaches[wholeAge(age, AGE_MAX)]!;
    for (let channel = 0; channel < this.values.length; channel++) {
      this.values[channel] = this.#last.values[channel]! + this.#slopes[channel]! * reach;
    }
  }

  learn(values: Float64Array, age: Age): void {
    const share = 1 - this.#beliefs[wholeAge(age, AGE_MAX)]!;
    const last = this.#last.values;
    for (let channel = 0; channel < values.length; channel++) {
      const moved = values[channel]! - last[channel]!;
      if (!Number.isFinite(moved) || !(age[0]! > 0)) continue;
      this.#slopes[channel]! += share * (moved / age[0]! - this.#slopes[channel]!);
    }
    this.#last.learn(values);
  }
}

/** The exponentially weighted mean over time of what came. */
export class MovingAverage implements Expectation {
  readonly values: Float64Array;
  readonly #decay: Decay;

  /** `halfLife`: whole intervals. */
  constructor(channels: number, halfLife: number) {
    this.values = new Float64Array(channels);
    this.#decay = new Decay(halfLife);
    this.reset();
  }

  carry(state: StateCarrier): void {
    state.array(this.values);
  }

  reset(): void {
    this.values.fill(Number.NaN);
  }

  advance(): void {}

  learn(values: Float64Array, age: Age): void {
    this.#decay.forget(wholeIntervals(age[0]!));
    const keep = this.#decay.left[0]!;
    for (let channel = 0; channel < values.length; channel++) {
      const value = values[channel]!;
      if (!Number.isFinite(value)) continue;
      const before = this.values[channel]!;
      this.values[channel] = Number.isNaN(before) ? value : value + keep * (before - value);
    }
  }
}

/** The model's own forecast, which its output refills at each token. */
export class ModelForecast implements Expectation {
  readonly values: Float64Array;
  readonly #forecast: Float64Array;
  readonly #horizon: number;

  /** `forecast`: [channels x horizon], channel-major, physical units; held here, not copied. */
  constructor(channels: number, forecast: Float64Array) {
    this.values = new Float64Array(channels);
    this.#forecast = forecast;
    this.#horizon = forecast.length / channels;
    this.reset();
  }

  carry(state: StateCarrier): void {
    state.array(this.values);
  }

  reset(): void {
    this.values.fill(Number.NaN);
  }

  /** A forecast that has passed stands still at its last value. */
  advance(age: Age): void {
    const ahead = Math.max(1, wholeAge(age, this.#horizon)) - 1;
    for (let channel = 0; channel < this.values.length; channel++) {
      if (Number.isNaN(this.values[channel]!)) continue;
      this.values[channel] = this.#forecast[channel * this.#horizon + ahead]!;
    }
  }

  /** The forecast comes after the token; until then, and for a channel that was unknown, there is its value. */
  learn(values: Float64Array): void {
    for (let channel = 0; channel < values.length; channel++) {
      if (Number.isFinite(values[channel]!)) this.values[channel] = values[channel]!;
    }
  }
}

/**
 * What a rule expects; by default what the last token carried. `forecast`: as ModelForecast has it, empty if the model
 * predicts no readings. Throws RangeError if the rule needs some.
 */
export function expectationOf(
  channels: number,
  rule: SpikeRule | undefined,
  forecast: Float64Array,
): Expectation {
  if (rule === 'trend') return new DampedTrend(channels);
  if (rule !== 'forecast') return new LastValue(channels);
  if (forecast.length > 0) return new ModelForecast(channels, forecast);
  throw new RangeError(
    'spikes.rule: expected delta or trend, since the model predicts no readings, got forecast',
  );
}
