/**
 * The model file: one safetensors file with weights, tables, configuration, meaning and provenance.
 *
 * Everything that the engine relies on is checked here, once: after `loadModel` nothing can overflow.
 */
import {
  ConfigError,
  embeddingInputs,
  type HistoryConfig,
  isRouted,
  type TransformerConfig,
  validateConfig,
} from './config.ts';
import { historyHorizon } from './cost.ts';
import { crc32 } from './crc32.ts';
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
import { validateMeaning } from './meaning.ts';
import type {
  FeedForwardWeights,
  Gain,
  HistoryWeights,
  LayerWeights,
  Linear,
  Model,
  ModelWeights,
} from './model.ts';
import {
  type Dtype,
  ModelError,
  readTensors,
  type Tensor,
  type TensorData,
  writeTensors,
} from './safetensors.ts';

const FORMAT = 'dormouse-model-1';
const NO_CHECKSUM = '00000000';
const CHECKSUM_KEY = '"crc32":"';
/** Biases by age and sinks stay this small, so that scores fit an int32 whatever the query. */
const SCORE_BIAS_MAX = 2 ** 24;
/** A normed activation stays an int32 before it is clamped. */
const GAIN_MAX = 1024;

/** Reads and checks a whole model file. Throws ModelError: a code, and a sentence that names the tensor. */
export function loadModel(bytes: Uint8Array): Model {
  const { tensors, metadata } = readTensors(bytes);
  if (metadata.get('format') !== FORMAT) {
    throw new ModelError(
      'foreign',
      `__metadata__.format: expected ${FORMAT}, got ${metadata.get('format') ?? 'none'}`,
    );
  }
  requireChecksum(bytes, metadata.get('crc32'));
  const config = readConfig(metadata);
  const meaning = validateMeaning(readJson(metadata, 'meaning'), config);
  const reader = new TensorReader(tensors);
  const weights = readWeights(reader, config);
  reader.requireAllRead();
  checkRanges(weights, config);
  return Object.freeze({ config, weights, meaning });
}

/** The bytes of a model file; the same model gives the same bytes. Throws ModelError if the model is not valid. */
export function saveModel(model: Model): Uint8Array {
  const config = validateConfig(model.config);
  const meaning = validateMeaning(model.meaning, config);
  checkRanges(model.weights, config);
  const metadata = new Map([
    ['format', FORMAT],
    ['crc32', NO_CHECKSUM],
    ['config', JSON.stringify(config)],
    ['meaning', JSON.stringify(meaning)],
  ]);
  const bytes = writeTensors({ tensors: namedTensors(model.weights, config), metadata });
  const at = findChecksum(bytes);
  bytes.set(new TextEncoder().encode(hex(crc32(bytes))), at);
  return bytes;
}

function hex(checksum: number): string {
  return checksum.toString(16).padStart(8, '0');
}

/** Where the first 8 characters of the checksum stand: the writer puts them at the header's beginning. */
function findChecksum(bytes: Uint8Array): number {
  const head = new TextDecoder('latin1').decode(bytes.subarray(0, 4096));
  const at = head.indexOf(CHECKSUM_KEY);
  if (at < 0)
    throw new ModelError('checksum', 'header: expected __metadata__.crc32 within the first 4096 bytes');
  return at + CHECKSUM_KEY.length;
}

/** The checksum covers every byte of the file, its own 8 characters counted as zeros. */
function requireChecksum(bytes: Uint8Array, claimed: string | undefined): void {
  const at = findChecksum(bytes);
  const zeros = new TextEncoder().encode(NO_CHECKSUM);
  const before = crc32(zeros, crc32(bytes.subarray(0, at)));
  const actual = hex(crc32(bytes.subarray(at + zeros.length), before));
  if (actual !== claimed)
    throw new ModelError('checksum', `file: expected crc32 ${claimed}, got ${actual}: it is damaged`);
}

function readJson(metadata: ReadonlyMap<string, string>, key: string): unknown {
  try {
    return JSON.parse(metadata.get(key) ?? '');
  } catch {
    throw new ModelError(
      'header',
      `__metadata__.${key}: expected JSON, got ${metadata.get(key) ?? 'nothing'}`,
    );
  }
}

function readConfig(metadata: ReadonlyMap<string, string>): TransformerConfig {
  try {
    return validateConfig(readJson(metadata, 'config'));
  } catch (error) {
    if (error instanceof ConfigError) throw new ModelError('config', error.message);
    throw error;
  }
}

