/** From answers to scores, the same for the model and its rivals: a metric, and the quality in blocks to bootstrap. */
import type { Series } from '../recording/recording.ts';
import { type BlockedQuality, makeBlocks } from './bootstrap.ts';
import { type AlarmRows, episodeMetric } from './episodes.ts';
import { alarmMetric, averagePrecision, Confusion, ForecastError, type Metric } from './metrics.ts';
import { nabStandard } from './nab.ts';
import { type AlarmScores, type Protocol, scoredSpan, type TestSeries } from './protocols.ts';

export interface Scored {
  readonly metric: Metric;
  readonly blocked: BlockedQuality;
}

/** `predictions[file][row]` is a class index; every row of each file is given, the scored ones count. */
export function scoreClasses(protocol: Protocol, predictions: readonly ArrayLike<number>[]): Scored {
  const classes = protocol.recording.classes!.length;
  const all = new Confusion(classes);
  const perFile: Metric = {};
  for (const [index, { series, scoredFrom }] of protocol.tests.entries()) {
    const own = new Confusion(classes);
    for (let row = scoredFrom; row < series.rows; row++) {
      own.add(series.labels![row]!, predictions[index]![row]!);
      all.add(series.labels![row]!, predictions[index]![row]!);
    }
    perFile[fileName(series)] = own.accuracy();
  }
  const metric = {
    accuracy: all.accuracy(),
    balancedAccuracy: all.balancedAccuracy(),
    macroF1: all.macroF1(),
    ...perFile,
  };
  return { metric, blocked: blockedAccuracy(protocol, predictions) };
}

function fileName({ name }: Series): string {
  return `accuracy:${name}`;
}

/** Each file is a group. */
function blockedAccuracy({ tests }: Protocol, predictions: readonly ArrayLike<number>[]): BlockedQuality {
  const groups = tests.map(({ series, scoredFrom }, file) =>
    makeBlocks({ from: scoredFrom, to: series.rows }, 2, (row, sums) => {
      sums[0]!++;
      if (predictions[file]![row] === series.labels![row]) sums[1]!++;
    }),
  );
  return {
    name: 'accuracy',
    groupNames: tests.map(({ series }) => fileName(series)),
    groups,
    quality: ([rows, right]) => right! / rows!,
    metricOf: (quality) => quality,
  };
}

/** Over the scored rows of all files together: point by point, as episodes, and at change points. */
export function scoreAlarms(protocol: Protocol, files: readonly AlarmScores[]): Scored {
  const rows = protocol.tests.map((test, index) => alarmRows(test, files[index]!));
  const labels = rows.flatMap((file) => [...file.labels]);
  const alarms = rows.flatMap((file) => [...file.alarms]);
  const relative = rows.flatMap((file) => [...file.relative]);
  const nab = rows.every(({ changePoints }) => changePoints !== undefined)
    ? { nabStandard: nabStandard(rows.map((file) => ({ ...file, changePoints: file.changePoints! }))) }
    : {};
  const metric = {
    ...alarmMetric(labels, alarms),
    auprc: averagePrecision(labels, relative),
    ...episodeMetric(rows, protocol.recording.intervalMs),
    ...nab,
  };
  return { metric, blocked: blockedAlarms(rows) };
}

interface ScoredAlarms extends AlarmRows {
  readonly labels: Int8Array;
  readonly alarms: Int8Array;
  /** Files have scores of different size; only their distance to the file's own limit can be ranked together. */
  readonly relative: Float64Array;
  readonly changePoints: Int8Array | undefined;
}

function alarmRows(
  { series, scoredFrom }: TestSeries,
  { scores, ordinary, limit, alarms }: AlarmScores,
): ScoredAlarms {
  const scored = scores.subarray(scoredFrom, series.rows);
  return {
    timeMs: series.timeMs.subarray(scoredFrom),
    labels: series.labels!.subarray(scoredFrom),
    changePoints: series.changePoints?.subarray(scoredFrom),
    alarms:
      alarms?.subarray(scoredFrom, series.rows) ??
      Int8Array.from(scored, (score) => (score >= limit ? 1 : 0)),
    relative: scored.map((score) => (score - ordinary) / (limit - ordinary)),
  };
}

/** F1; each file is a block, for within a file the fault is one. */
function blockedAlarms(files: readonly ScoredAlarms[]): BlockedQuality {
  const blocks = files.map(({ labels, alarms }) => {
    const sums = new Float64Array(2);
    for (const [row, alarm] of alarms.entries()) {
      if (alarm === 1 && labels[row] === 1) sums[0]!++;
      else if (alarm !== labels[row]) sums[1]!++;
    }
    return sums;
  });
  return {
    name: 'f1',
    groupNames: [],
    groups: [blocks],
    quality: ([hits, mistakes]) => hits! / (hits! + mistakes! / 2),
    metricOf: (quality) => quality,
  };
}

/** Scores forecasts made one after the other. Values are in physical units, errors in z units of the train rows. */
export class ForecastScore {
  readonly #error = new ForecastError();
  readonly #protocol: Protocol;
  /** [files][rows] sum of the squared errors of the window made after that row. */
  readonly #squares: readonly Float64Array[];

  constructor(protocol: Protocol) {
    this.#protocol = protocol;
    this.#squares = protocol.tests.map(({ series }) => new Float64Array(series.rows));
  }

  /** `values`: [channels x horizon], channel-major; made after row `origin` of file `file`. Unknown truths do not count. */
  add(file: number, origin: number, values: ArrayLike<number>): void {
    const { channels, standardiser, recording, tests } = this.#protocol;
    const { series } = tests[file]!;
    const horizon = recording.horizon!;
    let squares = 0;
    for (let channel = 0; channel < channels; channel++) {
      const scale = standardiser.deviation[channel]!;
      for (let ahead = 0; ahead < horizon; ahead++) {
        const actual = series.values[(origin + 1 + ahead) * channels + channel]!;
        if (Number.isNaN(actual)) continue;
        squares += this.#error.add(values[channel * horizon + ahead]! / scale, actual / scale);
      }
    }
    this.#squares[file]![origin] = squares;
  }

  scored(): Scored {
    return { metric: this.#error.metric(), blocked: this.#blocked() };
  }

  /** The inverse of the mean squared error. */
  #blocked(): BlockedQuality {
    const { tests, recording, channels } = this.#protocol;
    const errors = channels * recording.horizon!;
    const blocks = tests.flatMap((test, file) =>
      makeBlocks(scoredSpan(recording, test), 2, (row, sums) => {
        sums[0]! += errors;
        sums[1]! += this.#squares[file]![row]!;
      }),
    );
    return {
      name: 'mse',
      groupNames: [],
      groups: [blocks],
      quality: ([count, squares]) => count! / squares!,
      metricOf: (quality) => 1 / quality,
    };
  }
}
