/**
 * Trivial detectors, fitted on each file's own calibration rows. None sees a row number or a time: on the usual
 * benchmarks a rule on the row number alone would win, and tell nothing.
 */
import { cholesky, eigenSymmetric, squaredDistance } from '../statistics/linear-algebra.ts';
import {
  addRidge,
  covariance,
  fillForward,
  fitStandardiser,
  knownMeans,
  quantile,
  standardise,
} from '../statistics/statistics.ts';
import { type AlarmScores, calibrate, type Protocol, type TestSeries } from './protocols.ts';
import { type Scored, scoreAlarms } from './scores.ts';

/** EWMA chart of z-scores, Hotelling's T2, PCA with T2 and Q, and an alarm at every row. */
export function anomalyRivals(protocol: Protocol): Record<string, Scored> {
  const score = (detect: (z: Float64Array, test: TestSeries) => AlarmScores) =>
    scoreAlarms(
      protocol,
      protocol.tests.map((test) => detect(calibratedScores(test, protocol.channels), test)),
    );
  const everything = score((_, { series }) => ({
    scores: new Float64Array(series.rows).fill(1),
    ordinary: 0,
    limit: 0.5,
  }));
  if (protocol.recording.calibrationRows < 2) return { everything };
  const { channels } = protocol;
  return {
    ewmaT2: score((z, test) => ewmaT2(z, test, channels)),
    hotellingT2: score((z, test) => hotellingT2(z, test, channels)),
    pcaT2Q: score((z, test) => pcaT2Q(z, test, channels)),
    everything,
  };
}

/** z-scores of all rows by the calibration rows. */
function calibratedScores({ series, scoredFrom }: TestSeries, channels: number): Float64Array {
  const rows = Math.max(scoredFrom, 1);
  const start = knownMeans(series.values.subarray(0, rows * channels), channels);
  const values = fillForward(series.values, start);
  return standardise(values, fitStandardiser(values.subarray(0, rows * channels), channels));
}

const ewmaWeight = 0.2;
const ewmaFactor = 2;
/** Relative to a variance of 1. */
const ridge = 1e-3;
/** A control chart's usual limit: one calibration row of a hundred lies above it. */
const chartQuantile = 0.99;
/** Principal components are kept until they explain this share of the variance. */
const explained = 0.9;

/** T2 of moving averages that start at the first row; alarm beyond twice the calibration's largest. */
function ewmaT2(z: Float64Array, test: TestSeries, channels: number): AlarmScores {
  const averages = z.slice();
  for (let i = channels; i < z.length; i++) {
    averages[i] = (1 - ewmaWeight) * averages[i - channels]! + ewmaWeight * z[i]!;
  }
  const scores = mahalanobis(averages, test.scoredFrom, channels);
  return calibrate(scores, test, { ordinary: 0, factor: ewmaFactor, skip: 0 });
}

function hotellingT2(z: Float64Array, test: TestSeries, channels: number): AlarmScores {
  const scores = mahalanobis(z, test.scoredFrom, channels);
  return { scores, ordinary: 0, limit: chartLimit(scores, test) };
}

/** Squared distance of each row to the mean of the first `fitRows` by their covariance. */
function mahalanobis(table: Float64Array, fitRows: number, channels: number): Float64Array {
  const fit = table.subarray(0, fitRows * channels);
  const mean = knownMeans(fit, channels);
  const lower = cholesky(addRidge(covariance(fit, channels), channels, ridge), channels);
  const scratch = new Float64Array(channels);
  return Float64Array.from({ length: table.length / channels }, (_, row) => {
    const centred = table.slice(row * channels, (row + 1) * channels).map((x, c) => x - mean[c]!);
    return squaredDistance(lower, channels, centred, scratch);
  });
}

/** T2 within the principal components, Q the squared residual outside; an alarm when either passes its limit. */
function pcaT2Q(z: Float64Array, test: TestSeries, channels: number): AlarmScores {
  const { values, vectors } = eigenSymmetric(
    covariance(z.subarray(0, test.scoredFrom * channels), channels),
    channels,
  );
  const kept = componentsFor(values, explained);
  const rows = z.length / channels;
  const t2 = new Float64Array(rows);
  const q = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    const x = z.subarray(row * channels, (row + 1) * channels);
    for (let component = 0; component < channels; component++) {
      const along = x.reduce((sum, value, c) => sum + value * vectors[component * channels + c]!, 0);
      if (component < kept) t2[row]! += along ** 2 / Math.max(values[component]!, 1e-6);
      else q[row]! += along ** 2;
    }
  }
  const [t2Limit, qLimit] = [chartLimit(t2, test), chartLimit(q, test)];
  return {
    scores: t2.map((value, row) => Math.max(value / t2Limit, q[row]! / qLimit)),
    ordinary: 0,
    limit: 1,
  };
}

/** Above zero: a plant that stood still while calibrating must not alarm for standing still. */
function chartLimit(scores: Float64Array, { scoredFrom }: TestSeries): number {
  return Math.max(quantile(scores.subarray(0, scoredFrom), chartQuantile), 1e-9);
}

function componentsFor(values: Float64Array, share: number): number {
  const total = values.reduce((sum, value) => sum + value, 0);
  let sum = 0;
  for (let kept = 0; kept < values.length; kept++) {
    sum += values[kept]!;
    if (sum >= share * total) return kept + 1;
  }
  return values.length;
}