class TensorReader {
  readonly #tensors: Map<string, Tensor>;
  constructor(tensors: ReadonlyMap<string, Tensor>) {
    this.#tensors = new Map(tensors);
  }

  take<T extends TensorData>(name: string, dtype: Dtype, shape: readonly number[]): T {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined)
      throw new ModelError('missing', `${name}: expected ${dtype} [${shape}], got no such tensor`);
    if (tensor.dtype !== dtype)
      throw new ModelError('dtype', `${name}: expected ${dtype}, got ${tensor.dtype}`);
    if (tensor.shape.join() !== shape.join()) {
      throw new ModelError('shape', `${name}: expected [${shape}], got [${tensor.shape}]`);
    }
    this.#tensors.delete(name);
    return tensor.data as T;
  }

  linear(name: string, outputs: number, inputs: number): Linear {
    return {
      weight: this.take<Int8Array>(`${name}.weight`, 'I8', [outputs, inputs]),
      bias: this.take<Int32Array>(`${name}.bias`, 'I32', [outputs]),
      multiplier: this.take<Float32Array>(`${name}.multiplier`, 'F32', [outputs]),
    };
  }

  gain(name: string, { hidden, normGains }: TransformerConfig): Gain {
    if (normGains === 'channel') return this.take<Float32Array>(`${name}.gain`, 'F32', [hidden]);
    return this.take<Float32Array>(`${name}.gain`, 'F32', [1])[0]!;
  }

  requireAllRead(): void {
    for (const name of this.#tensors.keys())
      throw new ModelError('unexpected', `${name}: no such tensor in this architecture`);
  }
}

function readWeights(reader: TensorReader, config: TransformerConfig): ModelWeights {
  const { features, hidden, outputs } = config;
  return {
    embedding: reader.linear('embedding', hidden, embeddingInputs(config)),
    layers: Array.from({ length: config.layers }, (_, layer) => readLayer(reader, layer, config)),
    ...(config.refinement === undefined ? {} : { refinement: readFeedForward(reader, 'refinement', config) }),
    headGain: reader.gain('norm', config),
    head: reader.linear('head', outputs, hidden),
    ...(config.history === undefined
      ? { linear: reader.linear('linear', outputs, features) }
      : { history: readHistory(reader, config.history, historyHorizon(config)) }),
    exponentTable: reader.take<Int32Array>('exponent_table', 'I32', [TABLE_SIZE]),
  };
}

function readHistory(
  reader: TensorReader,
  { rows, ranks: [rank] }: HistoryConfig,
  horizon: number,
): HistoryWeights {
  return {
    basis: reader.linear('history.basis', rank, rows),
    readout: reader.linear('history.readout', horizon, rank),
  };
}

function readLayer(reader: TensorReader, index: number, config: TransformerConfig): LayerWeights {
  const { hidden } = config;
  const name = `layers.${index}`;
  return {
    ...(isRouted(config, index) ? { router: reader.linear(`${name}.router`, 1, hidden) } : {}),
    attentionGain: reader.gain(`${name}.attention_norm`, config),
    query: reader.linear(`${name}.attention.query`, hidden, hidden),
    key: reader.linear(`${name}.attention.key`, hidden, hidden),
    value: reader.linear(`${name}.attention.value`, hidden, hidden),
    output: reader.linear(`${name}.attention.output`, hidden, hidden),
    ...(config.attention === 'spike' ? readSpikes(reader, name, config) : readSoftmax(reader, name, config)),
    ...readFeedForward(reader, name, config),
  };
}

function readFeedForward(reader: TensorReader, name: string, config: TransformerConfig): FeedForwardWeights {
  const { hidden, feedForward } = config;
  return {
    feedForwardGain: reader.gain(`${name}.feed_forward_norm`, config),
    up: reader.linear(`${name}.feed_forward.up`, feedForward, hidden),
    gelu: reader.take<Uint8Array>(`${name}.feed_forward.gelu`, 'U8', [TABLE_SIZE]),
    down: reader.linear(`${name}.feed_forward.down`, hidden, feedForward),
  };
}

type AttentionTensors = Pick<
  LayerWeights,
  'spikeThreshold' | 'ageBias' | 'sink' | 'exponentScale' | 'contextScale'
>;

