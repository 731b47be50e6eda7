/** From float32 parameters and static scales to the integer weights of docs/integer-rules.md. */
import { headSize, type TransformerConfig } from '../engine/config.ts';
import { clamp, makeExponentTable, round } from '../engine/integer.ts';
import {
  ACTIVATION_MAX,
  ACTIVATION_ZERO,
  FEATURE_ONE,
  LOGIT_ONE,
  PROBABILITY_ONE,
  TABLE_SIZE,
  WEIGHT_MAX,
} from '../engine/limits.ts';
import type { FeedForwardWeights, Gain, LayerWeights, Linear, ModelWeights } from '../engine/model.ts';
import {
  type FeedForwardSlices,
  type LinearSlices,
  type ParameterLayout,
  rowsOf,
  type Slice,
} from './layout.ts';
import { gelu } from './reference.ts';
import { spikeThresholds } from './spike-attention.ts';

/** What one step of each activation of a feed-forward block stands for, fixed by calibration. */
export interface FeedForwardScales {
  /** GELU's table: index u stands for center + u step. */
  readonly upCenter: number;
  readonly upStep: number;
  /** GELU's output: activation g stands for (g - zero) step. */
  readonly activatedStep: number;
  readonly activatedZero: number;
}

/** The same of a whole layer. */
export interface LayerScales extends FeedForwardScales {
  /** [heads] each. */
  readonly query: readonly number[];
  readonly key: readonly number[];
  readonly value: readonly number[];
  readonly context: number;
}

export interface Scales {
  /** The residual stream's x stands for x / 2^residualBits. */
  readonly residualBits: number;
  readonly layers: readonly LayerScales[];
  readonly refinement?: FeedForwardScales;
  /** Absent: GAIN everywhere. */
  readonly gains?: Gains;
}

/** Steps of a normed activation per root mean square, norm by norm; either all are numbers or all are [hidden]. */
export interface Gains {
  readonly layers: readonly { readonly attention: Gain; readonly feedForward: Gain }[];
  readonly refinement?: Gain;
  readonly head: Gain;
}

/** The same for all norms, where nothing else is said. */
export const GAIN = 16;

/** Any bias stays below this in the accumulator: a quarter of what an accumulator may reach. */
const BIAS_MAX = 2 ** 25;
/** What the model file allows for sinks and age biases. */
const SCORE_BIAS_MAX = 2 ** 24;

export interface Quantised {
  readonly weights: ModelWeights;
  /** [layout.count]: what the integer weights stand for, in the parameter layout; biases are left out. */
  readonly dequantised: Float32Array;
}

/** The input side of a linear layer: what one step of its input stands for, and which step is zero. */
interface Input {
  readonly step: number;
  readonly zero: number;
  /** A column's step is so many times `step`. Absent: once. */
  readonly times?: Float32Array;
}

function normedInput(gain: Gain): Input {
  if (typeof gain === 'number') return { step: 1 / gain, zero: ACTIVATION_ZERO };
  return { step: 1 / GAIN, zero: ACTIVATION_ZERO, times: gain.map((own) => GAIN / own) };
}

const featureInput: Input = { step: 1 / FEATURE_ONE, zero: 0 };

/** Quantises everything. `parameters`: [layout.count] in the layout's order. */
export function quantise(
  config: TransformerConfig,
  layout: ParameterLayout,
  parameters: Float32Array,
  scales: Scales,
): Quantised {
  const dequantised = new Float32Array(layout.count);
  const matrix = new MatrixQuantiser(parameters, dequantised);
  const residualStep = 2 ** -scales.residualBits;
  const { head = GAIN, refinement = GAIN } = scales.gains ?? {};
  const linear = (slices: LinearSlices, input: Input, outputStep: number) =>
    matrix.quantise(slices.weight, slices.bias, input, () => outputStep);
  const weights: ModelWeights = {
    embedding: linear(layout.embedding, featureInput, residualStep),
    layers: layout.layers.map((_, index) => quantiseLayer(config, layout, parameters, scales, index, matrix)),
    ...(layout.refinement && {
      refinement: quantiseFeedForward(
        layout.refinement,
        scales.refinement!,
        refinement,
        residualStep,
        matrix,
      ),
    }),
    headGain: head,
    head: linear(layout.head, normedInput(head), 1 / LOGIT_ONE),
    linear: matrix.quantise(layout.linear, null, featureInput, () => 1 / LOGIT_ONE),
    exponentTable: makeExponentTable(),
  };
  return { weights, dequantised };
}

