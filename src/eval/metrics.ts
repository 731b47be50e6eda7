/** Scores. Every one is over wall-clock ticks: a skipped tick counts with the output that was held. */
import { assert } from '../engine/limits.ts';

/** Names to numbers. A name like `accuracy:test.csv` is the score of one file. */
export type Metric = Record<string, number>;

/** A tick without any answer: counted, and always wrong. */
export const UNANSWERED = -1;

/** Counts of [truth][predicted]. */
export class Confusion {
  readonly #classes: number;
  /** [classes x (classes + 1)]: the first column counts what was not answered. */
  readonly #counts: Float64Array;

  constructor(classes: number) {
    this.#classes = classes;
    this.#counts = new Float64Array(classes * (classes + 1));
  }

  /** `predicted` may be UNANSWERED. */
  add(truth: number, predicted: number): void {
    const known = truth >= 0 && truth < this.#classes && predicted >= UNANSWERED && predicted < this.#classes;
    assert(known, 'labels within the classes');
    this.#counts[this.#at(truth, predicted)]!++;
  }

  count(truth: number, predicted: number): number {
    return this.#counts[this.#at(truth, predicted)]!;
  }

  /** Share of ticks with the right class. */
  accuracy(): number {
    let right = 0;
    let total = 0;
    for (const count of this.#counts) total += count;
    for (let c = 0; c < this.#classes; c++) right += this.count(c, c);
    return right / total;
  }

  /** Mean recall over the classes that occur. */
  balancedAccuracy(): number {
    const recalls: number[] = [];
    for (let c = 0; c < this.#classes; c++) {
      const occurred = this.#occurred(c);
      if (occurred > 0) recalls.push(this.count(c, c) / occurred);
    }
    return mean(recalls);
  }

  /** Mean over all classes of tp / (tp + (fp + fn) / 2); a class that neither occurs nor is predicted is left out. */
  macroF1(): number {
    const scores: number[] = [];
    for (let c = 0; c < this.#classes; c++) {
      const either = this.#occurred(c) + this.#predicted(c);
      if (either > 0) scores.push((2 * this.count(c, c)) / either);
    }
    return mean(scores);
  }

  #at(truth: number, predicted: number): number {
    return truth * (this.#classes + 1) + predicted + 1;
  }

  #occurred(truth: number): number {
    let sum = 0;
    for (let predicted = UNANSWERED; predicted < this.#classes; predicted++)
      sum += this.count(truth, predicted);
    return sum;
  }

  #predicted(predicted: number): number {
    let sum = 0;
    for (let truth = 0; truth < this.#classes; truth++) sum += this.count(truth, predicted);
    return sum;
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * Point-wise F1 = tp / (tp + (fp + fn) / 2), false alarm rate fp / (fp + tn), missed alarm rate fn / (fn + tp). A rate
 * over nothing is 0. No point is adjusted.
 */
export function alarmMetric(labels: ArrayLike<number>, alarms: ArrayLike<number>): Metric {
  const confusion = new Confusion(2);
  for (let i = 0; i < labels.length; i++) confusion.add(labels[i]!, alarms[i]!);
  const [tn, fp, fn, tp] = [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ].map(([t, p]) => confusion.count(t!, p!)) as number[];
  return {
    f1: ratio(tp!, tp! + (fp! + fn!) / 2),
    falseAlarmRate: ratio(fp!, fp! + tn!),
    missedAlarmRate: ratio(fn!, fn! + tp!),
  };
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

/**
 * Area under the precision-recall curve as average precision: the sum of precision times recall gained, from the
 * highest score down, equal scores together. NaN if nothing is positive.
 */
export function averagePrecision(labels: ArrayLike<number>, scores: ArrayLike<number>): number {
  const order = Uint32Array.from(labels, (_, i) => i).sort((a, b) => scores[b]! - scores[a]!);
  const positives = Array.from(labels).reduce((sum, label) => sum + label, 0);
  let area = 0;
  let hits = 0;
  for (let i = 0; i < order.length; ) {
    const score = scores[order[i]!]!;
    const before = hits;
    for (; i < order.length && scores[order[i]!] === score; i++) hits += labels[order[i]!]!;
    area += ((hits - before) / positives) * (hits / i);
  }
  return positives === 0 ? Number.NaN : area;
}

/** Adds up the errors of forecasts. */
export class ForecastError {
  #squares = 0;
  #absolutes = 0;
  #count = 0;

  /** Returns the squared error. */
  add(predicted: number, actual: number): number {
    const error = predicted - actual;
    this.#squares += error * error;
    this.#absolutes += Math.abs(error);
    this.#count++;
    return error * error;
  }

  /** Mean squared and mean absolute error. */
  metric(): Metric {
    return { mse: this.#squares / this.#count, mae: this.#absolutes / this.#count };
  }
}
