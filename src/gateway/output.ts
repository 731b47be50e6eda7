/** What the model's logits mean, held until the next token: never zeros, never a guess presented as a reading. */

import { assert, LOGIT_ONE } from '../engine/limits.ts';
import type { CandidateRule, Channel, ModelMeaning } from '../engine/model.ts';
import { Candidates } from '../gate/candidates.ts';
import { carryFields, type StateCarrier } from '../gate/carrier.ts';
import { Alarm } from './calibration/alarm.ts';
import { ControlChart } from './calibration/control-chart.ts';
import { exponentiate } from './exponential.ts';

/** The log of a predicted scale is clamped to this on both sides, before it becomes a scale. */
const LOG_SCALE_MAX = 16;
/** The normalising constant of a Laplace density with scale 1. */
const LOG_TWO = Math.LN2;
/** Nine tenths of a Laplace density with scale 1 lie so close to its centre. */
const NINE_TENTHS = Math.LN10;

export class Output {
  readonly kind: 'classify' | 'anomaly' | 'forecast';
  /** Whether there was a token yet; until then every other field says nothing. */
  hasValue = false;
  /** classify: the class; anomaly: the channel with the largest term of the score, -1 without one; forecast: -1. */
  topIndex = -1;
  /** classify: probability of the class; anomaly: the score; forecast: 0, as before the first token. */
  confidence = 0;
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
   * previous token's prediction, in normalised units (nats); NaN at the first token, which nothing predicted. Of a
   * model with a chart: T2 of the chart; NaN until it is calibrated.
   */
  score = Number.NaN;
  /** anomaly: whether an alarm stands. */
  anomaly = false;
  /** Of models that have one. */
  readonly chart: ControlChart | undefined;
  readonly #alarm: Alarm | undefined;
  /** In its one place: the score without a chart. */
  readonly #likelihood = new Float64Array(1);

  /**
   * forecast: [channels x horizon], channel-major, physical units: the ticks after the token.
   * anomaly: [channels], the predicted values of the tick after the token. classify: empty. With candidates, the tick
   * after the token is predicted by one of them, which need not be the model; an anomaly's score is the model's always.
   */
  readonly values: Float64Array;

  /** Of models that have some, and predict: see `values`. */
  readonly candidates: Candidates | undefined;

  readonly #meaning: ModelMeaning;
  #channels: readonly Channel[];
  /** anomaly: what came, normalised, and its distance from what was predicted in predicted scales; NaN where unknown. */
  readonly #levels: Float64Array;
  readonly #surprises: Float64Array;
  /** anomaly: predicted mean, log scale and 1 / scale per channel, normalised. */
  readonly #means: Float64Array;
  readonly #logScales: Float64Array;
  readonly #inverseScales: Float64Array;
  /** 1 / scale that errors of candidates are taken in; a forecast says none. */
  readonly #energyScales: Float64Array;

  /** `rule`: default the model's own; null: none. */
  constructor(meaning: ModelMeaning, rule: CandidateRule | null = meaning.candidates ?? null) {
    const { task, channels } = meaning;
    const count = channels.length;
    this.#meaning = meaning;
    this.kind = task.kind;
    this.probabilities = new Float64Array(task.kind === 'classify' ? task.classes.length : 0);
    this.#means = new Float64Array(task.kind === 'anomaly' ? count : 0);
    this.#logScales = new Float64Array(this.#means.length);
    this.#inverseScales = new Float64Array(this.#means.length);
    this.#channels = channels;
    this.#levels = new Float64Array(this.#means.length);
    this.#surprises = new Float64Array(this.#means.length);
    const settings = task.kind === 'anomaly' ? task.chart : undefined;
    this.chart = settings && new ControlChart(count, settings);
    this.#alarm = task.kind === 'anomaly' ? new Alarm(task) : undefined;
    const horizon = task.kind === 'forecast' ? task.horizon : task.kind === 'anomaly' ? 1 : 0;
    this.values = new Float64Array(horizon * count);
    this.candidates = rule === null || horizon === 0 ? undefined : new Candidates(channels, horizon, rule);
    this.#energyScales =
      task.kind === 'anomaly' ? this.#inverseScales : new Float64Array(horizon && count).fill(1);
  }

