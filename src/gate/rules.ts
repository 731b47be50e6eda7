/**
 * The rules of the gate, as one list each for trust and for compute: what is compared with what, and what follows. The
 * controller asks them at every token, `explain` prints them.
 *
 * Numbers are whole: a double would be allocated. A value is compared with a limit at the same scale.
 */
import { type DemandPacket, type GatePacket, type GateReason, Q15_ONE, type SpikePacket } from './packets.ts';
import { NEVER, type Policy } from './policy.ts';

/** The packets that a decision rests on. */
export interface Evidence {
  spike: SpikePacket;
  gate: GatePacket;
  demand: DemandPacket;
}

export interface Rule {
  readonly name: string;
  readonly reason: GateReason;
  /** What follows: higher is worse (trust), or more compute (compute). */
  readonly level: number;
  /** Holds above its limit, or below it. */
  readonly isAbove: boolean;
  /** Field of the policy that sets the limit. */
  readonly field: keyof Policy;
  /** Asked only when the gate packet is ready. */
  readonly needsCoherence: boolean;
  value(evidence: Evidence): number;
  /** -1: the policy never asks. `leaving`: the stricter limit that ends a state. */
  limit(policy: Policy, evidence: Evidence, leaving: boolean): number;
  /** What value and limit are per 1 of what they stand for. */
  readonly scale: number;
}

/** How bad things are. */
export const NORMAL = 0;
const REDUCED = 1;
export const DROPPED = 2;
const FROZEN = 3;
const QUARANTINED = 4;

/** No limit. */
const NO_LIMIT = -1;
/** 1 of a number in 1/256. */
const Q8_ONE = 256;

/** A maximum; once exceeded it counts as exceeded until the value is down to the policy's leaving share of it. */
function exceeds(
  name: string,
  reason: GateReason,
  level: number,
  field: keyof Policy,
  unit: number,
  read: (evidence: Evidence) => number,
  needsCoherence = true,
): Rule {
  return {
    name,
    reason,
    level,
    field,
    needsCoherence,
    isAbove: true,
    scale: unit * Q15_ONE,
    value: (evidence) => read(evidence) * Q15_ONE,
    limit(policy, _, leaving) {
      const max = policy[field] as number;
      return max >= NEVER ? NO_LIMIT : max * (leaving ? policy.leaveQ15 : Q15_ONE);
    },
  };
}

function lambdaBelow(name: string, level: number, field: keyof Policy, leavingField: keyof Policy): Rule {
  return {
    name,
    reason: 'lambdaBelowMin',
    level,
    field,
    needsCoherence: true,
    isAbove: false,
    scale: Q15_ONE * Q15_ONE,
    value: ({ gate }) => gate.lambdaQ15 * Q15_ONE,
    limit(policy, { gate }, leaving) {
      if (gate.lambdaReferenceQ15 < policy.lambdaReferenceMinQ15 || policy[field] === 0) return NO_LIMIT;
      return gate.lambdaReferenceQ15 * (policy[leaving ? leavingField : field] as number);
    },
  };
}

/** The share of lambda lost since the previous gate sample. */
function dropRatioQ15({ gate }: Evidence): number {
  const { lambdaQ15, lambdaPreviousQ15 } = gate;
  if (lambdaQ15 >= lambdaPreviousQ15) return 0;
  return Math.floor(((lambdaPreviousQ15 - lambdaQ15) * Q15_ONE) / lambdaPreviousQ15);
}

/** The first that holds decides: the prototype's order. */
export const trustRules: readonly Rule[] = Object.freeze([
  exceeds(
    'spike rate',
    'spikeStorm',
    FROZEN,
    'spikeRateMaxQ15',
    Q15_ONE,
    ({ spike }) => spike.rateQ15,
    false,
  ),
  lambdaBelow('lambda, quarantine', QUARANTINED, 'lambdaQuarantineEnterQ15', 'lambdaQuarantineLeaveQ15'),
  lambdaBelow('lambda, freeze', FROZEN, 'lambdaFreezeEnterQ15', 'lambdaFreezeLeaveQ15'),
  exceeds('drift of agreement', 'coherenceDrift', FROZEN, 'driftMaxQ8', Q8_ONE, ({ gate }) =>
    Math.max(gate.driftUpQ8, gate.driftDownQ8),
  ),
  exceeds('drop of lambda', 'lambdaDroppedFast', DROPPED, 'dropRatioMaxQ15', Q15_ONE, dropRatioQ15),
  exceeds(
    'boundary edges',
    'boundarySpike',
    REDUCED,
    'boundaryEdgesMax',
    1,
    ({ gate }) => gate.boundaryEdges,
  ),
  exceeds(
    'boundary concentration',
    'boundaryConcentrationSpike',
    REDUCED,
    'boundaryConcentrationMaxQ15',
    Q15_ONE,
    ({ gate }) => gate.boundaryConcentrationQ15,
  ),
  exceeds('partitions', 'partitionDrift', REDUCED, 'partitionsMax', 1, ({ gate }) => gate.partitionCount),
]);

