/** What a plan costs, counted from the configuration. */
import type { Tier, TransformerConfig } from './config.ts';
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

/** Of one token's attention to so many positions: spikes are only counted. */
export function attentionMacs({ hidden, attention }: TransformerConfig, positions: number): number {
  return attention === 'spike' ? 0 : 2 * positions * hidden;
}

/** Of one token that only gives a layer its key and value. */
export function keyValueMacs({ hidden }: TransformerConfig): number {
  return 2 * hidden * hidden;
}

export function embeddingMacs({ features, hidden }: TransformerConfig): number {
  return features * hidden;
}

/** Of the routers of the first `layers` layers. */
export function routerMacs({ hidden, routing }: TransformerConfig, layers: number): number {
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

/** Of the linear path over the past, if there is one: into the components, with the present value taken off, and out. */
export function historyMacs(config: TransformerConfig, tier: Tier): number {
  const { history } = config;
  if (history === undefined || tier === 3) return 0;
  return history.channels * history.ranks[tier] * (history.rows + 1 + historyHorizon(config));
}

/** Of its weights; the past itself is read besides. */
export function historyWeightBytes(config: TransformerConfig, tier: Tier): number {
  const { history } = config;
  if (history === undefined || tier === 3) return 0;
  const [rank, horizon] = [history.ranks[tier], historyHorizon(config)];
  return rank * (history.rows + horizon) + (rank + horizon) * BYTES_PER_OUTPUT;
}

/** int16 values of the past that one tick reads, and writes. */
function historyBytes({ history }: TransformerConfig): number {
  return history === undefined ? 0 : 2 * history.channels * (history.rows + 2);
}

/** Beside its int8 weights each output of a matrix has a bias and a multiplier of four bytes. */
const BYTES_PER_OUTPUT = 8;

/** Bytes of one layer's matrices: each is read once a call, however many tokens the call has. */
export function layerWeightBytes(config: TransformerConfig): number {
  return layerMacs(config) + (5 * config.hidden + config.feedForward) * BYTES_PER_OUTPUT;
}

export function feedForwardWeightBytes(config: TransformerConfig): number {
  return feedForwardMacs(config) + (config.hidden + config.feedForward) * BYTES_PER_OUTPUT;
}

/** Of the part of a layer that makes keys and values. */
export function keyValueWeightBytes(config: TransformerConfig): number {
  return keyValueMacs(config) + 2 * config.hidden * BYTES_PER_OUTPUT;
}

export function embeddingWeightBytes(config: TransformerConfig): number {
  return embeddingMacs(config) + config.hidden * BYTES_PER_OUTPUT;
}

/** Of the head and the linear path of the present tick. */
export function headWeightBytes(config: TransformerConfig): number {
  const matrices = config.history === undefined ? 2 : 1;
  return headMacs(config) + matrices * config.outputs * BYTES_PER_OUTPUT;
}

/** Of one router. */
export function routerWeightBytes({ hidden }: TransformerConfig): number {
  return hidden + BYTES_PER_OUTPUT;
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
  return Object.freeze({
    macs: transformer.macs + historyMacs(config, plan.tier),
    bytes: transformer.bytes + historyWeightBytes(config, plan.tier) + historyBytes(config),
  });
}

function transformerCost(config: TransformerConfig, plan: Plan): Cost {
  const { hidden } = config;
  const positions = plan.layers * plan.window;
  const written = plan.kv === 'freeze' ? 0 : plan.layers * 2 * hidden;
  const routing = routerMacs(config, plan.layers);
  return {
    macs:
      plan.layers * layerMacs(config) +
      embeddingMacs(config) +
      headMacs(config) +
      routing +
      attentionMacs(config, positions),
    bytes:
      plan.layers * layerWeightBytes(config) +
      embeddingWeightBytes(config) +
      headWeightBytes(config) +
      (routing / hidden) * routerWeightBytes(config) +
      (positions - plan.layers) * 2 * hidden +
      written,
  };
}
