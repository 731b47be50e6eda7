/**
 * Several predictions of the tick after a token, ranked by energy: beside the model's own that the channel stays where
 * it is, that it goes on with its damped trend, and its moving average. The least energy is put out.
 *
 * An energy-based model scores candidates before anything comes (Gladstone et al. 2025, best of K). The energy of a
 * Laplace head, log scale + |y - mean| / scale, is least at its own mean, so that such a ranking says nothing. What says
 * something is the energy that each candidate turns out to have when the reading arrives. It is taken with the
 * head's scale of that tick, as one density with another centre: so the log scale is common to all, and an error counts the
 * less the noisier the head had said that tick would be. A forecast has no scale; its errors count alike.
 */

import { assert } from '../engine/limits.ts';
import type { CandidateRule, Channel } from '../engine/model.ts';
import { carryFields, type StateCarrier } from './carrier.ts';
import { Decay } from './decay.ts';
import { type Age, DampedTrend, type Expectation, LastValue, MovingAverage } from './expectation.ts';

/** Positions are what logs hold: append, never reorder. Of equals the first is put out. */
export const candidateNames = ['model', 'hold', 'trend', 'average'] as const;
export const CANDIDATES = candidateNames.length;

/** An error beyond so many of the channel's scales counts as this one: one wild reading decides nothing for long. */
const ERROR_MAX = 8;
/** In channel scales: what has not erred of late is not sure of everything. */
const SCALE_MIN = 0.01;
/** Intervals; beyond, it makes no difference how long ago a token was. */
const AHEAD_MAX = 1 << 20;

export class Candidates {
  /** [channels], index in candidateNames of what was put out at the last token. */
  readonly chosen: Uint8Array;
  /** [candidates x channels], physical units, made at the last token; NaN of a channel that had no value yet. */
  readonly predictions: Float64Array;
  /** Bit i: candidate i > 0 was put out for some channel. */
  rivalKinds = 0;
  /** Channels for which something else than the model's prediction was put out. */
  rivalChannels = 0;
  readonly #channels: number;
  readonly #horizon: number;
  readonly #rivals: readonly Expectation[];
  readonly #decay: Decay;
  readonly #scales: Float64Array;
  /** [candidates x channels], fading sums: energies less the log scale, and errors in channel scales. */
  readonly #energies: Float64Array;
  readonly #errors: Float64Array;
  /** [channels], the sum of the same weights. */
  readonly #weights: Float64Array;
  readonly #age: Age = new Float64Array(1);
  #stands = false;
  /** Whole intervals since the last token. */
  #ahead = 0;

  /** `horizon`: ticks that the model predicts; 1 and up. */
  constructor(channels: readonly Channel[], horizon: number, rule: CandidateRule) {
    const count = channels.length;
    this.#channels = count;
    this.#horizon = horizon;
    this.#rivals = [
      new LastValue(count),
      new DampedTrend(count),
      new MovingAverage(count, rule.levelHalfLife),
    ];
    assert(this.#rivals.length + 1 === CANDIDATES, 'every candidate has its name');
    this.#decay = new Decay(rule.energyHalfLife);
    this.#scales = Float64Array.from(channels, ({ scale }) => scale);
    this.chosen = new Uint8Array(count);
    this.predictions = new Float64Array(CANDIDATES * count).fill(Number.NaN);
    this.#energies = new Float64Array(CANDIDATES * count);
    this.#errors = new Float64Array(CANDIDATES * count);
    this.#weights = new Float64Array(count);
  }

  /** Other scales, from here on: of as many channels. */
  useChannels(channels: readonly Channel[]): void {
    for (const [index, { scale }] of channels.entries()) this.#scales[index] = scale;
  }

