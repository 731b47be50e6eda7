/** What a plan costs, counted from the configuration. */
import type { TransformerConfig } from './config.ts';
import type { Plan } from './plan.ts';

export interface Cost {
  /** Multiply-accumulates. */
  readonly macs: number;
  /** Bytes of weights and of keys and values that are read and written. */
  readonly bytes: number;
}

/** Multiply-accumulates of one token in the linear layers; attention adds 2 x positions x hidden. */
export function tokenMacs(config: TransformerConfig, layers: number): number {
  const { features, hidden, feedForward, outputs } = config;
  return layers * hidden * (4 * hidden + 2 * feedForward) + features * hidden + outputs * (hidden + features);
}

/** The most that one token of this plan can take. */
export function planCost(config: TransformerConfig, plan: Plan): Cost {
  const { hidden } = config;
  const positions = plan.layers * plan.window;
  const rows = plan.layers * (5 * hidden + config.feedForward) + hidden + 2 * config.outputs;
  const weightBytes = tokenMacs(config, plan.layers) + rows * 8;
  const written = plan.kv === 'freeze' ? 0 : plan.layers * 2 * hidden;
  return Object.freeze({
    macs: tokenMacs(config, plan.layers) + 2 * positions * hidden,
    bytes: weightBytes + (positions - plan.layers) * 2 * hidden + written,
  });
}
