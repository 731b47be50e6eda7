/**
 * What the linear path over the past makes of a stream of tokens: with the integers of the engine, bit for bit, or with
 * the real numbers behind them. Training reads components as features, and leaves to the transformer what they miss.
 */

import { clamp, round } from '../engine/integer.ts';
import { ACCUMULATOR_MAX, FEATURE_MAX, FEATURE_ONE, LOGIT_ONE, WEIGHT_MAX } from '../engine/limits.ts';
import type { HistoryWeights, Linear } from '../engine/model.ts';
import type { HistoryFit } from './history-fit.ts';

/** One channel's way from its past to its forecast. */
export interface PastMap {
  readonly rows: number;
  readonly rank: number;
  readonly horizon: number;
  /** [horizon x rank]: what 1 of a component adds to a forecast, in normalised units. */
  readonly readout: Float32Array;
  /** `window`: [rows] Q10 above the present value, from `at` on -> [rank], as large as features, perhaps between them. */
  components(window: Float64Array, at: number, out: Float64Array): void;
  /** [rank], and the present value in Q10 -> [horizon] in normalised units, to `at` on. */
  forecast(components: Float64Array, last: number, out: Float32Array, at: number): void;
}

/** With the engine's integers. */
export function integerPast({ basis, readout }: HistoryWeights): PastMap {
  const rank = basis.bias.length;
  const horizon = readout.bias.length;
  const rows = basis.weight.length / rank;
  return {
    rows,
    rank,
    horizon,
    readout: Float32Array.from(
      readout.weight,
      (weight, i) => (weight * readout.multiplier[Math.floor(i / rank)]!) / LOGIT_ONE,
    ),
    components(window, at, out) {
      for (let k = 0; k < rank; k++) {
        out[k] = clamp(row(basis, k, rows, window, at), -FEATURE_MAX, FEATURE_MAX);
      }
    },
    forecast(components, last, out, at) {
      const own = (last * LOGIT_ONE) / FEATURE_ONE;
      for (let i = 0; i < horizon; i++) {
        out[at + i] = (own + row(readout, i, rank, components, 0)) / LOGIT_ONE;
      }
    },
  };
}

function row(
  { weight, bias, multiplier }: Linear,
  index: number,
  inputs: number,
  x: Float64Array,
  at: number,
) {
  let sum = bias[index]!;
  for (let j = 0; j < inputs; j++) sum += weight[index * inputs + j]! * x[at + j]!;
  return round(sum * multiplier[index]!);
}

/** With the real numbers. `step`: what 1 of a component stands for. */
export function realPast(
  { rows, ranks: [rank], horizon, basis, bias, readout }: HistoryFit,
  step: number,
): PastMap {
  return {
    rows,
    rank,
    horizon,
    readout: Float32Array.from(readout, (weight) => weight * step),
    components(window, at, out) {
      for (let k = 0; k < rank; k++) {
        let sum = bias[k]! * FEATURE_ONE;
        for (let j = 0; j < rows; j++) sum += basis[k * rows + j]! * window[at + j]!;
        out[k] = sum / (FEATURE_ONE * step);
      }
    },
    forecast(components, last, out, at) {
      for (let i = 0; i < horizon; i++) {
        let sum = last / FEATURE_ONE;
        for (let k = 0; k < rank; k++) sum += readout[i * rank + k]! * components[k]! * step;
        out[at + i] = sum;
      }
    },
  };
}

/** How a token's features lie. */
export interface TokenShape {
  /** Features of a token. */
  readonly width: number;
  readonly channels: number;
  /** The value of channel c is feature c x stride. */
  readonly stride: number;
}

/** Tokens with what their past amounts to. */
export interface PastTrace {
  /** int16 [tokens, features + channels x rank]. */
  readonly features: Int16Array;
  /** [tokens, channels x horizon], in normalised units: where the past leads by itself. */
  readonly forecasts: Float32Array;
  /** Largest size of a component. */
  readonly largest: number;
}

