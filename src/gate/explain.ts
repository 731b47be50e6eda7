/**
 * Why a decision was taken, and how close it was to another: the rules with their values and limits, and the same
 * decision taken again with each limit and each input moved by one notch.
 */
import { Controller, makeGateDecision } from './controller.ts';
import { type Notch, notchesOf } from './notches.ts';
import { type GateDecision, Q15_ONE } from './packets.ts';
import type { Policy } from './policy.ts';
import { decide, evidenceOf, isSame } from './redecide.ts';
import { computeLevels, computeRules, type Evidence, type Rule, ruleHolds, trustRules } from './rules.ts';
import type { Witness } from './witness.ts';

/** A rule at one tick. Value and limit in the units of what they stand for: shares of 1, counts, multiples. */
export interface RuleReport {
  readonly name: string;
  readonly about: 'trust' | 'compute';
  /** Holds above the limit, or below. */
  readonly side: 'above' | 'below';
  /** Null where it was not known exactly; then it lay between `from` and `to`. */
  readonly value: number | null;
  readonly from: number;
  readonly to: number;
  /** To enter what follows from the rule, and to leave it again; null where the policy does not ask. */
  readonly limit: number | null;
  readonly leavingLimit: number | null;
  /** Whether it held by the limit that enters, and by the one that leaves. */
  readonly holds: boolean;
  readonly keeps: boolean;
  /** Whether the state before was held by it. */
  readonly heldBefore: boolean;
  /** Why it was not asked; empty if it was. */
  readonly notAsked:
    | ''
    | 'the policy never asks'
    | 'coherence means nothing yet'
    | 'the reference is too low';
}

export interface Explanation {
  readonly decision: GateDecision;
  /** In one sentence. */
  readonly why: string;
  /** Empty at a tick that no rule was asked about. */
  readonly rules: readonly RuleReport[];
  /** Good tokens and ticks that a better decision still waits for; 0 and 0 if nothing is to be relaxed. */
  readonly waitsFor: { readonly goodSamples: number; readonly ticks: number };
  readonly notches: readonly Notch[];
}

/** A witness that its policy can't have made. */
export class ExplainError extends Error {
  override readonly name = 'ExplainError';
}

/** Explains the decision of a witness under the policy that took it. Throws ExplainError if that did not take it. */
export function explain(witness: Witness, policy: Policy): Explanation {
  const decision = { tier: witness.tier, trust: witness.trust, reason: witness.reason };
  const bare = { decision, rules: [], waitsFor: { goodSamples: 0, ticks: 0 }, notches: [] };
  if (witness.reason === 'forcedByFlag') return { ...bare, why: forcedSentences[witness.tier] };
  if (witness.tier === 3) return { ...bare, why: skipSentence(witness) };
  const evidence = evidenceOf(witness);
  const again = decide(policy, witness, evidence);
  if (!isSame(again, decision)) {
    throw new ExplainError(
      `tick ${witness.sequence}: policy ${policy.name} decides ${describe(again)} where the witness has ${describe(decision)}`,
    );
  }
  return {
    decision,
    why: sentence(witness, policy, evidence),
    rules: [
      ...trustRules.map((rule, place) =>
        report(rule, 'trust', place === witness.trustBefore.rule, policy, evidence),
      ),
      ...computeRules
        .map((rule, place) => report(rule, 'compute', place === witness.computeBefore.rule, policy, evidence))
        .slice(1),
    ],
    waitsFor: waiting(witness, policy, decision),
    notches: notchesOf(witness, policy, evidence, decision),
  };
}

const tierNames = ['full', 'reduced', 'safe', 'skip'] as const;

/** `tier 0 (full), trust allow, reason none`. */
export function describe({ tier, trust, reason }: GateDecision): string {
  return `tier ${tier} (${tierNames[tier]}), trust ${trust}, reason ${reason}`;
}

/** By tier; only commands force the last two. */
const forcedSentences = [
  'Tier 0 was forced: this was the first frame of a stream in which nothing was known, or gating was off.',
  'Tier 1 was forced.',
  'A command was in force that lets no token cost more than tier 2.',
  'A command was in force that lets no token be computed. The last output was held.',
] as const;

