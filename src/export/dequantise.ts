/**
 * The transformer that an integer model stands for, in real numbers.
 *
 * The file holds multipliers, which chain the scales of neighbours, and no scales themselves. Three facts make real
 * numbers of them all the same: RMSNorm does not care how its input is scaled, so the residual stream may stay in its
 * own steps; a normed activation has `gain` steps per root mean square; and GELU's table tells its own scales.
 */
import { headSize, type TransformerConfig } from '../engine/config.ts';
import {
  ACTIVATION_ZERO,
  assert,
  FEATURE_ONE,
  LOGIT_ONE,
  PROBABILITY_ONE,
  TABLE_SIZE,
} from '../engine/limits.ts';
import type { Gain, LayerWeights, Linear, Model, ModelWeights } from '../engine/model.ts';
import { fitGelu, type GeluScales } from './gelu-fit.ts';

/** y[o] = scale[o] sum_j weight[o, j] x[j] + bias[o]. */
export interface RealLinear {
  readonly outputs: number;
  readonly inputs: number;
  /** [outputs, inputs]. */
  readonly weight: Int8Array;
  readonly scale: Float64Array;
  readonly bias: Float64Array;
}

export interface RealLayer {
  readonly attentionGain: Gain;
  /** [3 hidden, hidden]: queries scaled such that q.k is the exponent of a natural softmax, then keys, values. */
  readonly queryKeyValue: RealLinear;
  /** [3 hidden] where queries, keys and values saturate. */
  readonly saturation: Float64Array;
  /** [heads, window] and [heads], exponents too. */
  readonly ageBias: Float64Array;
  readonly sink: Float64Array;
  readonly output: RealLinear;
  readonly feedForwardGain: Gain;
  readonly up: RealLinear;
  /** Null: the table is no GELU, and `up` gives the table's index, `down` takes its entries. */
  readonly gelu: GeluScales | null;
  readonly table: Uint8Array;
  readonly down: RealLinear;
}

/** Residual stream in steps of the model's own; features and logits in units of 1.0. */
export interface RealTransformer {
  readonly config: TransformerConfig;
  readonly embedding: RealLinear;
  readonly layers: readonly RealLayer[];
  readonly headGain: Gain;
  readonly head: RealLinear;
  readonly linear: RealLinear;
}

export function dequantise({ config, weights }: Model): RealTransformer {
  return {
    config,
    embedding: real(weights.embedding, { perUnit: FEATURE_ONE }),
    layers: weights.layers.map((layer) => realLayer(layer, config)),
    headGain: weights.headGain,
    head: real(weights.head, { zero: ACTIVATION_ZERO, step: () => 1 / LOGIT_ONE }),
    linear: real(requireLinear(weights), { perUnit: FEATURE_ONE, step: () => 1 / LOGIT_ONE }),
  };
}

function requireLinear({ linear }: ModelWeights): Linear {
  assert(linear !== undefined, 'a model without a history');
  return linear;
}

interface Sides {
  /** Integer input = perUnit x real input + zero; default 1 and 0. */
  readonly perUnit?: number;
  readonly zero?: number;
  /** Real output = step(row) x integer output + center; default 1 and 0. */
  readonly step?: (row: number) => number;
  readonly center?: number;
}

function real({ weight, bias, multiplier }: Linear, sides: Sides): RealLinear {
  const { perUnit = 1, zero = 0, step = () => 1, center = 0 } = sides;
  const outputs = multiplier.length;
  const inputs = weight.length / outputs;
  const scale = new Float64Array(outputs);
  const realBias = new Float64Array(outputs);
  for (let row = 0; row < outputs; row++) {
    const sum = weight.subarray(row * inputs, (row + 1) * inputs).reduce((total, one) => total + one, 0);
    const unit = multiplier[row]! * step(row);
    scale[row] = unit * perUnit;
    realBias[row] = unit * (bias[row]! + zero * sum) + center;
  }
  return { outputs, inputs, weight, scale, bias: realBias };
}

function realLayer(layer: LayerWeights, config: TransformerConfig): RealLayer {
  const size = headSize(config);
  const zero = ACTIVATION_ZERO;
  const exponent = Float64Array.from(layer.exponentScale, (scale) => (scale * Math.LN2) / TABLE_SIZE);
  const value = Float64Array.from(layer.contextScale, (scale) => scale * PROBABILITY_ONE);
  const byHead = (steps: Float64Array) => (row: number) => steps[Math.floor(row / size)]!;
  const projections = [
    real(layer.query, { zero, step: byHead(exponent) }),
    real(layer.key, { zero }),
    real(layer.value, { zero, step: byHead(value) }),
  ];
  const gelu = fitGelu(layer.gelu);
  return {
    attentionGain: layer.attentionGain,
    queryKeyValue: stack(projections),
    saturation: saturation(config.hidden, byHead(exponent), byHead(value)),
    ageBias: Float64Array.from(layer.ageBias, (bias, i) => bias * exponent[Math.floor(i / config.window)]!),
    sink: Float64Array.from(layer.sink, (bias, head) => bias * exponent[head]!),
    output: real(layer.output, { zero }),
    feedForwardGain: layer.feedForwardGain,
    up: real(layer.up, gelu === null ? { zero } : { zero, step: () => gelu.step, center: gelu.center }),
    gelu,
    table: layer.gelu,
    down: real(layer.down, gelu === null ? {} : { perUnit: 1 / gelu.outputStep, zero: gelu.zero }),
  };
}

function saturation(
  hidden: number,
  query: (row: number) => number,
  value: (row: number) => number,
): Float64Array {
  return Float64Array.from({ length: 3 * hidden }, (_, row) => {
    const step = row < hidden ? query(row) : row < 2 * hidden ? 1 : value(row - 2 * hidden);
    return 127 * step;
  });
}

/** One linear layer whose outputs are those of all of these. */
function stack(parts: readonly RealLinear[]): RealLinear {
  const inputs = parts[0]!.inputs;
  const weight = new Int8Array(parts.reduce((sum, part) => sum + part.weight.length, 0));
  let at = 0;
  for (const part of parts) {
    weight.set(part.weight, at);
    at += part.weight.length;
  }
  return {
    outputs: weight.length / inputs,
    inputs,
    weight,
    scale: Float64Array.from(parts.flatMap(({ scale }) => [...scale])),
    bias: Float64Array.from(parts.flatMap(({ bias }) => [...bias])),
  };
}
