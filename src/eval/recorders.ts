/** From outputs, row by row, to a metric: one recorder per task. */

import { assert } from '../engine/limits.ts';
import type { Task } from '../engine/model.ts';
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
  readonly anomaly: boolean;
  /** [channels x horizon], channel-major, physical units. */
  readonly values: Float64Array;
}

export interface ScoringRecorder extends Recorder<OutputFields> {
  scored(): Scored;
}

/** What an anomaly model says of its alarms: its threshold, and whether the device calibrates itself to it. */
export interface AlarmRule {
  readonly threshold: number;
  readonly isCalibrated: boolean;
}

export function alarmRuleOf(task: Task): AlarmRule | null {
  if (task.kind !== 'anomaly') return null;
  return { threshold: task.threshold, isCalibrated: task.chart !== undefined };
}

/** `rule` is the model's own; an anomaly task needs one. */
export function makeRecorder(protocol: Protocol, rule: AlarmRule | null): ScoringRecorder {
  switch (protocol.recording.task) {
    case 'classify':
      return new ClassRecorder(protocol);
    case 'anomaly':
      assert(rule !== null, 'an anomaly model has a threshold');
      return new AlarmRecorder(protocol, rule);
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
  readonly #rule: AlarmRule;
  readonly #scores: Float64Array[];
  readonly #alarms: Int8Array[];

  constructor(protocol: Protocol, rule: AlarmRule) {
    this.#protocol = protocol;
    this.#rule = rule;
    // No output yet: no alarm.
    this.#scores = protocol.tests.map(({ series }) =>
      new Float64Array(series.rows).fill(Number.NEGATIVE_INFINITY),
    );
    this.#alarms = protocol.tests.map(({ series }) => new Int8Array(series.rows));
  }

  row(file: number, row: number, output: OutputFields): void {
    if (!output.hasValue) return;
    if (!Number.isNaN(output.score)) this.#scores[file]![row] = output.score;
    this.#alarms[file]![row] = output.anomaly ? 1 : 0;
  }

  /**
   * The alarms that the gateway publishes. Of a model that does not calibrate itself: f1 and the rest with limits from
   * each file's calibration rows, if it has enough; then `:threshold` with its own.
   */
  scored(): Scored {
    const own = scoreAlarms(this.#protocol, this.#published());
    if (this.#rule.isCalibrated || !this.#canCalibrate) return own;
    const { metric, blocked } = scoreAlarms(this.#protocol, this.#calibrated());
    const renamed = Object.entries(own.metric).map(([name, value]) => [`${name}:threshold`, value]);
    return { metric: { ...metric, ...Object.fromEntries(renamed) }, blocked };
  }

  get #canCalibrate(): boolean {
    return this.#protocol.recording.calibrationRows > settlingRows;
  }

  #calibrated(): AlarmScores[] {
    return this.#protocol.tests.map((test, file) => {
      const scores = this.#scores[file]!;
      const known = scores.subarray(settlingRows, test.scoredFrom).filter(Number.isFinite);
      const ordinary = known.length > 0 ? median(known) : this.#rule.threshold - 1;
      return calibrate(scores, test, { ordinary, factor, skip: settlingRows });
    });
  }

  #published(): AlarmScores[] {
    const { threshold: limit, isCalibrated } = this.#rule;
    const ordinary = isCalibrated ? 0 : limit - 1;
    return this.#scores.map((scores, file) => ({ scores, ordinary, limit, alarms: this.#alarms[file]! }));
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
