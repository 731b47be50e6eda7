/** How much of the transformer one token runs, and what it may write. */
import type { Tier, TransformerConfig } from './config.ts';

/**
 * What happens to this token's keys and values.
 * write: they enter the ring. freeze: the token sees itself, the ring stays as it was.
 * flush: the ring is emptied, then this token is written.
 * quarantine: they enter the ring, but no other token sees them before one that writes: then trust has returned.
 */
export type KvMode = 'write' | 'freeze' | 'flush' | 'quarantine';

export interface Plan {
  readonly tier: Tier;
  /** The first so many layers run. */
  readonly layers: number;
  /** Newest positions that may be looked at. */
  readonly sequence: number;
  /** Newest positions attended to, this token included. */
  readonly window: number;
  readonly kv: KvMode;
}

/** Every plan of a configuration, made once so that choosing one allocates nothing. */
export type PlanTable = readonly Readonly<Record<KvMode, Plan>>[];

const kvModes: readonly KvMode[] = ['write', 'freeze', 'flush', 'quarantine'];

/** `planTable(config)[tier][kv]` for tiers 0 to 2. */
export function planTable(config: TransformerConfig): PlanTable {
  return config.tiers.map((limits, tier) => {
    const plans = {} as Record<KvMode, Plan>;
    for (const kv of kvModes) plans[kv] = Object.freeze({ tier: tier as Tier, ...limits, kv });
    return Object.freeze(plans);
  });
}

/** `exitTable(plans)[layers - 1][kv]`: tier 0 left after its first so many layers; the last entry is tier 0 itself. */
export function exitTable([full]: PlanTable): PlanTable {
  return Array.from({ length: full!.write.layers - 1 }, (_, index) => {
    const plans = {} as Record<KvMode, Plan>;
    for (const kv of kvModes) plans[kv] = Object.freeze({ ...full![kv], layers: index + 1 });
    return Object.freeze(plans);
  }).concat(full!);
}