function readSoftmax(
  reader: TensorReader,
  name: string,
  { heads, window }: TransformerConfig,
): AttentionTensors {
  return {
    ageBias: reader.take<Int32Array>(`${name}.attention.age_bias`, 'I32', [heads, window]),
    sink: reader.take<Int32Array>(`${name}.attention.sink`, 'I32', [heads]),
    exponentScale: reader.take<Float32Array>(`${name}.attention.exponent_scale`, 'F32', [heads]),
    contextScale: reader.take<Float32Array>(`${name}.attention.context_scale`, 'F32', [heads]),
  };
}

function readSpikes(reader: TensorReader, name: string, { hidden }: TransformerConfig): AttentionTensors {
  return {
    spikeThreshold: reader.take<Int32Array>(`${name}.attention.spike_threshold`, 'I32', [hidden]),
    ageBias: new Int32Array(0),
    sink: new Int32Array(0),
    exponentScale: new Float32Array(0),
    contextScale: new Float32Array(0),
  };
}

/** The tensors of a model under their names in the file. */
function namedTensors(weights: ModelWeights, config: TransformerConfig): Map<string, Tensor> {
  const { features, hidden, outputs, heads, window, feedForward } = config;
  const tensors = new Map<string, Tensor>();
  const put = (name: string, dtype: Dtype, shape: readonly number[], data: TensorData) =>
    tensors.set(name, { dtype, shape, data });
  const putLinear = (name: string, linear: Linear, rows: number, columns: number) => {
    put(`${name}.weight`, 'I8', [rows, columns], linear.weight);
    put(`${name}.bias`, 'I32', [rows], linear.bias);
    put(`${name}.multiplier`, 'F32', [rows], linear.multiplier);
  };
  const putGain = (name: string, gain: Gain) => {
    if (typeof gain === 'number') put(`${name}.gain`, 'F32', [1], Float32Array.of(gain));
    else put(`${name}.gain`, 'F32', [hidden], gain);
  };
  const putFeedForward = (name: string, block: FeedForwardWeights) => {
    putGain(`${name}.feed_forward_norm`, block.feedForwardGain);
    putLinear(`${name}.feed_forward.up`, block.up, feedForward, hidden);
    put(`${name}.feed_forward.gelu`, 'U8', [TABLE_SIZE], block.gelu);
    putLinear(`${name}.feed_forward.down`, block.down, hidden, feedForward);
  };
  putLinear('embedding', weights.embedding, hidden, embeddingInputs(config));
  weights.layers.forEach((layer, index) => {
    const name = `layers.${index}`;
    if (layer.router !== undefined) putLinear(`${name}.router`, layer.router, 1, hidden);
    putGain(`${name}.attention_norm`, layer.attentionGain);
    for (const part of ['query', 'key', 'value', 'output'] as const) {
      putLinear(`${name}.attention.${part}`, layer[part], hidden, hidden);
    }
    if (config.attention === 'spike') {
      const thresholds = layer.spikeThreshold ?? new Int32Array(0);
      put(`${name}.attention.spike_threshold`, 'I32', [hidden], thresholds);
    } else {
      put(`${name}.attention.age_bias`, 'I32', [heads, window], layer.ageBias);
      put(`${name}.attention.sink`, 'I32', [heads], layer.sink);
      put(`${name}.attention.exponent_scale`, 'F32', [heads], layer.exponentScale);
      put(`${name}.attention.context_scale`, 'F32', [heads], layer.contextScale);
    }
    putFeedForward(name, layer);
  });
  if (weights.refinement !== undefined) putFeedForward('refinement', weights.refinement);
  putGain('norm', weights.headGain);
  putLinear('head', weights.head, outputs, hidden);
  if (weights.linear !== undefined) putLinear('linear', weights.linear, outputs, features);
  if (config.history !== undefined && weights.history !== undefined) {
    const { rows, ranks } = config.history;
    putLinear('history.basis', weights.history.basis, ranks[0], rows);
    putLinear('history.readout', weights.history.readout, historyHorizon(config), ranks[0]);
  }
  put('exponent_table', 'I32', [TABLE_SIZE], weights.exponentTable);
  return tensors;
}

/** The names, types and shapes that a model file of this configuration holds; for `inspect` and for converters. */
export function tensorList(model: Model): { name: string; dtype: Dtype; shape: readonly number[] }[] {
  return [...namedTensors(model.weights, model.config)].map(([name, { dtype, shape }]) => ({
    name,
    dtype,
    shape,
  }));
}

function checkRanges(weights: ModelWeights, config: TransformerConfig): void {
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
