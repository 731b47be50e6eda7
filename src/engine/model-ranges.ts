/** That no model can make the engine's integers overflow, whatever it is shown. */
import type { TransformerConfig } from './config.ts';
import {
  ACCUMULATOR_MAX,
  ACTIVATION_MAX,
  EXPONENT_ONE,
  FEATURE_MAX,
  PROBABILITY_ONE,
  REQUANTISED_MAX,
  TABLE_SIZE,
  WEIGHT_MAX,
  WINDOW_MAX,
} from './limits.ts';
import type {
  FeedForwardWeights,
  Gain,
  HistoryWeights,
  LayerWeights,
  Linear,
  ModelWeights,
} from './model.ts';
import { ModelError } from './safetensors.ts';

/** Biases by age and sinks stay this small, so that scores fit an int32 whatever the query. */
export const SCORE_BIAS_MAX = 2 ** 24;
/** A normed activation stays an int32 before it is clamped. */
const GAIN_MAX = 1024;

/** Throws ModelError that names the tensor. */
export function checkRanges(weights: ModelWeights, config: TransformerConfig): void {
  checkLinear('embedding', weights.embedding, -FEATURE_MAX, FEATURE_MAX);
  for (const [index, layer] of weights.layers.entries()) checkLayer(`layers.${index}`, layer, config);
  if (weights.refinement !== undefined) checkFeedForward('refinement', weights.refinement, config);
  checkGain('norm', weights.headGain, config);
  checkLinear('head', weights.head, 0, ACTIVATION_MAX);
  if (weights.linear !== undefined) checkPath(weights.linear);
  if (weights.history !== undefined) checkHistory(weights.history);
  checkExponentTable(weights.exponentTable);
}

function checkPath(linear: Linear): void {
  checkLinear('linear', linear, -FEATURE_MAX, FEATURE_MAX);
  if (linear.bias.some((bias) => bias !== 0)) {
    throw new ModelError('range', 'linear.bias: expected zeros (the bias of the outputs is head.bias)');
  }
}

/** What a value is above the present one can be twice as large as a value. A forecast leaves room for the head's logit. */
function checkHistory({ basis, readout }: HistoryWeights): void {
  checkLinear('history.basis', basis, -2 * FEATURE_MAX, 2 * FEATURE_MAX);
  checkLinear('history.readout', readout, -FEATURE_MAX, FEATURE_MAX, REQUANTISED_MAX / 2);
}

function checkLayer(name: string, layer: LayerWeights, config: TransformerConfig): void {
  if (layer.router !== undefined) checkLinear(`${name}.router`, layer.router, 0, ACTIVATION_MAX);
  checkGain(`${name}.attention_norm`, layer.attentionGain, config);
  for (const part of ['query', 'key', 'value', 'output'] as const) {
    checkLinear(`${name}.attention.${part}`, layer[part], 0, ACTIVATION_MAX);
  }
  if (config.attention === 'spike') checkSpikes(name, layer);
  else checkSoftmax(name, layer, config);
  checkFeedForward(name, layer, config);
}

function checkFeedForward(
  name: string,
  { feedForwardGain, up, gelu, down }: FeedForwardWeights,
  config: TransformerConfig,
): void {
  checkGain(`${name}.feed_forward_norm`, feedForwardGain, config);
  checkLinear(`${name}.feed_forward.up`, up, 0, ACTIVATION_MAX);
  checkLinear(`${name}.feed_forward.down`, down, 0, ACTIVATION_MAX);
  const tooLarge = gelu.findIndex((activation) => activation > ACTIVATION_MAX);
  if (tooLarge >= 0) {
    throw new ModelError(
      'range',
      `${name}.feed_forward.gelu[${tooLarge}]: expected 0 to ${ACTIVATION_MAX}, got ${gelu[tooLarge]}`,
    );
  }
}

function checkSpikes(name: string, { spikeThreshold = new Int32Array(0) }: LayerWeights): void {
  const wrong = spikeThreshold.findIndex((threshold) => threshold < 1 || threshold > WINDOW_MAX + 1);
  if (wrong >= 0) {
    throw new ModelError(
      'range',
      `${name}.attention.spike_threshold[${wrong}]: expected 1 to ${WINDOW_MAX + 1}, got ${spikeThreshold[wrong]}`,
    );
  }
}

function checkSoftmax(name: string, layer: LayerWeights, config: TransformerConfig): void {
  for (const value of [...layer.ageBias, ...layer.sink]) {
    if (Math.abs(value) > SCORE_BIAS_MAX) {
      throw new ModelError(
        'range',
        `${name}.attention: expected age_bias and sink within +-${SCORE_BIAS_MAX}, got ${value}`,
      );
    }
  }
  const contextMax = (PROBABILITY_ONE + config.window) * WEIGHT_MAX;
  for (let head = 0; head < config.heads; head++) {
    checkScale(`${name}.attention.exponent_scale[${head}]`, layer.exponentScale[head]!, 2 ** 16);
    checkScale(
      `${name}.attention.context_scale[${head}]`,
      layer.contextScale[head]!,
      REQUANTISED_MAX / contextMax,
    );
  }
}