  /** Hands over what it remembers. */
  carry(state: StateCarrier): void {
    for (const rival of this.#rivals) rival.carry(state);
    for (const array of [this.chosen, this.predictions, this.#energies, this.#errors, this.#weights])
      state.array(array);
    carryFields(state, this, ['rivalKinds', 'rivalChannels']);
    this.#stands = state.number(Number(this.#stands)) === 1;
    this.#ahead = state.number(this.#ahead);
  }

  /** Forgets everything. */
  reset(): void {
    for (const rival of this.#rivals) rival.reset();
    this.chosen.fill(0);
    this.predictions.fill(Number.NaN);
    for (const array of [this.#energies, this.#errors, this.#weights]) array.fill(0);
    this.rivalKinds = 0;
    this.rivalChannels = 0;
    this.#stands = false;
    this.#ahead = 0;
  }

  /**
   * Every tick, before `propose`: the candidates that stand for it are judged by what came, then the rivals learn it. Until
   * the next token the prediction of one tick is held, and judged as it is held; of a longer forecast only the first step has
   * candidates, and only the tick after a token judges them. A tick k intervals after its token counts as one whose
   * scale is the root of k as wide, as for a random walk.
   *
   * `values` [channels], physical units, NaN where unknown; `intervals`: whole ones since the last tick;
   * `inverseScales` [channels]: 1 / scale that the head had predicted, in channel scales.
   */
  observe(values: Float64Array, intervals: number, inverseScales: Float64Array): void {
    const passed = Math.max(1, intervals);
    this.#ahead = Math.min(this.#ahead + passed, AHEAD_MAX);
    if (this.#stands && (this.#horizon === 1 || this.#ahead === 1)) {
      this.#decay.forget(passed);
      this.#judge(values, inverseScales);
    }
    this.#age[0] = passed;
    for (let i = 0; i < this.#rivals.length; i++) this.#rivals[i]!.learn(values, this.#age);
  }

  #judge(values: Float64Array, inverseScales: Float64Array): void {
    const keep = this.#decay.left[0]!;
    const widening = Math.sqrt(this.#ahead);
    for (let channel = 0; channel < this.#channels; channel++) {
      if (!this.#isComparable(channel, values)) continue;
      const perUnit = 1 / (this.#scales[channel]! * widening);
      this.#weights[channel] = keep * this.#weights[channel]! + (1 - keep);
      for (let i = channel; i < this.predictions.length; i += this.#channels) {
        const error = Math.min(ERROR_MAX, Math.abs(values[channel]! - this.predictions[i]!) * perUnit);
        this.#errors[i] = keep * this.#errors[i]! + (1 - keep) * error;
        this.#energies[i] = keep * this.#energies[i]! + (1 - keep) * error * inverseScales[channel]!;
      }
    }
  }

  /** Only ticks for which every candidate stands are judged, so that all are judged by the same ones. */
  #isComparable(channel: number, values: Float64Array): boolean {
    if (!Number.isFinite(values[channel]!)) return false;
    for (let i = channel; i < this.predictions.length; i += this.#channels)
      if (!Number.isFinite(this.predictions[i]!)) return false;
    return true;
  }

  /**
   * A token: `values` [channels x horizon], channel-major, are what the model predicts, physical units; the first tick of each
   * channel becomes that of the candidate with the least energy so far.
   */
  propose(values: Float64Array): void {
    const channels = this.#channels;
    this.#age[0] = 1;
    for (let i = 0; i < this.#rivals.length; i++) {
      this.#rivals[i]!.advance(this.#age);
      this.predictions.set(this.#rivals[i]!.values, (i + 1) * channels);
    }
    this.rivalKinds = 0;
    this.rivalChannels = 0;
    for (let channel = 0; channel < channels; channel++) {
      this.predictions[channel] = values[channel * this.#horizon]!;
      const best = this.#least(channel);
      this.chosen[channel] = best;
      values[channel * this.#horizon] = this.predictions[best * channels + channel]!;
      if (best === 0) continue;
      this.rivalKinds |= 1 << best;
      this.rivalChannels++;
    }
    this.#stands = true;
    this.#ahead = 0;
  }

  #least(channel: number): number {
    let best = 0;
    for (let candidate = 1; candidate < CANDIDATES; candidate++) {
      const at = candidate * this.#channels + channel;
      if (!Number.isFinite(this.predictions[at]!)) continue;
      if (this.#energies[at]! < this.#energies[best * this.#channels + channel]!) best = candidate;
    }
    return best;
  }

  /**
   * The scale of a Laplace density around a candidate by its own past errors, their mean; in channel scales, for one tick
   * ahead. NaN before it was judged.
   */
  scaleOf(candidate: number, channel: number): number {
    return Math.max(SCALE_MIN, this.#errors[candidate * this.#channels + channel]! / this.#weights[channel]!);
  }
}

/** Of the kinds of rivals that a witness has. */
export function rivalNames(kinds: number): string[] {
  return candidateNames.filter((_, i) => (kinds & (1 << i)) !== 0);
}