  /** Hands over what it holds. */
  carry(state: StateCarrier): void {
    const fields = [
      'hasValue',
      'topIndex',
      'confidence',
      'isHeld',
      'ageIntervals',
      'classIndex',
      'score',
      'anomaly',
    ] as const;
    carryFields(state, this, fields);
    for (const array of [this.probabilities, this.values, this.#means, this.#logScales, this.#inverseScales])
      state.array(array);
    this.#alarm?.carry(state);
    this.chart?.carry(state);
    this.candidates?.carry(state);
  }

  /** As before the first token. */
  reset(): void {
    this.hasValue = false;
    this.topIndex = -1;
    this.confidence = 0;
    this.isHeld = false;
    this.ageIntervals = 0;
    this.classIndex = -1;
    this.probabilities.fill(0);
    this.score = Number.NaN;
    this.anomaly = false;
    this.#alarm?.reset();
    this.values.fill(0);
    this.chart?.reset();
    this.candidates?.reset();
  }

  /** Other centres and scales, from here on: the model's own ones, or those of a calibration. */
  useChannels(channels: readonly Channel[]): void {
    this.#channels = channels;
    this.candidates?.useChannels(channels);
  }

  /** Every tick, before it is held or updated. `values` as for `update`; `intervals`: whole ones since the last tick. */
  observe(values: Float64Array, intervals: number): void {
    this.candidates?.observe(values, intervals, this.#energyScales);
    if (this.chart === undefined) return;
    this.#alarm!.wait(intervals);
    this.#normalise(values);
    this.#compare();
    this.chart.observe(this.#levels, this.#surprises, intervals);
  }

  /** A skipped tick: the output stays as it is. `ageIntervals`: since the last token. */
  hold(ageIntervals: number): void {
    this.isHeld = true;
    this.ageIntervals = ageIntervals;
  }

  /**
   * anomaly: how close to `values[channel]` the next reading should be, nine times in ten; physical units. By the
   * Laplace density for the tick after the token (see scaleOf); while the output is held, wider by the root of the time that has
   * passed, as for a random walk. The heartbeat bounds that.
   */
  within(channel: number): number {
    if (!this.hasValue) return 0;
    const ticksAhead = 1 + (this.isHeld ? this.ageIntervals : 0);
    return NINE_TENTHS * Math.sqrt(ticksAhead) * this.scaleOf(channel);
  }

  /**
   * Scale of the Laplace density around the prediction of the tick after a token, physical units: by the errors of late of
   * the candidate that is put out, else as an anomaly's model says itself. NaN where nothing says.
   */
  scaleOf(channel: number): number {
    if (this.candidates === undefined) return this.modelScaleOf(channel);
    const scale = this.candidateScaleOf(this.candidates.chosen[channel]!, channel);
    return Number.isNaN(scale) ? this.modelScaleOf(channel) : scale;
  }

  /** The same as an anomaly's model says itself; a forecast says nothing. */
  modelScaleOf(channel: number): number {
    if (this.kind !== 'anomaly') return Number.NaN;
    return this.#channels[channel]!.scale / this.#inverseScales[channel]!;
  }

  /** The same by the errors of late of a candidate; NaN before it was judged. */
  candidateScaleOf(candidate: number, channel: number): number {
    const { scale } = this.#channels[channel]!;
    return scale * (this.candidates?.scaleOf(candidate, channel) ?? Number.NaN);
  }

  /** A token: `logits` int32[outputs] Q16; `values` float64[channels] are what was observed, NaN where unknown. */
  update(logits: Int32Array, values: Float64Array): void {
    if (this.kind === 'classify') this.#classify(logits);
    else if (this.kind === 'anomaly') this.#predict(logits, values);
    else this.#forecast(logits);
    this.candidates?.propose(this.values);
    this.hasValue = true;
    this.isHeld = false;
    this.ageIntervals = 0;
  }

  #classify(logits: Int32Array): void {
    const { probabilities } = this;
    assert(logits.length === probabilities.length, 'one logit per class');
    let top = 0;
    for (let index = 1; index < logits.length; index++) if (logits[index]! > logits[top]!) top = index;
    for (let index = 0; index < logits.length; index++) {
      probabilities[index] = (logits[index]! - logits[top]!) / LOGIT_ONE;
    }
    exponentiate(probabilities);
    let total = 0;
    for (let index = 0; index < probabilities.length; index++) total += probabilities[index]!;
    for (let index = 0; index < probabilities.length; index++) probabilities[index]! /= total;
    this.classIndex = top;
    this.topIndex = top;
    this.confidence = probabilities[top]!;
  }

  #predict(logits: Int32Array, values: Float64Array): void {
    const count = this.#means.length;
    assert(logits.length === 2 * count, 'a mean and a log scale per channel');
    this.#normalise(values);
    this.#compare();
    if (this.hasValue) this.#judge();
    this.confidence = this.score;
    for (let channel = 0; channel < count; channel++) {
      const logScale = logits[count + channel]! / LOGIT_ONE;
      this.#logScales[channel] = Math.max(-LOG_SCALE_MAX, Math.min(LOG_SCALE_MAX, logScale));
      this.#inverseScales[channel] = -this.#logScales[channel]!;
      this.#means[channel] = logits[channel]! / LOGIT_ONE;
      const { center, scale } = this.#channels[channel]!;
      this.values[channel] = center + scale * this.#means[channel]!;
    }
    exponentiate(this.#inverseScales);
  }

  #normalise(values: Float64Array): void {
    for (let channel = 0; channel < values.length; channel++) {
      const { center, scale } = this.#channels[channel]!;
      const level = (values[channel]! - center) / scale;
      this.#levels[channel] = Number.isFinite(level) ? level : Number.NaN;
    }
  }

  /** With the last prediction, however old; NaN without one. */
  #compare(): void {
    for (let channel = 0; channel < this.#levels.length; channel++) {
      const distance = Math.abs(this.#levels[channel]! - this.#means[channel]!);
      this.#surprises[channel] = this.hasValue ? distance * this.#inverseScales[channel]! : Number.NaN;
    }
  }

  /**
   * Scores what came by the Laplace density of the prediction. With no value known there is nothing to score: the
   * last score stays.
   */
  #judge(): void {
    let sum = 0;
    let known = 0;
    let worst = Number.NEGATIVE_INFINITY;
    for (let channel = 0; channel < this.#levels.length; channel++) {
      if (Number.isNaN(this.#surprises[channel]!)) continue;
      const surprise = this.#surprises[channel]! + this.#logScales[channel]! + LOG_TWO;
      known++;
      sum += surprise;
      if (surprise <= worst) continue;
      worst = surprise;
      this.topIndex = channel;
    }
    if (this.chart !== undefined) this.#readChart(this.chart, this.#alarm!);
    else if (known > 0) {
      this.#likelihood[0] = sum / known;
      this.#setScore(this.#likelihood, this.#alarm!);
    }
  }

  #readChart(chart: ControlChart, alarm: Alarm): void {
    chart.update();
    this.#setScore(chart.score, alarm);
    if (alarm.stands) chart.endSettling();
    if (alarm.hasRecovered) {
      chart.acceptLevels();
      chart.update();
      this.score = chart.score[0]!;
    }
    this.topIndex = chart.topChannel;
  }

  #setScore(score: Float64Array, alarm: Alarm): void {
    this.score = score[0]!;
    alarm.judge(score);
    this.anomaly = alarm.stands;
  }

  #forecast(logits: Int32Array): void {
    const { task } = this.#meaning;
    assert(task.kind === 'forecast' && logits.length === this.values.length, 'one logit per forecast value');
    for (let index = 0; index < logits.length; index++) {
      const { center, scale } = this.#channels[Math.floor(index / task.horizon)]!;
      this.values[index] = center + (scale * logits[index]!) / LOGIT_ONE;
    }
  }
}
