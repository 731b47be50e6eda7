/** What the model's logits mean, held until the next token: never zeros, never a guess presented as a reading. */
import { assert, LOGIT_ONE } from '../engine/limits.ts';
import type { Channel, ModelMeaning } from '../engine/model.ts';
import { exponential } from './exponential.ts';

/** The log of a predicted scale is clamped to this on both sides, before it becomes a scale. */
export const LOG_SCALE_MAX = 16;
/** The normalising constant of a Laplace density with scale 1. */
const LOG_TWO = Math.LN2;

export class Output {
  readonly kind: 'classify' | 'anomaly' | 'forecast';
  /** Whether there was a token yet; until then every other field says nothing. */
  hasValue = false;
  /** Whether this tick was skipped, so that the output is that of an earlier token. */
  isHeld = false;
  /** Intervals since the token that the output comes from; 0 at a token. */
  ageIntervals = 0;

  /** classify: the most likely class (of equals the first), by the integer logits; else -1. */
  classIndex = -1;
  /** classify: [classes], sums to 1; else empty. */
  readonly probabilities: Float64Array;

  /**
   * anomaly: mean over the known channels of the Laplace negative log-likelihood of the observed value under the
   * previous token's prediction, in normalised units (nats). NaN at the first token, which nothing predicted.
   */
  score = Number.NaN;
  /** anomaly: whether `score` reaches the model's threshold. */
  anomaly = false;
  /** anomaly: the channel with the largest term of `score`; -1 if there is none. */
  channelIndex = -1;

  /**
   * forecast: [channels x horizon], channel-major, physical units: the ticks after the token.
   * anomaly: [channels], the predicted values of the tick after the token. classify: empty.
   */
  readonly values: Float64Array;

  readonly #meaning: ModelMeaning;
  /** anomaly: predicted mean and log scale per channel, normalised. */
  readonly #means: Float64Array;
  readonly #logScales: Float64Array;

  constructor(meaning: ModelMeaning) {
    const { task, channels } = meaning;
    const count = channels.length;
    this.#meaning = meaning;
    this.kind = task.kind;
    this.probabilities = new Float64Array(task.kind === 'classify' ? task.classes.length : 0);
    this.#means = new Float64Array(task.kind === 'anomaly' ? count : 0);
    this.#logScales = new Float64Array(task.kind === 'anomaly' ? count : 0);
    const horizon = task.kind === 'forecast' ? task.horizon : task.kind === 'anomaly' ? 1 : 0;
    this.values = new Float64Array(horizon * count);
  }

  /** As before the first token. */
  reset(): void {
    this.hasValue = false;
    this.isHeld = false;
    this.ageIntervals = 0;
    this.classIndex = -1;
    this.probabilities.fill(0);
    this.score = Number.NaN;
    this.anomaly = false;
    this.channelIndex = -1;
    this.values.fill(0);
  }

  /** A skipped tick: the output stays as it is. `ageIntervals`: since the last token. */
  hold(ageIntervals: number): void {
    this.isHeld = true;
    this.ageIntervals = ageIntervals;
  }

  /** A token: `logits` int32[outputs] Q16; `values` float64[channels] are what was observed, NaN where unknown. */
  update(logits: Int32Array, values: Float64Array): void {
    if (this.kind === 'classify') this.#classify(logits);
    else if (this.kind === 'anomaly') this.#predict(logits, values);
    else this.#forecast(logits);
    this.hasValue = true;
    this.isHeld = false;
    this.ageIntervals = 0;
  }

  /** classify: the class; anomaly: the most surprising channel; forecast: -1. */
  get topIndex(): number {
    return this.kind === 'classify' ? this.classIndex : this.channelIndex;
  }

  /** classify: probability of the class; anomaly: the score; forecast: 0. */
  get confidence(): number {
    if (this.kind === 'anomaly') return this.score;
    return this.kind === 'classify' && this.hasValue ? this.probabilities[this.classIndex]! : 0;
  }

  #classify(logits: Int32Array): void {
    const { probabilities } = this;
    assert(logits.length === probabilities.length, 'one logit per class');
    let top = 0;
    for (let index = 1; index < logits.length; index++) if (logits[index]! > logits[top]!) top = index;
    let total = 0;
    for (let index = 0; index < logits.length; index++) {
      const weight = exponential((logits[index]! - logits[top]!) / LOGIT_ONE);
      probabilities[index] = weight;
      total += weight;
    }
    for (let index = 0; index < probabilities.length; index++) probabilities[index]! /= total;
    this.classIndex = top;
  }

  #predict(logits: Int32Array, values: Float64Array): void {
    const { channels } = this.#meaning;
    const count = channels.length;
    assert(logits.length === 2 * count, 'a mean and a log scale per channel');
    if (this.hasValue) this.#judge(values);
    for (let channel = 0; channel < count; channel++) {
      this.#means[channel] = logits[channel]! / LOGIT_ONE;
      const logScale = logits[count + channel]! / LOGIT_ONE;
      this.#logScales[channel] = Math.max(-LOG_SCALE_MAX, Math.min(LOG_SCALE_MAX, logScale));
      this.values[channel] = denormalise(channels[channel]!, this.#means[channel]!);
    }
  }

  /** Scores what came against the prediction. With no value known there is nothing to score: the last one stays. */
  #judge(values: Float64Array): void {
    const { task } = this.#meaning;
    let sum = 0;
    let known = 0;
    let worst = Number.NEGATIVE_INFINITY;
    let worstChannel = -1;
    for (let channel = 0; channel < values.length; channel++) {
      if (!Number.isFinite(values[channel]!)) continue;
      const surprise = this.#surprise(channel, values[channel]!);
      known++;
      sum += surprise;
      if (surprise <= worst) continue;
      worst = surprise;
      worstChannel = channel;
    }
    if (known === 0) return;
    this.score = sum / known;
    this.channelIndex = worstChannel;
    this.anomaly = task.kind === 'anomaly' && this.score >= task.threshold;
  }

  /** Negative log of the Laplace density with the predicted mean and scale, in nats. */
  #surprise(channel: number, value: number): number {
    const { center, scale } = this.#meaning.channels[channel]!;
    const distance = Math.abs((value - center) / scale - this.#means[channel]!);
    const logScale = this.#logScales[channel]!;
    return distance * exponential(-logScale) + logScale + LOG_TWO;
  }

  #forecast(logits: Int32Array): void {
    const { channels, task } = this.#meaning;
    assert(task.kind === 'forecast' && logits.length === this.values.length, 'one logit per forecast value');
    for (let index = 0; index < logits.length; index++) {
      const channel = channels[Math.floor(index / task.horizon)]!;
      this.values[index] = denormalise(channel, logits[index]! / LOGIT_ONE);
    }
  }
}

function denormalise(channel: Channel, normalised: number): number {
  return channel.center + channel.scale * normalised;
}
