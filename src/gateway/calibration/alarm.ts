/** When an alarm begins and ends, by the scores of a model for anomalies, token by token. */
import type { RecoverySettings, Task } from '../../engine/model.ts';
import { carryFlag, type StateCarrier } from '../../gate/carrier.ts';
import { Decay } from '../../gate/decay.ts';

export type AnomalyTask = Extract<Task, { kind: 'anomaly' }>;

/**
 * Raised at the threshold. Of a model with a chart it is let go later than it is raised: below the release; or when the
 * plant has recovered, for which see RecoverySettings.
 */
export class Alarm {
  stands = false;
  /** Whether the last score has ended it though it is not below the release. */
  hasRecovered = false;
  readonly #threshold: number;
  readonly #release: number;
  readonly #recovery: RecoverySettings | undefined;
  readonly #decay: Decay | undefined;
  /** While it stands: how long, in intervals, the score has been low, and its moving average. */
  #lowIntervals = 0;
  readonly #average = new Float64Array(1);
  #sinceScore = 0;

  constructor({ threshold, chart }: AnomalyTask) {
    this.#threshold = threshold;
    this.#release = (chart?.release ?? 1) * threshold;
    this.#recovery = chart?.recovery;
    this.#decay = this.#recovery && new Decay(this.#recovery.halfLife);
  }

  carry(state: StateCarrier): void {
    this.stands = carryFlag(state, this.stands);
    this.hasRecovered = carryFlag(state, this.hasRecovered);
    this.#lowIntervals = state.number(this.#lowIntervals);
    this.#sinceScore = state.number(this.#sinceScore);
    state.array(this.#average);
  }

  reset(): void {
    this.stands = false;
    this.hasRecovered = false;
    this.#lowIntervals = 0;
    this.#sinceScore = 0;
  }

  /** Every tick, before it is judged: whole intervals since the last tick. */
  wait(intervals: number): void {
    this.#sinceScore += intervals;
  }

  /** A token's score, in its one place; of NaN no alarm stands. */
  judge(score: Float64Array): void {
    const stood = this.stands;
    this.hasRecovered = false;
    this.stands = score[0]! >= (stood ? this.#release : this.#threshold);
    if (this.stands && this.#recovery !== undefined) this.#watch(score, stood, this.#recovery);
    this.#sinceScore = 0;
  }

  /** A score that is low compared with its average in this alarm, for long enough, ends it. */
  #watch(score: Float64Array, stood: boolean, { share, intervals }: RecoverySettings): void {
    const average = this.#average;
    const decay = this.#decay!;
    decay.forget(stood ? Math.max(1, this.#sinceScore) : 0);
    average[0] = stood ? decay.left[0]! * average[0]! + (1 - decay.left[0]!) * score[0]! : score[0]!;
    this.#lowIntervals =
      score[0]! < share * average[0]! ? this.#lowIntervals + Math.max(1, this.#sinceScore) : 0;
    this.hasRecovered = this.#lowIntervals >= intervals;
    if (!this.hasRecovered) return;
    this.stands = false;
    this.#lowIntervals = 0;
  }
}
