/** Seeded random models for benchmarks and tests: valid, but trained on nothing. */

import {
  embeddingInputs,
  type HistoryConfig,
  headSize,
  isRouted,
  type TransformerConfig,
  validateConfig,
} from '../engine/config.ts';
import { makeExponentTable } from '../engine/integer.ts';
import type {
  FeedForwardWeights,
  Gain,
  HistoryWeights,
  LayerWeights,
  Linear,
  Model,
  ModelMeaning,
} from '../engine/model.ts';
import { randomNumbers } from '../statistics/random.ts';

export interface RandomModelOptions {
  readonly seed?: number;
  readonly channels?: readonly string[];
  readonly config?: Partial<TransformerConfig>;
  readonly meaning?: Partial<ModelMeaning>;
  /** What each weight is, given a number from 0 to 1; default spread over -127..127. */
  readonly weightOf?: (random: number) => number;
}

/** A two-class model of two channels with 4 features per channel and 16 for elapsed time, 16 hidden, 2 layers. */
export function randomModel(options: RandomModelOptions = {}): Model {
  const channels = options.channels ?? ['temperature', 'humidity'];
  const config = validateConfig({
    features: channels.length * 4 + 16,
    outputs: 2,
    sequence: 8,
    hidden: 16,
    heads: 2,
    layers: 2,
    window: 4,
    feedForward: 32,
    tiers: [
      { layers: 2, sequence: 8, window: 4 },
      { layers: 1, sequence: 4, window: 2 },
      { layers: 1, sequence: 2, window: 2 },
    ],
    ...options.config,
  });
  const random = randomNumbers(options.seed ?? 1);
  const weightOf = options.weightOf ?? ((number) => Math.round((number * 2 - 1) * 127));
  const linear = (outputs: number, inputs: number, span: number, inputMax = 64): Linear => {
    const weight = Int8Array.from({ length: outputs * inputs }, () => weightOf(random()));
    const bias = Int32Array.from({ length: outputs }, () => Math.round((random() * 2 - 1) * 1000));
    // So that typical outputs spread over `span`.
    const typical = 40 * inputMax * Math.sqrt(inputs);
    return {
      weight,
      bias,
      multiplier: Float32Array.from({ length: outputs }, () => (span / typical) * (0.5 + random())),
    };
  };
  const { features, hidden, heads, window, feedForward, outputs } = config;
  const spikes = () => ({
    spikeThreshold: Int32Array.from({ length: hidden }, () => 1 + Math.floor(random() * 2)),
    ageBias: new Int32Array(0),
    sink: new Int32Array(0),
    exponentScale: new Float32Array(0),
    contextScale: new Float32Array(0),
  });
  const softmax = () => ({
    ageBias: Int32Array.from({ length: heads * window }, () => Math.round((random() * 2 - 1) * 2000)),
    sink: Int32Array.from({ length: heads }, () => Math.round((random() * 2 - 1) * 2000)),
    exponentScale: Float32Array.from({ length: heads }, () => (0.1 + random()) / Math.sqrt(headSize(config))),
    contextScale: Float32Array.from({ length: heads }, () => (0.5 + random()) / 32767),
  });
  const gain = (): Gain =>
    config.normGains === 'channel'
      ? Float32Array.from({ length: hidden }, () => 2 ** (2 + 4 * random()))
      : 16;
  const block = (): FeedForwardWeights => ({
    feedForwardGain: gain(),
    up: linear(feedForward, hidden, 80),
    gelu: Uint8Array.from({ length: 256 }, (_, index) => Math.max(5, Math.round((index - 128) * 0.9))),
    down: linear(hidden, feedForward, 300),
  });
  const layer = (index: number): LayerWeights => ({
    ...(isRouted(config, index) ? { router: linear(1, hidden, 65536) } : {}),
    attentionGain: gain(),
    query: linear(hidden, hidden, 60),
    key: linear(hidden, hidden, 60),
    value: linear(hidden, hidden, 60),
    output: linear(hidden, hidden, 300),
    ...(config.attention === 'spike' ? spikes() : softmax()),
    ...block(),
  });
  const history = ({ rows, channels: count, ranks: [rank] }: HistoryConfig): HistoryWeights => ({
    basis: linear(rank, rows, 4000, 1024),
    readout: linear(outputs / count, rank, 65536, 4000),
  });
  const meaning: ModelMeaning = {
    channels: channels.map((name) => ({ name, unit: '', center: 20, scale: 2 })),
    intervalMs: 1000,
    task: { kind: 'classify', classes: ['empty', 'occupied'] },
    spikes: {
      delta: channels.map(() => 0.5),
      heartbeat: channels.map(() => 60),
      refractory: channels.map(() => 0),
    },
    provenance: { made: 'at random; trained on nothing' },
    ...options.meaning,
  };
  return {
    config,
    weights: {
      embedding: linear(hidden, embeddingInputs(config), 400, 1024),
      layers: Array.from({ length: config.layers }, (_, index) => layer(index)),
      ...(config.refinement === undefined ? {} : { refinement: block() }),
      headGain: gain(),
      head: linear(outputs, hidden, 65536),
      ...(config.history === undefined
        ? { linear: { ...linear(outputs, features, 65536, 1024), bias: new Int32Array(outputs) } }
        : { history: history(config.history) }),
      exponentTable: makeExponentTable(),
    },
    meaning,
  };
}

/** Seeded features: Q10, about one standard deviation wide. */
export function randomFeatures(count: number, seed: number): Int16Array {
  const random = randomNumbers(seed);
  return Int16Array.from({ length: count }, () => Math.round((random() * 2 - 1) * 1774));
}
