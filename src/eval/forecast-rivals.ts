/** Trivial forecasters: the last value repeated, and a linear map of the last values in closed form. */
import { cholesky, solveCholesky } from '../statistics/linear-algebra.ts';
import { addRidge, fillForward, knownMeans, standardise } from '../statistics/statistics.ts';
import { normalEquations, WindowMoments } from '../statistics/window-moments.ts';
import { type Protocol, scoredSpan } from './protocols.ts';
import { ForecastScore, type Scored } from './scores.ts';

/** Rows that the linear map looks back on. */
const lookBack = 336;
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
  const moments = new WindowMoments(length);
  for (const series of protocol.train) {
    const filled = fillForward(series.values, knownMeans(series.values, protocol.channels));
    const table = standardise(filled, protocol.standardiser);
    for (let channel = 0; channel < protocol.channels; channel++) {
      moments.add(table.filter((_, i) => i % protocol.channels === channel));
    }
  }
  return moments.windows < 1 ? null : { weights: solve(moments, horizon) };
}

/** [horizon x lookBack]: the bias takes the place of the last value. */
function solve(moments: WindowMoments, horizon: number): Float64Array {
  const { gram, cross } = normalEquations(moments, lookBack, horizon);
  const lower = cholesky(addRidge(gram, lookBack, ridge), lookBack);
  for (let ahead = 0; ahead < horizon; ahead++) {
    solveCholesky(lower, lookBack, cross.subarray(ahead * lookBack, (ahead + 1) * lookBack));
  }
  return cross;
}
