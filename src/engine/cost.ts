/** What a plan costs, counted from the configuration. */
import { embeddingInputs, hasBlocks, headSize, isInt4, type TransformerConfig } from './config.ts';
import { blockSlots, positionsMax } from './patterns.ts';
import type { Plan } from './plan.ts';

export interface Cost {
  /** Multiply-accumulates. */
  readonly macs: number;
  /** Bytes of weights and of keys and values that are read and written. */
  readonly bytes: number;
}

/** Multiply-accumulates of one token in one layer's matrices; attention adds 2 x positions x hidden. */
export function layerMacs({ hidden, feedForward }: TransformerConfig): number {
  return hidden * (4 * hidden + 2 * feedForward);
}

/** Of one token through one feed-forward block. */
export function feedForwardMacs({ hidden, feedForward }: TransformerConfig): number {
  return 2 * hidden * feedForward;
}

/** Of attention to so many positions, those of each head counted, and so many blocks scored: spikes are only counted. */
export function attentionMacs(config: TransformerConfig, headPositions: number, headBlocks: number): number {
  return config.attention === 'spike' ? 0 : headSize(config) * (2 * headPositions + headBlocks);
}

/** Bytes of the keys and values of so many positions of single heads. */
export function keyValueBytes(config: TransformerConfig, headPositions: number): number {
  const size = headSize(config);
  // Half a byte each, and a scale of two bytes for keys and one for values.
  return headPositions * (isInt4(config.keyValues) ? size + 4 : 2 * size);
}

/** Bytes of so many sums of the keys of a block, of single heads. */
export function blockBytes(config: TransformerConfig, headBlocks: number): number {
  return 2 * headSize(config) * headBlocks;
}

/** Bytes that one token leaves in the ring of one layer. */
export function slotBytes(config: TransformerConfig): number {
  return keyValueBytes(config, config.heads) + (hasBlocks(config) ? blockBytes(config, config.heads) : 0);
}

/** The most positions, those of each head counted, that one token attends to in layer `index`, and blocks it scores. */
function attentionMax({ patterns, heads, sequence }: TransformerConfig, index: number, window: number) {
  if (patterns === undefined) return { positions: heads * window, blocks: 0 };
  const layer = patterns[index]!;
  return {
    positions: layer.reduce((sum, pattern) => sum + positionsMax(pattern, window), 0),
    blocks: layer.filter(({ blocks }) => blocks !== undefined).length * blockSlots(sequence),
  };
}

/** Of one token that only gives a layer its key and value. */
export function keyValueMacs({ hidden }: TransformerConfig): number {
  return 2 * hidden * hidden;
}

export function embeddingMacs(config: TransformerConfig): number {
  return embeddingInputs(config) * config.hidden;
}

/** Of the routers of the first `layers` layers. */
function routerMacs({ hidden, routing }: TransformerConfig, layers: number): number {
  return hidden * (routing?.layers.filter((index) => index < layers).length ?? 0);
}

/** Of the head and, without a history, the linear path of the present tick. */
export function headMacs({ features, hidden, outputs, history }: TransformerConfig): number {
  return outputs * (hidden + (history === undefined ? features : 0));
}

/** Outputs that the linear path over the past makes for each channel; 0 without one. */
export function historyHorizon({ outputs, history }: TransformerConfig): number {
  return history === undefined ? 0 : outputs / history.channels;
}

/** Components of each channel's past that a plan makes; 0 without a history. */
export function historyRank({ history }: TransformerConfig, { tier }: Plan): number {
  return history === undefined || tier === 3 ? 0 : history.ranks[tier];
}

/** Of one tick's components, with the present value taken off. */
export function componentMacs({ history }: TransformerConfig, rank: number): number {
  return history === undefined ? 0 : history.channels * rank * (history.rows + 1);
}

export function componentWeightBytes({ history }: TransformerConfig, rank: number): number {
  return history === undefined ? 0 : rank * (history.rows + BYTES_PER_OUTPUT);
}

/** Of what follows from so many components. */
export function forecastMacs(config: TransformerConfig, rank: number): number {
  return config.outputs * rank;
}