/** The model has one gain per norm, or one per channel, as the configuration says. */
function checkGain(name: string, gain: Gain, { hidden, normGains }: TransformerConfig): void {
  const gains = typeof gain === 'number' ? [gain] : [...gain];
  const expected = normGains === 'channel' ? hidden : 1;
  if (gains.length !== expected || (typeof gain === 'number') !== (normGains !== 'channel')) {
    throw new ModelError('shape', `${name}.gain: expected [${expected}], got [${gains.length}]`);
  }
  const wrong = gains.findIndex((one) => !(one >= 0 && one <= GAIN_MAX));
  if (wrong >= 0)
    checkScale(gains.length > 1 ? `${name}.gain[${wrong}]` : `${name}.gain`, gains[wrong]!, GAIN_MAX);
}

function checkScale(name: string, scale: number, max: number): void {
  if (!(scale >= 0 && scale <= max))
    throw new ModelError('range', `${name}: expected 0 to ${max}, got ${scale}`);
}

/** No accumulator reaches ACCUMULATOR_MAX and no requantised value REQUANTISED_MAX, for every input from `low` to `high`. */
function checkLinear(
  name: string,
  linear: Linear,
  low: number,
  high: number,
  requantisedMax = REQUANTISED_MAX,
): void {
  const { weight, bias, multiplier } = linear;
  const inputs = weight.length / bias.length;
  const forbidden = weight.indexOf(-WEIGHT_MAX - 1);
  if (forbidden >= 0) {
    const row = Math.floor(forbidden / inputs);
    throw new ModelError('range', `${name}.weight[${row}]: expected +-${WEIGHT_MAX}, got -128`);
  }
  // Nearly always settled without a look at single weights, which takes milliseconds in a cold process.
  const bound = largestSize(bias) + inputs * WEIGHT_MAX * Math.max(-low, high);
  if (bound < ACCUMULATOR_MAX && areWithin(multiplier, requantisedMax / Math.max(1, bound))) return;
  for (let row = 0; row < bias.length; row++) checkRow(name, linear, row, low, high, requantisedMax);
}

// Plain loops over whole numbers: in a cold process an iterator or a float makes an object each time.
function largestSize(values: Int32Array): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value > largest) largest = value;
    else if (-value > largest) largest = -value;
  }
  return largest;
}

/** Whether all are from 0 to `max`. Compared as bits, since floats that are not negative are in the order of theirs. */
function areWithin(scales: Float32Array, max: number): boolean {
  const bits = new Int32Array(scales.buffer, scales.byteOffset, scales.length);
  const maxBits = new Int32Array(Float32Array.of(max).buffer)[0]!;
  for (let i = 0; i < bits.length; i++) if (bits[i]! < 0 || bits[i]! > maxBits) return false;
  return true;
}

/** With the exact bound that this row's weights give. */
function checkRow(
  name: string,
  linear: Linear,
  row: number,
  low: number,
  high: number,
  requantisedMax: number,
): void {
  const bound = accumulatorBound(linear, row, low, high);
  if (bound >= ACCUMULATOR_MAX) {
    throw new ModelError(
      'range',
      `${name}: row ${row} can reach ${bound}, expected less than ${ACCUMULATOR_MAX}`,
    );
  }
  checkScale(`${name}.multiplier[${row}]`, linear.multiplier[row]!, requantisedMax / Math.max(1, bound));
}

/** The largest size that one row's accumulator can have. */
function accumulatorBound({ weight, bias }: Linear, row: number, low: number, high: number): number {
  const inputs = weight.length / bias.length;
  let positive = 0;
  let negative = 0;
  for (const value of weight.subarray(row * inputs, (row + 1) * inputs)) {
    if (value > 0) positive += value;
    else negative += value;
  }
  const most = bias[row]! + positive * high + negative * low;
  const least = bias[row]! + positive * low + negative * high;
  return Math.max(-least, most);
}

function checkExponentTable(table: Int32Array): void {
  const falls = table.every((value, index) => index === 0 || value <= table[index - 1]!);
  if (table[0] !== EXPONENT_ONE || !falls || table[TABLE_SIZE - 1]! <= EXPONENT_ONE / 2) {
    throw new ModelError(
      'range',
      `exponent_table: expected to fall from ${EXPONENT_ONE} to above ${EXPONENT_ONE / 2}`,
    );
  }
}
