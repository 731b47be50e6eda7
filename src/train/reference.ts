/** The network once more, in plain double precision and without regard to speed: what the trainer is checked against. */
import { headSize, type TransformerConfig } from '../engine/config.ts';
import type { HeadPattern } from '../engine/patterns.ts';
import {
  type FeedForwardSlices,
  type LinearSlices,
  type ParameterLayout,
  type Slice,
  THRESHOLD_UNIT,
} from './layout.ts';
import { type LossSettings, loss } from './losses.ts';

export interface ReferenceBatch {
  readonly sequences: number;
  readonly length: number;
  /** [sequences, length, features], real units. */
  readonly features: Float64Array;
  /** [sequences, length]: how much each token deserves to stay visible to heads that pin. */
  readonly marks: ArrayLike<number>;
  readonly targets: Float64Array;
  readonly weights: Float64Array;
  /** [layers][sequences], 1 or 0. */
  readonly keep: readonly (readonly number[])[];
}

type Vector = Float64Array;

/** sum over exits of exits[l] times the weighted sum of losses over all tokens. */
export function referenceLoss(
  config: TransformerConfig,
  layout: ParameterLayout,
  parameters: Float64Array,
  batch: ReferenceBatch,
  settings: LossSettings,
  exits: readonly number[],
): number {
  const { sequences, length } = batch;
  const routerLosses: number[] = [];
  const logits = referenceLogits(config, layout, parameters, batch, routerLosses);
  return logits.reduce(
    (sum, rows, layer) =>
      sum +
      exits[layer]! *
        loss(settings, rows, batch.targets, batch.weights, sequences * length, config.outputs, null, 1),
    (settings.routerWeight ?? 0) * routerLosses.reduce((sum, one) => sum + one, 0),
  );
}

/**
 * [layers + rounds] of [rows, outputs]: the logits of the exit after each layer and each round of refinement. Routed layers take the largest router logits of
 * each sequence; their auxiliary losses are appended to `routerLosses`.
 */
export function referenceLogits(
  config: TransformerConfig,
  layout: ParameterLayout,
  parameters: Float64Array,
  batch: ReferenceBatch,
  routerLosses: number[] = [],
): Float64Array[] {
  const { features, outputs, layers } = config;
  const { sequences, length } = batch;
  const linear = (slices: LinearSlices, x: Vector) => project(parameters, slices, x);
  const feedForward = ({ up, down }: FeedForwardSlices, x: Vector) =>
    plus(x, linear(down, linear(up, rmsNorm(x)).map(gelu)));
  const rounds = config.refinement?.rounds ?? 0;
  const logits = Array.from(
    { length: layers + rounds },
    () => new Float64Array(sequences * length * outputs),
  );
  for (let sequence = 0; sequence < sequences; sequence++) {
    const inputs = Array.from({ length }, (_, token) => {
      const row = sequence * length + token;
      return batch.features.subarray(row * features, (row + 1) * features);
    });
    const exit = (index: number, stream: readonly Vector[]) => {
      stream.forEach((row, token) => {
        const path = multiply(array(parameters, layout.linear), outputs, inputs[token]!);
        const at = (sequence * length + token) * outputs;
        logits[index]!.set(plus(linear(layout.head, rmsNorm(row)), path), at);
      });
    };
    let x = inputs.map((input) => linear(layout.embedding, input));
    for (let layer = 0; layer < layers; layer++) {
      const slices = layout.layers[layer]!;
      const before = x;
      const router = slices.router && x.map((row) => linear(slices.router!, rmsNorm(row))[0]!);
      const isToken = x.map((_, token) => batch.weights[sequence * length + token]! > 0);
      const isTop = router && topOf(router, isToken, config.routing!.capacity);
      if (batch.keep[layer]![sequence] === 1) {
        const qkv = x.map((row) => linear(slices.qkv, rmsNorm(row)));
        const ageBias = array(parameters, slices.ageBias);
        const marks = x.map((_, token) => batch.marks[sequence * length + token]!);
        const patterns = config.patterns?.[layer];
        const isVisible = (head: number, token: number, age: number) =>
          (isTop?.[token - age] ?? true) && shows(patterns?.[head], marks, token, age, config.window);
        const context = slices.spikeThreshold
          ? spikeAttention(qkv, array(parameters, slices.spikeThreshold), config, isTop)
          : attention(qkv, ageBias, array(parameters, slices.sink), config, isVisible);
        x = x.map((row, token) => plus(row, linear(slices.output, context[token]!)));
        x = x.map((row) => feedForward(slices, row));
      }
      if (router && isTop) {
        x = x.map((row, token) => mixed(before[token]!, row, isTop[token] ? sigmoid(router[token]!) : 0));
        routerLosses.push(routerLoss(router, isTop, isToken));
      }
      exit(layer, x);
    }
    for (let round = 0; round < rounds; round++) {
      x = x.map((row) => feedForward(layout.refinement!, row));
      exit(layers + round, x);
    }
  }
  return logits;
}

