/** Scores. Every one is over wall-clock ticks: a skipped tick counts with the output that was held. */
import { assert } from '../engine/limits.ts';

/** Names to numbers. A name like `accuracy:test.csv` is the score of one file. */
export type Metric = Record<string, number>;

/** Counts of [truth][predicted]. */
export class Confusion {
  readonly #classes: number;
  readonly #counts: Float64Array;

  constructor(classes: number) {
    this.#classes = classes;
    this.#counts = new Float64Array(classes * classes);
  }

  add(truth: number, predicted: number): void {
    assert(truth < this.#classes && predicted < this.#classes, 'labels within the classes');
    this.#counts[truth * this.#classes + predicted]!++;
  }

  count(truth: number, predicted: number): number {
    return this.#counts[truth * this.#classes + predicted]!;
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
      const occurred = this.#sum((other) => this.count(c, other));
      if (occurred > 0) recalls.push(this.count(c, c) / occurred);
    }
    return recalls.reduce((sum, recall) => sum + recall, 0) / recalls.length;
  }

  /** Mean over all classes of tp / (tp + (fp + fn) / 2); a class that neither occurs nor is predicted is left out. */
  macroF1(): number {
    const scores: number[] = [];
    for (let c = 0; c < this.#classes; c++) {
      const occurred = this.#sum((other) => this.count(c, other));
      const predicted = this.#sum((other) => this.count(other, c));
      if (occurred + predicted > 0) scores.push((2 * this.count(c, c)) / (occurred + predicted));
    }
    return scores.reduce((sum, score) => sum + score, 0) / scores.length;
  }

  #sum(of: (other: number) => number): number {
    let sum = 0;
    for (let other = 0; other < this.#classes; other++) sum += of(other);
    return sum;
  }
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

  add(predicted: number, actual: number): void {
    const error = predicted - actual;
    this.#squares += error * error;
    this.#absolutes += Math.abs(error);
    this.#count++;
  }

  /** Mean squared and mean absolute error. */
  metric(): Metric {
    return { mse: this.#squares / this.#count, mae: this.#absolutes / this.#count };
  }
}
