/** Trivial forecasters: the last value repeated, and a linear map of the last values in closed form. */
import { cholesky, solveCholesky } from '../statistics/linear-algebra.ts';
import { addRidge, fillForward, knownMeans, standardise } from '../statistics/statistics.ts';
import { type Protocol, scoredSpan } from './protocols.ts';
import { ForecastScore, type Scored } from './scores.ts';

/** Rows that the linear map looks back on. */
export const lookBack = 336;
/** Relative to a variance of 1, summed over all windows. */
const ridge = 1;

/** Forecast of all channels from z-scored rows up to `origin`, into [channels x horizon], in z units. */
type Forecaster = (table: Float64Array, origin: number, out: Float64Array) => void;

export function forecastRivals(protocol: Protocol): Record<string, Scored> {
  const horizon = protocol.recording.horizon!;
  const rivals: Record<string, Scored> = {
    repeatLast: scoreForecaster(protocol, repeatLast(protocol.channels, horizon)),
  };
  const early = protocol.tests.some(({ scoredFrom }) => scoredFrom < lookBack);
  const weights = early ? null : fitLinear(protocol, horizon);
  if (weights !== null) {
    rivals[`linear${lookBack}`] = scoreForecaster(protocol, linear(weights, protocol.channels, horizon));
  }
  return rivals;
}

function scoreForecaster(protocol: Protocol, forecast: Forecaster): Scored {
  const { recording, channels, standardiser } = protocol;
  const { mean, deviation } = standardiser;
  const horizon = recording.horizon!;
  const out = new Float64Array(channels * horizon);
  const score = new ForecastScore(protocol);
  for (const [file, test] of protocol.tests.entries()) {
    const table = standardise(fillForward(test.series.values, mean), standardiser);
    const { from, to } = scoredSpan(recording, test);
    for (let origin = from; origin < to; origin++) {
      forecast(table, origin, out);
      for (let i = 0; i < out.length; i++) {
        const channel = Math.floor(i / horizon);
        out[i] = mean[channel]! + deviation[channel]! * out[i]!;
      }
      score.add(file, origin, out);
    }
  }
  return score.scored();
}

function repeatLast(channels: number, horizon: number): Forecaster {
  return (table, origin, out) => {
    for (let i = 0; i < out.length; i++) out[i] = table[origin * channels + Math.floor(i / horizon)]!;
  };
}

/** y - last = W (x - last) + b, the same for every channel (NLinear, Zeng et al. 2023). */
interface LinearMap {
  /** [horizon x lookBack]; the last entry of a row is the bias, since x - last is zero there. */
  readonly weights: Float64Array;
}

function linear({ weights }: LinearMap, channels: number, horizon: number): Forecaster {
  const window = new Float64Array(lookBack);
  return (table, origin, out) => {
    for (let channel = 0; channel < channels; channel++) {
      const last = table[origin * channels + channel]!;
      for (let i = 0; i < lookBack; i++)
        window[i] = table[(origin - lookBack + 1 + i) * channels + channel]! - last;
      window[lookBack - 1] = 1;
      for (let ahead = 0; ahead < horizon; ahead++) {
        out[channel * horizon + ahead] = last + dot(weights, ahead * lookBack, window);
      }
    }
  };
}

function dot(weights: Float64Array, at: number, window: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < window.length; i++) sum += weights[at + i]! * window[i]!;
  return sum;
}

/** Least squares over every window of the train rows, by the normal equations; null if there is no whole window. */
function fitLinear(protocol: Protocol, horizon: number): LinearMap | null {
  const length = lookBack + horizon;
  const moments = new Moments(length);
  for (const series of protocol.train) {
    const filled = fillForward(series.values, knownMeans(series.values, protocol.channels));
    const table = standardise(filled, protocol.standardiser);
    for (let channel = 0; channel < protocol.channels; channel++) {
      moments.add(table.filter((_, i) => i % protocol.channels === channel));
    }
  }
  return moments.windows < 1 ? null : { weights: solve(moments, horizon) };
}

/** Sums over all windows of x_i and x_i x_j; a window's neighbours share all but its ends, so each costs one addition. */
class Moments {
  readonly length: number;
  readonly first: Float64Array;
  readonly second: Float64Array;
  windows = 0;

  constructor(length: number) {
    this.length = length;
    this.first = new Float64Array(length);
    this.second = new Float64Array(length * length);
  }

  /** Adds every window of a series. */
  add(x: Float64Array): void {
    const { length } = this;
    const count = x.length - length + 1;
    if (count < 1) return;
    this.windows += count;
    for (let lag = 0; lag < length; lag++) {
      let sum = 0;
      for (let t = 0; t < count; t++) sum += x[t]! * x[t + lag]!;
      for (let i = 0; i + lag < length; i++) {
        if (i > 0) sum += x[i + count - 1]! * x[i + count - 1 + lag]! - x[i - 1]! * x[i - 1 + lag]!;
        this.second[i * length + i + lag]! += sum;
        if (lag > 0) this.second[(i + lag) * length + i]! += sum;
      }
    }
    let sum = 0;
    for (let t = 0; t < count; t++) sum += x[t]!;
    for (let i = 0; i < length; i++) {
      if (i > 0) sum += x[i + count - 1]! - x[i - 1]!;
      this.first[i]! += sum;
    }
  }

  /** Sum over windows of (x_i - x_last)(x_j - x_last). */
  centred(i: number, j: number, last: number): number {
    const { second, length } = this;
    return (
      second[i * length + j]! -
      second[i * length + last]! -
      second[j * length + last]! +
      second[last * length + last]!
    );
  }
}

/** [horizon x lookBack]: the bias takes the place of the last value. */
function solve(moments: Moments, horizon: number): Float64Array {
  const n = lookBack;
  const last = n - 1;
  const sum = (i: number) => moments.first[i]! - moments.first[last]!;
  const gram = new Float64Array(n * n);
  for (let i = 0; i < last; i++) {
    for (let j = 0; j < last; j++) gram[i * n + j] = moments.centred(i, j, last);
    gram[i * n + last] = gram[last * n + i] = sum(i);
  }
  gram[last * n + last] = moments.windows;
  const lower = cholesky(addRidge(gram, n, ridge), n);
  const weights = new Float64Array(horizon * n);
  for (let ahead = 0; ahead < horizon; ahead++) {
    const row = weights.subarray(ahead * n, (ahead + 1) * n);
    for (let i = 0; i < last; i++) row[i] = moments.centred(i, n + ahead, last);
    row[last] = sum(n + ahead);
    solveCholesky(lower, n, row);
  }
  return weights;
}
