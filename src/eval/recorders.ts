/** From outputs, row by row, to a metric: one recorder per task. */

import { median } from '../statistics/statistics.ts';
import { UNANSWERED } from './metrics.ts';
import { type AlarmScores, calibrate, type Protocol, scoredSpan } from './protocols.ts';
import type { Recorder } from './runs.ts';
import { ForecastScore, type Scored, scoreAlarms, scoreClasses } from './scores.ts';

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
  scored(): Scored;
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

  scored(): Scored {
    return scoreClasses(this.#protocol, this.#predictions);
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
  scored(): Scored {
    const own = scoreAlarms(this.#protocol, this.#ownLimits());
    if (!this.#isCalibrated) return own;
    const { metric, blocked } = scoreAlarms(this.#protocol, this.#calibrated());
    const renamed = Object.entries(own.metric).map(([name, value]) => [`${name}:threshold`, value]);
    return { metric: { ...metric, ...Object.fromEntries(renamed) }, blocked };
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
  readonly #values: Float64Array;

  constructor(protocol: Protocol) {
    this.#protocol = protocol;
    this.#values = new Float64Array(protocol.channels * protocol.recording.horizon!);
    this.#score = new ForecastScore(protocol);
    this.#spans = protocol.tests.map((test) => scoredSpan(protocol.recording, test));
  }

  row(file: number, row: number, output: OutputFields): void {
    if (row < this.#spans[file]!.from) return;
    this.#advance(output);
    this.#score.add(file, row, this.#values);
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

  scored(): Scored {
    return this.#score.scored();
  }
}