function skipSentence({ noveltyQ15, elapsedIntervals }: Witness): string {
  return (
    `No channel fired: none had moved by its delta since the last token, ${round(elapsedIntervals)} intervals before, and ` +
    `no heartbeat was due. The largest move came to ${round(noveltyQ15 / Q15_ONE)} of six standard deviations. ` +
    'The last output was held.'
  );
}

function sentence(witness: Witness, policy: Policy, evidence: Evidence): string {
  const trust = trustRules.find((rule) => ruleHolds(rule, policy, evidence, false));
  const compute = computeRules.find((rule) => ruleHolds(rule, policy, evidence, false));
  const parts = [
    trust === undefined ? 'no rule of trust held' : `${trust.name} crossed its limit`,
    computeSentence(witness, policy, compute),
  ];
  const remembered =
    trust === undefined && witness.trust !== 'allow' ? 'an earlier one has not been left yet' : '';
  return `${[...parts, remembered].filter((part) => part !== '').join('; ')}.`.replace(/^./, (letter) =>
    letter.toUpperCase(),
  );
}

function computeSentence(witness: Witness, policy: Policy, rule: Rule | undefined): string {
  if (policy.compute === 'full') return 'the policy computes every token in full';
  if (policy.compute === 'followsTrust')
    return `the policy computes ${tierNames[witness.tier]} at this trust`;
  if (witness.trust !== 'allow') return 'what is not trusted is computed in full';
  if (rule !== undefined && computeLevels[computeRules.indexOf(rule)]! === 2 - witness.tier) {
    return `${rule.name} crossed its limit`;
  }
  return rule === undefined && witness.reason === 'none'
    ? 'nothing asked for more compute'
    : 'an earlier demand for compute has not been left yet';
}

function report(
  rule: Rule,
  about: 'trust' | 'compute',
  heldBefore: boolean,
  policy: Policy,
  evidence: Evidence,
): RuleReport {
  const limit = rule.limit(policy, evidence, false);
  const leaving = rule.limit(policy, evidence, true);
  const { gate } = evidence;
  const to = rule.value(evidence) / rule.scale;
  const isLambda = rule.reason === 'lambdaBelowMin';
  const from = isLambda ? gate.lambdaFloorQ15 / Q15_ONE : to;
  return {
    name: rule.name,
    about,
    side: rule.isAbove ? 'above' : 'below',
    value: from === to ? to : null,
    from,
    to,
    limit: limit < 0 ? null : limit / rule.scale,
    leavingLimit: leaving < 0 ? null : leaving / rule.scale,
    holds: ruleHolds(rule, policy, evidence, false),
    keeps: ruleHolds(rule, policy, evidence, true),
    heldBefore,
    notAsked: whyNotAsked(rule, policy, evidence, limit),
  };
}

function whyNotAsked(rule: Rule, policy: Policy, { gate }: Evidence, limit: number): RuleReport['notAsked'] {
  const comparesLambda = rule.reason === 'lambdaBelowMin' && policy[rule.field] !== 0;
  if (limit < 0 && !comparesLambda) return 'the policy never asks';
  if (rule.needsCoherence && !gate.ready) return 'coherence means nothing yet';
  return limit < 0 ? 'the reference is too low' : '';
}

function waiting(witness: Witness, policy: Policy, decision: GateDecision): Explanation['waitsFor'] {
  const { trustBefore, computeBefore } = witness;
  const controller = new Controller(policy);
  controller.restore(trustBefore, computeBefore);
  const { spike, gate, demand } = evidenceOf(witness);
  controller.decide(spike, gate, makeGateDecision(), demand);
  const held = decision.trust === 'allow' ? controller.compute : controller.trust;
  if (held.goodSamples === 0) return { goodSamples: 0, ticks: 0 };
  return {
    goodSamples: Math.max(0, policy.relaxSamples - held.goodSamples),
    ticks: Math.max(0, policy.dwellTicks * 2 ** held.doublings - held.ticks),
  };
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