/** Levels of compute: 2 minus the tier. */
const MINIMAL = 0;
export const CHEAP = 1;
export const FULL = 2;

/** More than so many times what is typical, in 1/256; until it is known what is typical, anything is more. */
function aboveTypical(
  name: string,
  reason: GateReason,
  level: number,
  field: keyof Policy,
  read: (evidence: Evidence) => number,
  typical: (demand: DemandPacket) => number,
): Rule {
  return {
    name,
    reason,
    level,
    field,
    needsCoherence: false,
    isAbove: true,
    scale: Q8_ONE * Q15_ONE,
    value: (evidence) => read(evidence) * Q8_ONE,
    limit(policy, { demand }, leaving) {
      const ratio = policy[field] as number;
      if (policy.compute !== 'followsEvents' || ratio >= NEVER) return NO_LIMIT;
      return typical(demand) * (leaving ? Math.floor((ratio * policy.leaveQ15) / Q15_ONE) : ratio);
    },
  };
}

const novelty = ({ spike }: Evidence) => spike.noveltyQ15;
const rate = ({ spike }: Evidence) => spike.rateQ15;
const noveltyTypical = ({ noveltyTypicalQ15 }: DemandPacket) => noveltyTypicalQ15;
const rateTypical = ({ rateTypicalQ15 }: DemandPacket) => rateTypicalQ15;

/** A state to begin with, which no evidence brings about. */
function state(name: string, level: number): Rule {
  return {
    name,
    reason: 'none',
    level,
    field: 'compute',
    needsCoherence: false,
    isAbove: true,
    scale: 1,
    value: () => 0,
    limit: () => NO_LIMIT,
  };
}

/** The first that holds decides. */
export const computeRules: readonly Rule[] = Object.freeze([
  state('start', FULL),
  aboveTypical('novelty, full', 'novelty', FULL, 'noveltyFullQ8', novelty, noveltyTypical),
  aboveTypical('rate, full', 'spikeBurst', FULL, 'rateFullQ8', rate, rateTypical),
  {
    name: 'doubt',
    reason: 'doubt',
    level: FULL,
    field: 'doubtFullQ15',
    needsCoherence: false,
    isAbove: true,
    scale: Q15_ONE * Q15_ONE,
    value: ({ demand }) => demand.doubtQ15 * Q15_ONE,
    limit(policy, _, leaving) {
      if (policy.compute !== 'followsEvents' || policy.doubtFullQ15 >= NEVER) return NO_LIMIT;
      return policy.doubtFullQ15 * (leaving ? policy.leaveQ15 : Q15_ONE);
    },
  },
  {
    name: 'regret',
    reason: 'regret',
    level: FULL,
    field: 'regretMaxQ15',
    needsCoherence: false,
    isAbove: true,
    scale: Q15_ONE * Q15_ONE,
    value: ({ demand }) => demand.regretQ15 * Q15_ONE,
    limit(policy, _, leaving) {
      if (policy.compute !== 'followsRegret') return NO_LIMIT;
      return policy.regretMaxQ15 * (leaving ? policy.leaveQ15 : Q15_ONE);
    },
  },
  aboveTypical('novelty, reduced', 'novelty', CHEAP, 'noveltyReducedQ8', novelty, noveltyTypical),
  aboveTypical('rate, reduced', 'spikeBurst', CHEAP, 'rateReducedQ8', rate, rateTypical),
]);

/** The place of no rule, behind the last. */
export const NO_TRUST_RULE = trustRules.length;
export const NO_COMPUTE_RULE = computeRules.length;
/** Of each rule, and of none. */
export const trustLevels: readonly number[] = [...trustRules.map(({ level }) => level), NORMAL];
export const computeLevels: readonly number[] = [...computeRules.map(({ level }) => level), MINIMAL];

/** Whether a rule of the policy holds. */
export function ruleHolds(rule: Rule, policy: Policy, evidence: Evidence, leaving: boolean): boolean {
  if (rule.needsCoherence && !evidence.gate.ready) return false;
  const limit = rule.limit(policy, evidence, leaving);
  if (limit === NO_LIMIT) return false;
  const value = rule.value(evidence);
  return rule.isAbove ? value > limit : value < limit;
}

/** The first rule that holds, by its place; the list's length if none does. */
export function firstThatHolds(
  rules: readonly Rule[],
  policy: Policy,
  evidence: Evidence,
  leaving: boolean,
): number {
  for (let place = 0; place < rules.length; place++) {
    if (ruleHolds(rules[place]!, policy, evidence, leaving)) return place;
  }
  return rules.length;
}
