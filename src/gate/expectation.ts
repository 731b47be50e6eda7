/**
 * What each channel is expected to read, for send-on-prediction: from nothing but tokens and the time since the last
 * one, so that whoever got the tokens expects the same (a dual prediction scheme: Santini and Roemer 2006).
 */
import { Decay, wholeIntervals } from './decay.ts';

/** Half-life, in intervals, of a trend: how fast it is learned, and how fast it is no longer believed. */
export const TREND_HALF_LIFE = 8;

/** [2] in intervals: since the last tick, and since the last token. In an array: a double by itself is allocated. */
export type Times = Float64Array;
export const ELAPSED = 0;
export const AGE = 1;

export interface Expectation {
  /** [channels] what each channel should read now; NaN before its first value. */
  readonly values: Float64Array;
  reset(): void;
  /** Time passes: refills `values`. */
  advance(times: Times): void;
  /** A token carries `values`, NaN where unknown; `times` are still since the one before. */
  learn(values: Float64Array, times: Times): void;
}

/** Send-on-delta: what the last token carried. */
export class LastValue implements Expectation {
  readonly values: Float64Array;

  constructor(channels: number) {
    this.values = new Float64Array(channels);
    this.reset();
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

/**
 * The last value and its slope, damped (Gardner and McKenzie 1985): slope x (phi + phi^2 + ... + phi^age), phi of
 * TREND_HALF_LIFE. The slope is a moving average over time, so that two tokens close together hardly turn it.
 */
export class DampedTrend implements Expectation {
  readonly values: Float64Array;
  readonly #last: LastValue;
  readonly #slopes: Float64Array;
  readonly #decay = new Decay(TREND_HALF_LIFE);
  /** phi^age, in its one place. */
  readonly #belief = new Float64Array(1);

  constructor(channels: number) {
    this.values = new Float64Array(channels);
    this.#last = new LastValue(channels);
    this.#slopes = new Float64Array(channels);
    this.reset();
  }

  reset(): void {
    this.values.fill(Number.NaN);
    this.#last.reset();
    this.#slopes.fill(0);
    this.#belief[0] = 1;
  }

  advance(times: Times): void {
    this.#decay.forget(wholeIntervals(times[ELAPSED]!));
    this.#belief[0]! *= this.#decay.left[0]!;
    const { factor } = this.#decay;
    const reach = (factor * (1 - this.#belief[0]!)) / (1 - factor);
    for (let channel = 0; channel < this.values.length; channel++) {
      this.values[channel] = this.#last.values[channel]! + this.#slopes[channel]! * reach;
    }
  }

  learn(values: Float64Array, times: Times): void {
    const age = times[AGE]!;
    const share = 1 - this.#belief[0]!;
    const last = this.#last.values;
    for (let channel = 0; channel < values.length; channel++) {
      const moved = values[channel]! - last[channel]!;
      if (!Number.isFinite(moved) || !(age > 0)) continue;
      this.#slopes[channel]! += share * (moved / age - this.#slopes[channel]!);
    }
    this.#last.learn(values);
    this.#belief[0] = 1;
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

  reset(): void {
    this.values.fill(Number.NaN);
  }

  /** A forecast that has passed stands still at its last value. */
  advance(times: Times): void {
    const ahead = Math.min(Math.max(1, wholeIntervals(times[AGE]!)), this.#horizon) - 1;
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
