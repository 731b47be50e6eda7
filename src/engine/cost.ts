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

/** Of one token that only gives a layer its key and value. */
export function keyValueMacs({ hidden }: TransformerConfig): number {
  return 2 * hidden * hidden;
}

export function embeddingMacs({ features, hidden }: TransformerConfig): number {
  return features * hidden;
}

/** Of the head and the linear path beside the transformer. */
export function headMacs({ features, hidden, outputs }: TransformerConfig): number {
  return outputs * (hidden + features);
}

/** The most that one token of this plan can take. */
export function planCost(config: TransformerConfig, plan: Plan): Cost {
  const { hidden } = config;
  const positions = plan.layers * plan.window;
  const rows = plan.layers * (5 * hidden + config.feedForward) + hidden + 2 * config.outputs;
  const weights = plan.layers * layerMacs(config) + embeddingMacs(config) + headMacs(config);
  const weightBytes = weights + rows * 8;
  const written = plan.kv === 'freeze' ? 0 : plan.layers * 2 * hidden;
  return Object.freeze({
    macs: weights + 2 * positions * hidden,
    bytes: weightBytes + (positions - plan.layers) * 2 * hidden + written,
  });
}
