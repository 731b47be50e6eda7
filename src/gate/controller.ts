/**
 * The gate's decision: how much to compute, and what may be written.
 *
 * A pure function of packets, policy and its own previous state. It escalates at once, and relaxes only after enough
 * good tokens and a dwell time, so that noise around a threshold cannot make it flap.
 */
import type { Tier } from '../engine/config.ts';
import type { KvMode } from '../engine/plan.ts';
import {
  type GateDecision,
  type GatePacket,
  type GateReason,
  Q15_ONE,
  type SpikePacket,
  type Trust,
} from './packets.ts';
import { NEVER, type Policy } from './policy.ts';

/** How bad things are, and the tier and trust that follow. Higher is worse. */
type Level = 0 | 1 | 2 | 3 | 4;
const NORMAL = 0;
const REDUCED = 1;
const DROPPED = 2;
const FROZEN = 3;
const QUARANTINED = 4;

const tiers: readonly Tier[] = [0, 1, 1, 2, 2];
/** A flush happens once, on entering DROPPED; what is held afterwards is the reduced scope. */
const trusts: readonly Trust[] = ['allow', 'reduceScope', 'reduceScope', 'freezeWrites', 'quarantine'];
/** What each trust means for the keys and values of a token. */
export const kvOfTrust: Readonly<Record<Trust, KvMode>> = Object.freeze({
  allow: 'write',
  reduceScope: 'write',
  flushKv: 'flush',
  freezeWrites: 'freeze',
  quarantine: 'freeze',
});

export function makeGateDecision(): GateDecision {
  return { tier: 3, trust: 'allow', reason: 'noSpike' };
}

/** A rule of the policy that may hold, and how bad that is. */
interface Finding {
  readonly level: Level;
  readonly reason: GateReason;
}

const normal: Finding = { level: NORMAL, reason: 'none' };
const boundarySpike: Finding = { level: REDUCED, reason: 'boundarySpike' };
const concentrationSpike: Finding = { level: REDUCED, reason: 'boundaryConcentrationSpike' };
const partitionDrift: Finding = { level: REDUCED, reason: 'partitionDrift' };
const droppedFast: Finding = { level: DROPPED, reason: 'lambdaDroppedFast' };
const spikeStorm: Finding = { level: FROZEN, reason: 'spikeStorm' };
const freezeBelowMin: Finding = { level: FROZEN, reason: 'lambdaBelowMin' };
const quarantineBelowMin: Finding = { level: QUARANTINED, reason: 'lambdaBelowMin' };

export class Controller {
  readonly #policy: Policy;
  /** The rule that brought the present state about. */
  #state = normal;
  #goodSamples = 0;
  #ticksSinceChange = 0;

  constructor(policy: Policy) {
    this.#policy = policy;
  }

  /** Back to the normal state. */
  reset(): void {
    this.#change(normal);
  }

  /**
   * Fills `decision`. Call it once per tick: without a spike the decision is to skip and `gate` is not looked at;
   * with one, `gate` is judged as one sample.
   */
  decide(spike: SpikePacket, gate: GatePacket, decision: GateDecision): void {
    this.#ticksSinceChange++;
    if (!spike.fired) {
      decision.tier = 3;
      decision.trust = trusts[this.#state.level]!;
      decision.reason = 'noSpike';
      return;
    }
    const before = this.#state.level;
    this.#judge(spike, gate);
    const { level, reason } = this.#state;
    decision.tier = this.#policy.computeFollowsTrust ? tiers[level]! : 0;
    decision.trust = level === DROPPED && before < DROPPED ? 'flushKv' : trusts[level]!;
    decision.reason = reason;
  }

  #judge(spike: SpikePacket, gate: GatePacket): void {
    const entered = evaluate(this.#policy, false, spike, gate);
    const remaining = evaluate(this.#policy, true, spike, gate);
    const worse = remaining.level > entered.level ? remaining : entered;
    const present = this.#state.level;
    if (entered.level > present) this.#change(entered);
    else if (worse.level < present) this.#relax(worse);
    else this.#stay(entered);
  }

  #stay(entered: Finding): void {
    this.#goodSamples = 0;
    if (entered.level === this.#state.level) this.#state = entered; // as bad as before, perhaps for another reason
  }

  #relax(to: Finding): void {
    this.#goodSamples++;
    const { relaxSamples, dwellTicks } = this.#policy;
    if (this.#goodSamples >= relaxSamples && this.#ticksSinceChange >= dwellTicks) this.#change(to);
  }

  #change(to: Finding): void {
    this.#state = to;
    this.#goodSamples = 0;
    this.#ticksSinceChange = 0;
  }
}

/** The first rule that holds, in the prototype's order. `leaving`: by the stricter thresholds that end a state. */
function evaluate(policy: Policy, leaving: boolean, spike: SpikePacket, gate: GatePacket): Finding {
  const shareQ15 = leaving ? policy.leaveQ15 : Q15_ONE;
  if (exceeds(spike.rateQ15, policy.spikeRateMaxQ15, shareQ15)) return spikeStorm;
  if (!gate.ready) return normal;
  const quarantine = leaving ? policy.lambdaQuarantineLeaveQ15 : policy.lambdaQuarantineEnterQ15;
  if (isLambdaBelow(gate, policy, quarantine)) return quarantineBelowMin;
  const freeze = leaving ? policy.lambdaFreezeLeaveQ15 : policy.lambdaFreezeEnterQ15;
  if (isLambdaBelow(gate, policy, freeze)) return freezeBelowMin;
  if (exceeds(dropRatioQ15(gate), policy.dropRatioMaxQ15, shareQ15)) return droppedFast;
  if (exceeds(gate.boundaryEdges, policy.boundaryEdgesMax, shareQ15)) return boundarySpike;
  if (exceeds(gate.boundaryConcentrationQ15, policy.boundaryConcentrationMaxQ15, shareQ15))
    return concentrationSpike;
  if (exceeds(gate.partitionCount, policy.partitionsMax, shareQ15)) return partitionDrift;
  return normal;
}

/** More than that share of the maximum. In whole numbers: a double would be allocated. */
function exceeds(value: number, max: number, shareQ15: number): boolean {
  return max < NEVER && value * Q15_ONE > max * shareQ15;
}

function isLambdaBelow(gate: GatePacket, policy: Policy, shareQ15: number): boolean {
  if (gate.lambdaReferenceQ15 < policy.lambdaReferenceMinQ15) return false;
  return gate.lambdaQ15 * Q15_ONE < gate.lambdaReferenceQ15 * shareQ15;
}

/** The share of lambda lost since the previous gate sample. */
function dropRatioQ15(gate: GatePacket): number {
  const { lambdaQ15, lambdaPreviousQ15 } = gate;
  if (lambdaQ15 >= lambdaPreviousQ15) return 0;
  return Math.floor(((lambdaPreviousQ15 - lambdaQ15) * Q15_ONE) / lambdaPreviousQ15);
}
