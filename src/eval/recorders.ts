/** From outputs, row by row, to a metric: one recorder per task. */

import { median } from '../statistics/statistics.ts';
import { type BlockedQuality, makeBlocks } from './bootstrap.ts';
import { type Metric, UNANSWERED } from './metrics.ts';
import {
  type AlarmScores,
  calibrate,
  ForecastScore,
  type Protocol,
  scoreAlarms,
  scoreClasses,
  scoredSpan,
} from './protocols.ts';
import type { Recorder } from './runs.ts';

/** What recorders read of a pipeline's output; which fields mean something depends on the task. */
export interface OutputFields {
  /** Whether there is an output yet. */
  readonly hasValue: boolean;
  /** Intervals since the token that it comes from. */
  readonly ageIntervals: number;
  readonly classIndex: number;
  readonly score: number;
  /** [channels x horizon], channel-major, physical units. */
  readonly values: Float64Array;
}

export interface ScoringRecorder extends Recorder<OutputFields> {
  metric(): Metric;
  /** The quality that `retention` compares, in blocks. */
  blocked(): BlockedQuality;
}

/** `threshold` is the model's own, for an anomaly task. */
export function makeRecorder(protocol: Protocol, threshold: number): ScoringRecorder {
  switch (protocol.recording.task) {
    case 'classify':
      return new ClassRecorder(protocol);
    case 'anomaly':
      return new AlarmRecorder(protocol, threshold);
    case 'forecast':
      return new ForecastRecorder(protocol);
  }
}

class ClassRecorder implements ScoringRecorder {
  readonly #protocol: Protocol;
  readonly #predictions: Int8Array[];

  constructor(protocol: Protocol) {
    this.#protocol = protocol;
    this.#predictions = protocol.tests.map(({ series }) => new Int8Array(series.rows).fill(UNANSWERED));
  }

  row(file: number, row: number, output: OutputFields): void {
    if (output.hasValue) this.#predictions[file]![row] = output.classIndex;
  }

  metric(): Metric {
    return scoreClasses(this.#protocol, this.#predictions);
  }

  /** Accuracy; each file is a group. */
  blocked(): BlockedQuality {
    const groups = this.#protocol.tests.map(({ series, scoredFrom }, file) =>
      makeBlocks({ from: scoredFrom, to: series.rows }, 2, (row, sums) => {
        sums[0]!++;
        if (this.#predictions[file]![row] === series.labels![row]) sums[1]!++;
      }),
    );
    return { groups, quality: ([rows, right]) => right! / rows! };
  }
}

/** Calibrated as the rivals are: twice as far from ordinary as the strangest calibration row. */
const factor = 2;
/** Rows at the start of a file, where the stream is still short, that do not calibrate. */
const settlingRows = 50;

class AlarmRecorder implements ScoringRecorder {
  readonly #protocol: Protocol;
  readonly #threshold: number;
  readonly #scores: Float64Array[];

  constructor(protocol: Protocol, threshold: number) {
    this.#protocol = protocol;
    this.#threshold = threshold;
    // No output yet: no alarm.
    this.#scores = protocol.tests.map(({ series }) =>
      new Float64Array(series.rows).fill(Number.NEGATIVE_INFINITY),
    );
  }

  row(file: number, row: number, output: OutputFields): void {
    if (output.hasValue && !Number.isNaN(output.score)) this.#scores[file]![row] = output.score;
  }

  /** f1 and the rest with limits from each file's calibration rows; `:threshold` with the model's own, as it runs. */
  metric(): Metric {
    const own = scoreAlarms(this.#protocol, this.#ownLimits());
    const renamed = Object.fromEntries(
      Object.entries(own).map(([name, value]) => [`${name}:threshold`, value]),
    );
    return this.#isCalibrated ? { ...scoreAlarms(this.#protocol, this.#calibrated()), ...renamed } : own;
  }

  /** F1; each file is a block, for within a file the fault is one. */
  blocked(): BlockedQuality {
    const files = this.#isCalibrated ? this.#calibrated() : this.#ownLimits();
    const blocks = this.#protocol.tests.map(({ series, scoredFrom }, file) => {
      const { scores, limit } = files[file]!;
      const sums = new Float64Array(2);
      for (let row = scoredFrom; row < series.rows; row++) {
        const alarm = scores[row]! >= limit;
        const isAnomaly = series.labels![row] === 1;
        if (alarm && isAnomaly) sums[0]!++;
        else if (alarm !== isAnomaly) sums[1]!++;
      }
      return sums;
    });
    return { groups: [blocks], quality: ([hits, mistakes]) => hits! / (hits! + mistakes! / 2) };
  }

  get #isCalibrated(): boolean {
    return this.#protocol.recording.calibrationRows > settlingRows;
  }

  #calibrated(): AlarmScores[] {
    return this.#protocol.tests.map((test, file) => {
      const scores = this.#scores[file]!;
      const known = scores.subarray(settlingRows, test.scoredFrom).filter(Number.isFinite);
      const ordinary = known.length > 0 ? median(known) : this.#threshold - 1;
      return calibrate(scores, test, { ordinary, factor, skip: settlingRows });
    });
  }

  #ownLimits(): AlarmScores[] {
    const limit = this.#threshold;
    return this.#scores.map((scores) => ({ scores, ordinary: limit - 1, limit }));
  }
}

class ForecastRecorder implements ScoringRecorder {
  readonly #protocol: Protocol;
  readonly #score: ForecastScore;
  readonly #spans: readonly { readonly from: number; readonly to: number }[];
  /** [files][rows] sum of the window's squared errors. */
  readonly #squares: readonly Float64Array[];
  readonly #values: Float64Array;

  constructor(protocol: Protocol) {
    this.#protocol = protocol;
    this.#values = new Float64Array(protocol.channels * protocol.recording.horizon!);
    this.#score = new ForecastScore(protocol);
    this.#spans = protocol.tests.map((test) => scoredSpan(protocol.recording, test));
    this.#squares = protocol.tests.map(({ series }) => new Float64Array(series.rows));
  }

  row(file: number, row: number, output: OutputFields): void {
    if (row < this.#spans[file]!.from) return;
    this.#advance(output);
    this.#squares[file]![row] = this.#score.add(this.#protocol.tests[file]!.series, row, this.#values);
  }

  /** A held forecast has begun to pass: what it says of the coming ticks lies further in; its last value stands on. */
  #advance({ values, ageIntervals }: OutputFields): void {
    const horizon = this.#protocol.recording.horizon!;
    const age = Math.round(ageIntervals);
    for (let i = 0; i < values.length; i++) {
      const start = i - (i % horizon);
      this.#values[i] = values[start + Math.min((i % horizon) + age, horizon - 1)]!;
    }
  }

  metric(): Metric {
    return this.#score.metric();
  }

  /** The inverse of the mean squared error. */
  blocked(): BlockedQuality {
    const blocks = this.#spans.flatMap((span, file) =>
      makeBlocks(span, 2, (row, sums) => {
        sums[0]!++;
        sums[1]! += this.#squares[file]![row]!;
      }),
    );
    return { groups: [blocks], quality: ([windows, squares]) => windows! / squares! };
  }
}