/** The capacity's share of the tokens with the largest logits. */
function topOf(router: number[], isToken: boolean[], capacity: number): boolean[] {
  const ranked = router.filter((_, token) => isToken[token]).sort((a, b) => b - a);
  const count = Math.round(capacity * ranked.length);
  return router.map((logit, token) => isToken[token]! && count > 0 && logit >= ranked[count - 1]!);
}

function routerLoss(router: number[], isTop: boolean[], isToken: boolean[]): number {
  const losses = router.map((logit, token) =>
    isToken[token] ? -Math.log(isTop[token] ? sigmoid(logit) : 1 - sigmoid(logit)) : 0,
  );
  return losses.reduce((sum, one) => sum + one, 0);
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

function mixed(before: Vector, through: Vector, share: number): Vector {
  return before.map((value, i) => value + share * (through[i]! - value));
}

/** Whether a token sees the one of that age. */
function shows(
  pattern: HeadPattern | undefined,
  marks: readonly number[],
  token: number,
  age: number,
  window: number,
): boolean {
  if (pattern === undefined || age < pattern.local || pattern.ages?.includes(age)) return true;
  const others = marks
    .map((mark, place) => ({ mark, age: token - place }))
    .filter((one) => one.age >= pattern.local && one.age < window && !pattern.ages?.includes(one.age));
  const isBefore = (one: { mark: number; age: number }) =>
    one.mark > marks[token - age]! || (one.mark === marks[token - age]! && one.age < age);
  return marks[token - age]! > 0 && others.filter(isBefore).length < (pattern.pinned ?? 0);
}

/** `isVisible`: whether a head of a token sees the one of that age, within the window. */
function attention(
  qkv: Vector[],
  ageBias: Vector,
  sink: Vector,
  config: TransformerConfig,
  isVisible: (head: number, token: number, age: number) => boolean,
): Vector[] {
  const { hidden, heads, window } = config;
  const size = headSize(config);
  return qkv.map((row, token) => {
    const context = new Float64Array(hidden);
    for (let head = 0; head < heads; head++) {
      const part = (vector: Vector, which: number) =>
        vector.subarray(which * hidden + head * size, which * hidden + (head + 1) * size);
      const seen = Math.min(window, token + 1);
      const scores = Array.from({ length: seen }, (_, age) => {
        if (!isVisible(head, token, age)) return Number.NEGATIVE_INFINITY;
        const key = part(qkv[token - age]!, 1);
        return dot(part(row, 0), key) / Math.sqrt(size) + ageBias[head * window + age]!;
      });
      const top = Math.max(sink[head]!, ...scores);
      const exponentials = scores.map((score) => Math.exp(score - top));
      const total = exponentials.reduce((sum, e) => sum + e, Math.exp(sink[head]! - top));
      exponentials.forEach((e, age) => {
        part(qkv[token - age]!, 2).forEach((value, j) => {
          context[head * size + j]! += (e / total) * value;
        });
      });
    }
    return context;
  });
}

/** Spike attention with ramps for steps: what its backward pass takes it for. */
function spikeAttention(
  qkv: Vector[],
  thresholds: Vector,
  { hidden, window }: TransformerConfig,
  isPresent?: readonly boolean[],
): Vector[] {
  const ramp = (x: number, half: number) => Math.min(1, Math.max(0, (x / half + 1) / 2));
  const spikes = qkv.map((row) => row.map((value) => ramp(value, 1)));
  return spikes.map((own, token) =>
    Float64Array.from({ length: hidden }, (_, d) => {
      let count = 0;
      for (let past = Math.max(0, token - window + 1); past <= token; past++) {
        if (isPresent?.[past] ?? true) count += spikes[past]![hidden + d]! * spikes[past]![2 * hidden + d]!;
      }
      const excess = count - THRESHOLD_UNIT * thresholds[d]! + 0.5;
      return own[d]! * ramp(excess, Math.max(1, window / 4));
    }),
  );
}

function rmsNorm(x: Vector): Vector {
  const inverse = 1 / Math.sqrt(dot(x, x) / x.length + 1e-6);
  return x.map((value) => value * inverse);
}

/** GELU in its tanh form (Hendrycks and Gimpel 2016). */
export function gelu(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

function project(parameters: Float64Array, { weight, bias }: LinearSlices, x: Vector): Vector {
  return plus(multiply(array(parameters, weight), weight.rows, x), array(parameters, bias));
}

function multiply(weight: Vector, rows: number, x: Vector): Vector {
  return Float64Array.from({ length: rows }, (_, row) =>
    dot(weight.subarray(row * x.length, (row + 1) * x.length), x),
  );
}

function array(parameters: Float64Array, { offset, rows, columns }: Slice): Vector {
  return parameters.subarray(offset, offset + rows * columns);
}

function plus(a: Vector, b: Vector): Vector {
  return a.map((value, index) => value + b[index]!);
}

function dot(a: Vector, b: Vector): number {
  return a.reduce((sum, value, index) => sum + value * b[index]!, 0);
}
