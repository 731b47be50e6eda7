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
import type { Policy } from './policy.ts';

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

/** Which rule of the policy holds. */
interface Finding {
  level: Level;
  reason: GateReason;
}

export class Controller {
  readonly #policy: Policy;
  #level: Level = NORMAL;
  #reason: GateReason = 'none';
  #goodSamples = 0;
  #ticksSinceChange = 0;
  /** What holds by the thresholds that are entered at, and by the stricter ones that are left at. */
  readonly #entered: Finding = { level: NORMAL, reason: 'none' };
  readonly #remaining: Finding = { level: NORMAL, reason: 'none' };

  constructor(policy: Policy) {
    this.#policy = policy;
  }

  /** Back to the normal state. */
  reset(): void {
    this.#level = NORMAL;
    this.#reason = 'none';
    this.#goodSamples = 0;
    this.#ticksSinceChange = 0;
  }

  /**
   * Fills `decision`. Call it once per tick: without a spike the decision is to skip and `gate` is not looked at;
   * with one, `gate` is judged as one sample.
   */
  decide(spike: SpikePacket, gate: GatePacket, decision: GateDecision): void {
    this.#ticksSinceChange++;
    decision.tier = 3;
    decision.trust = trusts[this.#level]!;
    decision.reason = 'noSpike';
    if (!spike.fired) return;
    const before = this.#level;
    this.#judge(spike, gate);
    decision.tier = this.#policy.computeFollowsTrust ? tiers[this.#level]! : 0;
    decision.trust = this.#level === DROPPED && before < DROPPED ? 'flushKv' : trusts[this.#level]!;
    decision.reason = this.#reason;
  }

  #judge(spike: SpikePacket, gate: GatePacket): void {
    evaluate(this.#policy, false, spike, gate, this.#entered);
    evaluate(this.#policy, true, spike, gate, this.#remaining);
    if (this.#entered.level > this.#level) return this.#change(this.#entered);
    if (this.#entered.level === this.#level) this.#reason = this.#entered.reason;
    const good = Math.max(this.#entered.level, this.#remaining.level) < this.#level;
    this.#goodSamples = good ? this.#goodSamples + 1 : 0;
    const { relaxSamples, dwellTicks } = this.#policy;
    if (!good || this.#goodSamples < relaxSamples || this.#ticksSinceChange < dwellTicks) return;
    this.#change(this.#remaining.level > this.#entered.level ? this.#remaining : this.#entered);
  }

  #change(to: Finding): void {
    this.#level = to.level;
    this.#reason = to.reason;
    this.#goodSamples = 0;
    this.#ticksSinceChange = 0;
  }
}

/** The first rule that holds, in the prototype's order. `leaving`: by the thresholds at which a state is left. */
function evaluate(
  policy: Policy,
  leaving: boolean,
  spike: SpikePacket,
  gate: GatePacket,
  finding: Finding,
): void {
  const scale = leaving ? policy.leaveQ15 / Q15_ONE : 1;
  if (spike.rateQ15 > policy.spikeRateMaxQ15 * scale && policy.spikeRateMaxQ15 < Q15_ONE) {
    return find(finding, FROZEN, 'spikeStorm');
  }
  if (!gate.ready) return find(finding, NORMAL, 'none');
  if (
    isLambdaBelow(gate, policy, leaving ? policy.lambdaQuarantineLeaveQ15 : policy.lambdaQuarantineEnterQ15)
  ) {
    return find(finding, QUARANTINED, 'lambdaBelowMin');
  }
  if (isLambdaBelow(gate, policy, leaving ? policy.lambdaFreezeLeaveQ15 : policy.lambdaFreezeEnterQ15)) {
    return find(finding, FROZEN, 'lambdaBelowMin');
  }
  if (dropRatioQ15(gate) > policy.dropRatioMaxQ15 * scale && policy.dropRatioMaxQ15 < Q15_ONE) {
    return find(finding, DROPPED, 'lambdaDroppedFast');
  }
  return evaluateBoundary(policy, scale, gate, finding);
}

function evaluateBoundary(policy: Policy, scale: number, gate: GatePacket, finding: Finding): void {
  if (gate.boundaryEdges > policy.boundaryEdgesMax * scale) return find(finding, REDUCED, 'boundarySpike');
  const concentrationMax = policy.boundaryConcentrationMaxQ15;
  if (gate.boundaryConcentrationQ15 > concentrationMax * scale && concentrationMax < Q15_ONE) {
    return find(finding, REDUCED, 'boundaryConcentrationSpike');
  }
  if (gate.partitionCount > policy.partitionsMax * scale) return find(finding, REDUCED, 'partitionDrift');
  return find(finding, NORMAL, 'none');
}

function find(finding: Finding, level: Level, reason: GateReason): void {
  finding.level = level;
  finding.reason = reason;
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