function quantiseLayer(
  config: TransformerConfig,
  layout: ParameterLayout,
  parameters: Float32Array,
  { residualBits, layers, gains }: Scales,
  index: number,
  matrix: MatrixQuantiser,
): LayerWeights {
  const { hidden, window } = config;
  const size = headSize(config);
  const slices = layout.layers[index]!;
  const scales = layers[index]!;
  const residualStep = 2 ** -residualBits;
  const { attention = GAIN, feedForward = GAIN } = gains?.layers[index] ?? {};
  const attentionInput = normedInput(attention);
  const contextInput = { step: scales.context, zero: ACTIVATION_ZERO };
  const third = (which: number, steps: readonly number[]) =>
    matrix.quantise(
      rowsOf(slices.qkv.weight, which * hidden, hidden),
      rowsOf(slices.qkv.bias, which * hidden, hidden),
      attentionInput,
      (row) => steps[Math.floor(row / size)]!,
    );
  // One step of q . k is this much of a score.
  const scoreStep = scales.query.map((step, head) => (step * scales.key[head]!) / Math.sqrt(size));
  const isSpiking = slices.spikeThreshold !== undefined;
  const softmaxSteps = isSpiking ? [] : scoreStep;
  const scores = ({ offset }: Slice, perHead: number) =>
    Int32Array.from({ length: softmaxSteps.length * perHead }, (_, i) => {
      const value = parameters[offset + i]! / scoreStep[Math.floor(i / perHead)]!;
      return clamp(round(value), -SCORE_BIAS_MAX, SCORE_BIAS_MAX);
    });
  const { router } = slices;
  return {
    ...(router && {
      router: matrix.quantise(router.weight, router.bias, attentionInput, () => 1 / LOGIT_ONE),
    }),
    attentionGain: attention,
    query: third(0, scales.query),
    key: third(1, scales.key),
    value: third(2, scales.value),
    output: matrix.quantise(slices.output.weight, slices.output.bias, contextInput, () => residualStep),
    ageBias: scores(slices.ageBias, window),
    sink: scores(slices.sink, 1),
    ...(slices.spikeThreshold && {
      spikeThreshold: spikeThresholds(parameters, slices.spikeThreshold, window),
    }),
    exponentScale: Float32Array.from(softmaxSteps, (step) => step * Math.LOG2E * TABLE_SIZE),
    contextScale: Float32Array.from(
      isSpiking ? [] : scales.value,
      (step) => step / (PROBABILITY_ONE * scales.context),
    ),
    ...quantiseFeedForward(slices, scales, feedForward, residualStep, matrix),
  };
}

function quantiseFeedForward(
  { up, down }: FeedForwardSlices,
  scales: FeedForwardScales,
  gain: Gain,
  residualStep: number,
  matrix: MatrixQuantiser,
): FeedForwardWeights {
  const activatedInput = { step: scales.activatedStep, zero: scales.activatedZero };
  return {
    feedForwardGain: gain,
    up: matrix.quantise(up.weight, up.bias, normedInput(gain), () => scales.upStep, scales.upCenter),
    gelu: geluTable(scales),
    down: matrix.quantise(down.weight, down.bias, activatedInput, () => residualStep),
  };
}

/** [256]: index u + 128 to the activation of GELU(center + u step). */
function geluTable({ upCenter, upStep, activatedStep, activatedZero }: FeedForwardScales): Uint8Array {
  return Uint8Array.from({ length: TABLE_SIZE }, (_, index) => {
    const value = gelu(upCenter + (index - TABLE_SIZE / 2) * upStep);
    return clamp(activatedZero + round(value / activatedStep), 0, ACTIVATION_MAX);
  });
}

class MatrixQuantiser {
  readonly #parameters: Float32Array;
  readonly #dequantised: Float32Array;

  constructor(parameters: Float32Array, dequantised: Float32Array) {
    this.#parameters = parameters;
    this.#dequantised = dequantised;
  }

  /** One scale per row, the largest weight at 127. `center`: the real value that output 0 stands for. */
  quantise(
    slice: Slice,
    bias: Slice | null,
    input: Input,
    outputStep: (row: number) => number,
    center = 0,
  ): Linear {
    const { rows, columns } = slice;
    const weight = new Int8Array(rows * columns);
    const integerBias = new Int32Array(rows);
    const multiplier = new Float32Array(rows);
    for (let row = 0; row < rows; row++) {
      const shift = bias === null ? 0 : this.#parameters[bias.offset + row]! - center;
      const step = this.#rowStep(slice, row, shift, input);
      const sum = this.#quantiseRow(slice, row, step, input, weight);
      integerBias[row] = round(shift / (step * input.step)) - input.zero * sum;
      multiplier[row] = (step * input.step) / outputStep(row);
    }
    return { weight, bias: integerBias, multiplier };
  }

  /** Large enough for the row's weights, and for its bias to fit; a row of zeros still gets a step. */
  #rowStep({ offset, columns }: Slice, row: number, shift: number, input: Input): number {
    let largest = 0;
    for (let column = 0; column < columns; column++) {
      const size = Math.abs(this.#parameters[offset + row * columns + column]!);
      largest = Math.max(largest, size * (input.times?.[column] ?? 1));
    }
    return Math.max(largest / WEIGHT_MAX, Math.abs(shift) / (input.step * BIAS_MAX), 1e-12);
  }

  /** Returns the sum of the row's integers. */
  #quantiseRow(
    { offset, columns }: Slice,
    row: number,
    step: number,
    { times }: Input,
    weight: Int8Array,
  ): number {
    let sum = 0;
    for (let column = 0; column < columns; column++) {
      const at = row * columns + column;
      const own = step / (times?.[column] ?? 1);
      const value = clamp(round(this.#parameters[offset + at]! / own), -WEIGHT_MAX, WEIGHT_MAX);
      weight[at] = value;
      this.#dequantised[offset + at] = value * own;
      sum += value;
    }
    return sum;
  }
}