export function forecastWeightBytes(config: TransformerConfig, rank: number): number {
  return historyHorizon(config) * (rank + BYTES_PER_OUTPUT);
}

/** int16 values of the past that one tick reads, and writes. */
function historyBytes({ history }: TransformerConfig): number {
  return history === undefined ? 0 : 2 * history.channels * (history.rows + 2);
}

/** Beside its int8 weights each output of a matrix has a bias and a multiplier of four bytes. */
const BYTES_PER_OUTPUT = 8;

/** Of one norm's gains, where each channel has its own. */
function gainBytes({ hidden, normGains }: TransformerConfig): number {
  return normGains === 'channel' ? 4 * hidden : 0;
}

/** Bytes of one layer's matrices: each is read once a call, however many tokens the call has. */
export function layerWeightBytes(config: TransformerConfig): number {
  const outputs = 5 * config.hidden + config.feedForward;
  return layerMacs(config) + outputs * BYTES_PER_OUTPUT + 2 * gainBytes(config);
}

export function feedForwardWeightBytes(config: TransformerConfig): number {
  const outputs = config.hidden + config.feedForward;
  return feedForwardMacs(config) + outputs * BYTES_PER_OUTPUT + gainBytes(config);
}

/** Of the part of a layer that makes keys and values. */
export function keyValueWeightBytes(config: TransformerConfig): number {
  return keyValueMacs(config) + 2 * config.hidden * BYTES_PER_OUTPUT + gainBytes(config);
}

export function embeddingWeightBytes(config: TransformerConfig): number {
  return embeddingMacs(config) + config.hidden * BYTES_PER_OUTPUT;
}

/** Of the head and the linear path of the present tick. */
export function headWeightBytes(config: TransformerConfig): number {
  const matrices = config.history === undefined ? 2 : 1;
  return headMacs(config) + matrices * config.outputs * BYTES_PER_OUTPUT + gainBytes(config);
}

/** Of one router. */
export function routerWeightBytes(config: TransformerConfig): number {
  return config.hidden + BYTES_PER_OUTPUT + gainBytes(config);
}

/** Of one round of refinement, with its head. */
export function refinementCost(config: TransformerConfig): Cost {
  return Object.freeze({
    macs: feedForwardMacs(config) + headMacs(config),
    bytes: feedForwardWeightBytes(config) + headWeightBytes(config),
  });
}

/** The most that one token of this plan can take. */
export function planCost(config: TransformerConfig, plan: Plan): Cost {
  const transformer = plan.layers === 0 ? { macs: 0, bytes: 0 } : transformerCost(config, plan);
  const history = historyCost(config, historyRank(config, plan));
  return Object.freeze({ macs: transformer.macs + history.macs, bytes: transformer.bytes + history.bytes });
}

function historyCost(config: TransformerConfig, rank: number): Cost {
  if (config.history === undefined) return { macs: 0, bytes: 0 };
  const weightBytes = componentWeightBytes(config, rank) + forecastWeightBytes(config, rank);
  return {
    macs: componentMacs(config, rank) + forecastMacs(config, rank),
    bytes: weightBytes + historyBytes(config),
  };
}

function transformerCost(config: TransformerConfig, plan: Plan): Cost {
  const { hidden, heads } = config;
  const written = plan.kv === 'freeze' ? 0 : plan.layers * slotBytes(config);
  const routing = routerMacs(config, plan.layers);
  let attention = 0;
  let read = 0;
  for (let index = 0; index < plan.layers; index++) {
    const { positions, blocks } = attentionMax(config, index, plan.window);
    attention += attentionMacs(config, positions, blocks);
    read += keyValueBytes(config, positions - heads) + blockBytes(config, blocks);
  }
  return {
    macs: plan.layers * layerMacs(config) + embeddingMacs(config) + headMacs(config) + routing + attention,
    bytes:
      plan.layers * layerWeightBytes(config) +
      embeddingWeightBytes(config) +
      headWeightBytes(config) +
      (routing / hidden) * routerWeightBytes(config) +
      read +
      written,
  };
}
