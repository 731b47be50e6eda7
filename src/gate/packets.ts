/**
 * What the gate sees and says. Packets are made once and refilled: a tick allocates nothing.
 *
 * Q15 numbers are whole numbers from 0 to 32767 that stand for 0 to 1.
 */
import type { Tier } from '../engine/config.ts';

export const Q15_ONE = 32767;
/** At most so many channels are named in a spike packet. */
export const TOP_CHANNELS_MAX = 16;
export const CHANNELS_MAX = 64;

/** One tick of all channels. NaN: no value known. */
export interface Frame {
  /** Milliseconds, never decreasing within a pipeline. */
  timeMs: number;
  /** [channels], in the model's channel order, physical units. */
  readonly values: Float64Array;
}

/** What the spike encoder made of a frame. */
export interface SpikePacket {
  /** Whether any channel fired; if not, the tick is skipped. */
  fired: boolean;
  /** Number of channels that fired. */
  firedCount: number;
  /** [channels], 1 where the channel fired. */
  readonly firedMask: Uint8Array;
  /** Moving average of the fired fraction of channels. */
  rateQ15: number;
  /** Largest surprise of a channel, min(|x - expected| / (6 sigma), 1). */
  noveltyQ15: number;
  /** The channels that fired, most novel first; the first `topCount` entries count. */
  readonly topChannels: Uint8Array;
  readonly topWeightsQ15: Uint16Array;
  topCount: number;
}

/** What the coherence of the channels says. */
export interface GatePacket {
  /** Minimum cut of the channel correlation graph over (channels - 1), 0 to 1; at most this if not exact. */
  lambdaQ15: number;
  /** Lambda is at least this; the same if exact. */
  lambdaFloorQ15: number;
  /** Whether lambda is known, not just on which side of the policy's thresholds it lies. */
  isExact: boolean;
  lambdaPreviousQ15: number;
  /** Median of recent lambda in normal state. */
  lambdaReferenceQ15: number;
  /** Edges that cross the cut with more than the edge threshold; 0 if lambda is not exact. */
  boundaryEdges: number;
  /** Largest share of the crossing weight at one channel; 0 if lambda is not exact. */
  boundaryConcentrationQ15: number;
  /** Connected components at the edge threshold. */
  partitionCount: number;
  /** Minimum cut of the reference-agreement graph over (channels - 1): 1 when every pair correlates as it used to. */
  agreementQ15: number;
  /** How far the agreement has drifted up and down: standard deviations over half-lives, in 1/256, at most 16. */
  driftUpQ8: number;
  driftDownQ8: number;
  /** Whether enough ticks were seen for lambda to mean something. */
  ready: boolean;
}

/** What says how much compute a token is worth, beside its spikes. */
export interface DemandPacket {
  /** What is typical of the recent tokens, for comparison: the median novelty and rate; 0 while it is not known. */
  noveltyTypicalQ15: number;
  rateTypicalQ15: number;
  /** Calibrated probability that tier 1 would answer otherwise than tier 0; 1 where nothing predicts it. */
  regretQ15: number;
  /** How unsure the last output is, or how close to an alarm; 1 before the first. */
  doubtQ15: number;
}

/** What may be written, from lambda. */
export type Trust = 'allow' | 'reduceScope' | 'flushKv' | 'freezeWrites' | 'quarantine';

/** Why a decision was taken; `none` means nothing crossed a threshold. */
export type GateReason =
  | 'none'
  | 'noSpike'
  | 'lambdaBelowMin'
  | 'lambdaDroppedFast'
  | 'boundarySpike'
  | 'boundaryConcentrationSpike'
  | 'partitionDrift'
  | 'spikeStorm'
  | 'novelty'
  | 'forcedByFlag'
  | 'coherenceDrift'
  | 'spikeBurst'
  | 'regret'
  | 'doubt';

/** What the controller decided for a tick. */
export interface GateDecision {
  tier: Tier;
  trust: Trust;
  reason: GateReason;
}
