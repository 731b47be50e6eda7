/** What a plan costs, counted from the configuration. */
import type { TransformerConfig } from './config.ts';
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

/** Of the head and the linear path beside the transformer. */
export function headMacs({ features, hidden, outputs }: TransformerConfig): number {
  return outputs * (hidden + features);
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

/** Of the head and the linear path. */
export function headWeightBytes(config: TransformerConfig): number {
  return headMacs(config) + 2 * config.outputs * BYTES_PER_OUTPUT;
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
  const { hidden } = config;
  const positions = plan.layers * plan.window;
  const written = plan.kv === 'freeze' ? 0 : plan.layers * 2 * hidden;
  const routing = routerMacs(config, plan.layers);
  return Object.freeze({
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
  });
}
