/**
 * The gate's decision: how much to compute, and what may be written.
 *
 * A pure function of packets, policy and its own previous state. It escalates at once, and relaxes only after enough
 * good tokens and a dwell time, so that noise around a threshold cannot make it flap.
 */

import type { Tier } from '../engine/config.ts';
import type { KvMode } from '../engine/plan.ts';
import { carryFields, type StateCarrier } from './carrier.ts';
import type { LambdaWatch } from './coherence.ts';
import { makeDemandPacket } from './demand.ts';
import { copySnapshot, type LevelSnapshot, LevelState } from './level-state.ts';
import type { DemandPacket, GateDecision, GatePacket, SpikePacket, Trust } from './packets.ts';
import { NEVER, type Policy } from './policy.ts';
import {
  CHEAP,
  computeLevels,
  computeRules,
  DROPPED,
  type Evidence,
  FULL,
  firstThatHolds,
  NO_COMPUTE_RULE,
  NO_TRUST_RULE,
  NORMAL,
  trustLevels,
  trustRules,
} from './rules.ts';

/** The prototype's tiers by level of trust. */
const tiersByTrust: readonly Tier[] = [0, 1, 1, 2, 2];
/** A flush happens once, on entering DROPPED; what is held afterwards is the reduced scope. */
const trusts: readonly Trust[] = ['allow', 'reduceScope', 'reduceScope', 'freezeWrites', 'quarantine'];
/** What each trust means for the keys and values of a token. */
export const kvOfTrust: Readonly<Record<Trust, KvMode>> = Object.freeze({
  allow: 'write',
  reduceScope: 'write',
  flushKv: 'flush',
  freezeWrites: 'freeze',
  quarantine: 'quarantine',
});

export function makeGateDecision(): GateDecision {
  return { tier: 3, trust: 'allow', reason: 'noSpike' };
}

export class Controller {
  readonly #policy: Policy;
  readonly #trust = new LevelState(trustLevels, NO_TRUST_RULE);
  readonly #compute = new LevelState(computeLevels, 0);
  readonly #evidence: Evidence;
  readonly #unknown = makeDemandPacket();

  constructor(policy: Policy) {
    this.#policy = policy;
    // Filled at each decision.
    this.#evidence = { demand: this.#unknown } as Evidence;
  }

  /** What is remembered of trust and of compute; it goes on changing. */
  get trust(): LevelSnapshot {
    return this.#trust.snapshot;
  }

  get compute(): LevelSnapshot {
    return this.#compute.snapshot;
  }

  /** Goes on from there. */
  restore(trust: LevelSnapshot, compute: LevelSnapshot): void {
    copySnapshot(trust, this.#trust.snapshot);
    copySnapshot(compute, this.#compute.snapshot);
  }

  /** Hands over what it remembers. */
  carry(state: StateCarrier): void {
    for (const { snapshot } of [this.#trust, this.#compute])
      carryFields(state, snapshot, ['rule', 'goodSamples', 'ticks', 'doublings', 'fell']);
  }

  /** Back to the normal state. */
  reset(): void {
    this.#trust.reset();
    this.#compute.reset();
  }

  /**
   * Fills `decision`. Call it once per tick: without a spike the decision is to skip and `gate` and `demand` are not
   * looked at; with one, they are judged as one sample. Without `demand` nothing is known to be typical, and a regret
   * of 1 is taken.
   */
  decide(
    spike: SpikePacket,
    gate: GatePacket,
    decision: GateDecision,
    demand: DemandPacket = this.#unknown,
  ): void {
    this.#trust.tick();
    this.#compute.tick();
    if (!spike.fired) {
      decision.tier = 3;
      decision.trust = trusts[this.#trust.level]!;
      decision.reason = 'noSpike';
      return;
    }
    this.#gather(spike, gate, demand);
    this.#decideTrust(decision);
    this.#decideTier(decision);
  }

  #gather(spike: SpikePacket, gate: GatePacket, demand: DemandPacket): void {
    this.#evidence.spike = spike;
    this.#evidence.gate = gate;
    this.#evidence.demand = demand;
  }

  #decideTrust(decision: GateDecision): void {
    const policy = this.#policy;
    const before = this.#trust.level;
    const entered = firstThatHolds(trustRules, policy, this.#evidence, false);
    const remaining = firstThatHolds(trustRules, policy, this.#evidence, true);
    this.#trust.judge(entered, remaining, policy);
    const { level } = this.#trust;
    decision.trust = level === DROPPED && before < DROPPED ? 'flushKv' : trusts[level]!;
    const { rule } = this.#trust.snapshot;
    decision.reason = rule === NO_TRUST_RULE ? 'none' : trustRules[rule]!.reason;
  }

  #decideTier(decision: GateDecision): void {
    const { compute } = this.#policy;
    if (compute === 'full') decision.tier = 0;
    else if (compute === 'followsTrust') decision.tier = tiersByTrust[this.#trust.level]!;
    else this.#followDemand(decision);
  }

  /** Distrust is an anomaly too, and gets full compute for as long as it lasts. */
  #followDemand(decision: GateDecision): void {
    const policy = this.#policy;
    const entered = firstThatHolds(computeRules, policy, this.#evidence, false);
    const remaining = firstThatHolds(computeRules, policy, this.#evidence, true);
    this.#compute.judge(entered, remaining, policy);
    const least = policy.compute === 'followsRegret' ? CHEAP : computeLevels[NO_COMPUTE_RULE]!;
    const distrusted = this.#trust.level > NORMAL;
    const level = distrusted ? FULL : Math.max(least, this.#compute.level);
    decision.tier = (FULL - level) as Tier;
    const { rule } = this.#compute.snapshot;
    if (!distrusted && rule !== NO_COMPUTE_RULE) decision.reason = computeRules[rule]!.reason;
  }
}

/** What a policy wants to know of lambda. */
export function lambdaWatchOf(policy: Policy): LambdaWatch {
  const asked = (shares: number[]) => shares.filter((share) => share > 0);
  const entering = asked([policy.lambdaQuarantineEnterQ15, policy.lambdaFreezeEnterQ15]);
  return {
    exact:
      policy.compute === 'followsRegret' ||
      [policy.dropRatioMaxQ15, policy.boundaryEdgesMax, policy.boundaryConcentrationMaxQ15].some(
        (max) => max < NEVER,
      ),
    // What is trusted has no state to leave.
    sharesQ15: entering,
    sharesDistrustedQ15: [
      ...entering,
      ...asked([policy.lambdaQuarantineLeaveQ15, policy.lambdaFreezeLeaveQ15]),
    ],
    referenceMinQ15: policy.lambdaReferenceMinQ15,
    drift: policy.driftMaxQ8 < NEVER,
  };
}