/**
 * `features`: int16 [tokens, width]; `ticks`: [tokens], ascending: between two tokens the last values were held, and
 * before the first there was always its own.
 */
export function tracePast(
  map: PastMap,
  features: Int16Array,
  { width, channels, stride }: TokenShape,
  ticks: ArrayLike<number>,
): PastTrace {
  const tokens = features.length / width;
  const wide = width + channels * map.rank;
  const out = new Int16Array(tokens * wide);
  const forecasts = new Float32Array(tokens * channels * map.horizon);
  const components = new Float64Array(map.rank);
  let largest = 0;
  for (let token = 0; token < tokens; token++) {
    out.set(features.subarray(token * width, (token + 1) * width), token * wide);
  }
  for (let channel = 0; channel < channels; channel++) {
    const values = Array.from({ length: tokens }, (_, i) => features[i * width + channel * stride]!);
    const { held, places } = holdValues(values, ticks, map.rows);
    const window = new Float64Array(map.rows);
    for (let token = 0; token < tokens; token++) {
      const last = values[token]!;
      const oldest = places[token]! + 1 - map.rows;
      for (let i = 0; i < map.rows; i++) window[i] = held[oldest + i]! - last;
      map.components(window, 0, components);
      map.forecast(components, last, forecasts, (token * channels + channel) * map.horizon);
      const to = token * wide + width + channel * map.rank;
      for (let k = 0; k < map.rank; k++) {
        out[to + k] = clamp(Math.round(components[k]!), -FEATURE_MAX, FEATURE_MAX);
        largest = Math.max(largest, Math.abs(components[k]!));
      }
    }
  }
  return { features: out, forecasts, largest };
}

/** Values tick by tick, `rows` of the first before it; `places`: where each token's value is. */
function holdValues(values: readonly number[], ticks: ArrayLike<number>, rows: number) {
  const held: number[] = Array(rows).fill(values[0] ?? 0);
  const places = values.map((value, token) => {
    const passed = token === 0 ? 0 : Math.min(ticks[token]! - ticks[token - 1]! - 1, rows);
    for (let tick = 0; tick < passed; tick++) held.push(values[token - 1]!);
    return held.push(value) - 1;
  });
  return { held: Int32Array.from(held), places };
}

/** int8 weights, one scale a row, of the fit. `step`: what 1 of a component stands for. */
export function quantiseHistory(
  { rows, ranks: [rank], horizon, basis, bias, readout }: HistoryFit,
  step: number,
): HistoryWeights {
  return {
    basis: quantiseRows(basis, bias, rows, 1 / FEATURE_ONE, step, 2 * FEATURE_MAX),
    readout: quantiseRows(readout, new Float64Array(horizon), rank, step, 1 / LOGIT_ONE, FEATURE_MAX),
  };
}

/** The largest weight of a row at 127, or less, so that no input of `inputMax` overflows its accumulator. */
function quantiseRows(
  matrix: Float64Array,
  bias: Float64Array,
  inputs: number,
  inputStep: number,
  outputStep: number,
  inputMax: number,
): Linear {
  const weight = new Int8Array(matrix.length);
  const steps = Array.from(bias, (shift, index) => {
    const own = matrix.subarray(index * inputs, (index + 1) * inputs);
    const largest = own.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const sum = own.reduce((total, value) => total + Math.abs(value), 0);
    // Rounding adds at most half a step each.
    const room = ACCUMULATOR_MAX / inputMax - inputs / 2 - 1;
    const most = sum + Math.abs(shift) / (inputStep * inputMax);
    const step = Math.max(largest / WEIGHT_MAX, most / room, 1e-12);
    for (let j = 0; j < inputs; j++) weight[index * inputs + j] = round(own[j]! / step);
    return step;
  });
  return {
    weight,
    bias: Int32Array.from(bias, (shift, index) => round(shift / (steps[index]! * inputStep))),
    multiplier: Float32Array.from(steps, (step) => (step * inputStep) / outputStep),
  };
}
