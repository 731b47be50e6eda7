/** What witnesses may say in one byte. Codes are positions in these lists: append, never reorder. */
import type { KvMode } from '../engine/plan.ts';
import type { GateReason, Trust } from './packets.ts';

export const trusts: readonly Trust[] = ['allow', 'reduceScope', 'flushKv', 'freezeWrites', 'quarantine'];
export const reasons: readonly GateReason[] = [
  'none',
  'noSpike',
  'lambdaBelowMin',
  'lambdaDroppedFast',
  'boundarySpike',
  'boundaryConcentrationSpike',
  'partitionDrift',
  'spikeStorm',
  'novelty',
  'forcedByFlag',
  'coherenceDrift',
  'spikeBurst',
  'regret',
  'doubt',
];
export const kvModes: readonly WitnessKv[] = ['none', 'write', 'freeze', 'flush', 'quarantine'];

/** What happened to keys and values; `none` at a skipped tick. */
export type WitnessKv = KvMode | 'none';
