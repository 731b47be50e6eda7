/** A model's weights as the tensors of its file: their names, types and shapes. */
import { embeddingInputs, type HistoryConfig, isRouted, type TransformerConfig } from './config.ts';
import { historyHorizon } from './cost.ts';
import { TABLE_SIZE } from './limits.ts';
import type {
  FeedForwardWeights,
  Gain,
  HistoryWeights,
  LayerWeights,
  Linear,
  ModelWeights,
} from './model.ts';
import { type Dtype, ModelError, type Tensor, type TensorData } from './safetensors.ts';

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

/** Takes every tensor. Throws ModelError where one is not as the configuration has it, or is none of it. */
export function readWeights(tensors: ReadonlyMap<string, Tensor>, config: TransformerConfig): ModelWeights {
  const reader = new TensorReader(tensors);
  const { features, hidden, outputs } = config;
  const weights = {
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
  reader.requireAllRead();
  return weights;
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
export function namedTensors(weights: ModelWeights, config: TransformerConfig): Map<string, Tensor> {
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
