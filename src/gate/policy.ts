/** Thresholds of the gate, as data. Shares are Q15: 32767 is 1. */
import { Q15_ONE } from './packets.ts';

/**
 * What sets the tier of a token.
 * full: tier 0, always. followsTrust: less compute when trust is low (the prototype's rule).
 * followsEvents: more compute where novelty or the rate of spikes is more than typical, or the last answer unsure.
 * followsRegret: tier 1 where it is likely to answer as tier 0 would. With the last two, distrust means tier 0: an
 * anomaly is when a gateway wants compute most.
 */
type ComputeRule = 'full' | 'followsTrust' | 'followsEvents' | 'followsRegret';

export interface Policy {
  readonly name: string;
  readonly compute: ComputeRule;
  /** Lambda below this share of its reference: writes are frozen. 0: never. */
  readonly lambdaFreezeEnterQ15: number;
  /** Frozen until lambda is back at this share. */
  readonly lambdaFreezeLeaveQ15: number;
  /** Lambda below this share of its reference: quarantine. 0: never. */
  readonly lambdaQuarantineEnterQ15: number;
  readonly lambdaQuarantineLeaveQ15: number;
  /** A reference below this (0 to 1) says that the channels hardly move together: lambda is then not judged. */
  readonly lambdaReferenceMinQ15: number;
  /** The agreement with the reference has drifted further: writes are frozen. Standard deviations over half-lives, in 1/256, at most 16 of them. NEVER: never. */
  readonly driftMaxQ8: number;
  /** More than this share of lambda lost since the last token: flush, then reduced scope. NEVER: never. */
  readonly dropRatioMaxQ15: number;
  /** More crossing edges than this: reduced scope. NEVER: never. */
  readonly boundaryEdgesMax: number;
  /** A larger share of the crossing weight at one channel: reduced scope. NEVER: never. */
  readonly boundaryConcentrationMaxQ15: number;
  /** More partitions than this: reduced scope. NEVER: never. */
  readonly partitionsMax: number;
  /** A higher rate of spikes: a storm, writes are frozen. NEVER: never. */
  readonly spikeRateMaxQ15: number;
  /** followsEvents: novelty above so many times what is typical gets tier 0, or tier 1; in 1/256. NEVER: never. */
  readonly noveltyFullQ8: number;
  readonly noveltyReducedQ8: number;
  /** followsEvents: the same for the rate of spikes. */
  readonly rateFullQ8: number;
  readonly rateReducedQ8: number;
  /** followsEvents: more doubt of the last output, or a higher score of an anomaly, gets tier 0. NEVER: never. */
  readonly doubtFullQ15: number;
  /** followsRegret: a higher probability that tier 1 would answer otherwise gets tier 0. */
  readonly regretMaxQ15: number;
  /** A maximum once exceeded counts as exceeded until the value is down to this share of it. */
  readonly leaveQ15: number;
  /** So many good tokens in a row before a decision is relaxed. */
  readonly relaxSamples: number;
  /** A decision is relaxed at the earliest so many ticks after its last change; more after a relapse. */
  readonly dwellTicks: number;
}

/** As a maximum: is never exceeded. */
export const NEVER = 65535;

const share = (value: number) => Math.round(value * Q15_ONE);
const times = (value: number) => Math.round(value * 256);

/** Nothing of demand sets the tier. */
const noDemand = {
  noveltyFullQ8: NEVER,
  noveltyReducedQ8: NEVER,
  rateFullQ8: NEVER,
  rateReducedQ8: NEVER,
  doubtFullQ15: NEVER,
  regretMaxQ15: Q15_ONE,
} as const;

/**
 * The rules of the Rust prototype (its gate controller with the default policy), restated.
 *
 * - Its lambda has no unit; its examples call 100 healthy and below 30 bad. Ours is 0 to 1 and differs from plant to
 *   plant, so 100 becomes the reference and 30 becomes 0.3 of it.
 * - Drop ratio (12288), concentration (20480) and spike rate (16384) were Q15 shares and stay: 37.5 %, 62.5 %, 50 %.
 *   Counts (20 edges, 10 partitions) stay. A drop is between two tokens there and here.
 * - Its rules have no memory. Here a bad state is left at 9/8 of the minimum or 8/9 of the maximum that it was
 *   entered at (the ratio of 0.8 and 0.9), after 16 good tokens and 10 ticks (10 s at 1 Hz).
 * - Its flush would have emptied the cache at every tick; here it empties it once, when the drop is seen.
 * - Its minimal novelty is read by nothing there, and left out here.
 */
export const prototypePolicy: Policy = Object.freeze({
  name: 'prototype',
  compute: 'followsTrust',
  ...noDemand,
  lambdaFreezeEnterQ15: 0,
  lambdaFreezeLeaveQ15: 0,
  lambdaQuarantineEnterQ15: share(0.3),
  lambdaQuarantineLeaveQ15: share((0.3 * 9) / 8),
  lambdaReferenceMinQ15: 0,
  driftMaxQ8: NEVER,
  dropRatioMaxQ15: 12288,
  boundaryEdgesMax: 20,
  boundaryConcentrationMaxQ15: 20480,
  partitionsMax: 10,
  spikeRateMaxQ15: 16384,
  leaveQ15: share(8 / 9),
  relaxSamples: 16,
  dwellTicks: 10,
});

/**
 * Every token is computed in full, an anomaly no more than any other; writes are frozen only when the channels have
 * come apart.
 *
 * Lambda of a healthy room wanders: measured over 8143 minutes of the occupancy recording (training file, deltas of
 * 0.1 interquartile range, 775 tokens), it lies below 0.8 of its reference at 39 % of the tokens, so that entering at
 * 0.8 would freeze 78 % of them. Entering at 0.1 freezes 10 tokens, in two episodes. The price: it misses most loose
 * sensors. With one channel replaced by its values of another day, lambda is below 0.1 at 0 to 2 % of the minutes
 * (AUROC of lambda against the untouched recording 0.66 to 0.78): on such data no threshold is both rare and sharp.
 */
export const steadyPolicy: Policy = Object.freeze({
  name: 'steady',
  compute: 'full',
  ...noDemand,
  lambdaFreezeEnterQ15: share(0.1),
  lambdaFreezeLeaveQ15: share((0.1 * 9) / 8),
  lambdaQuarantineEnterQ15: share(0.05),
  lambdaQuarantineLeaveQ15: share((0.05 * 9) / 8),
  lambdaReferenceMinQ15: share(0.2),
  driftMaxQ8: NEVER,
  dropRatioMaxQ15: NEVER,
  boundaryEdgesMax: NEVER,
  boundaryConcentrationMaxQ15: NEVER,
  partitionsMax: NEVER,
  spikeRateMaxQ15: NEVER,
  leaveQ15: share(8 / 9),
  relaxSamples: 4,
  dwellTicks: 10,
});

/**
 * Compute follows events: tier 2 for a token like the recent ones, tier 1 for one that is somewhat more, tier 0 for
 * one that is much more, while the last answer is more likely wrong than right or halfway to an alarm, and while the
 * channels are not trusted. Trust as `steady`.
 *
 * The multiples were set before anything was scored. Doubt, and relaxing at the next good token, were chosen on rows
 * that nothing is scored on (`dormouse bench policies`): without doubt a long anomaly becomes typical, and its tokens
 * cheap; with 4 good tokens and 10 ticks, as `steady` has them for trust, a stream of rare tokens never relaxes.
 */
export const eventsPolicy: Policy = Object.freeze({
  ...steadyPolicy,
  name: 'events',
  compute: 'followsEvents',
  noveltyFullQ8: times(2),
  noveltyReducedQ8: times(1),
  rateFullQ8: times(1.5),
  rateReducedQ8: times(1),
  doubtFullQ15: share(0.5),
  relaxSamples: 1,
  dwellTicks: 2,
});

/**
 * Compute follows the calibrated probability that tier 1 would answer otherwise than tier 0, which the model must
 * bring along (`dormouse calibrate gate`). Trust as `steady`.
 */
export const energyPolicy: Policy = Object.freeze({
  ...steadyPolicy,
  name: 'energy',
  compute: 'followsRegret',
  regretMaxQ15: share(0.01),
  relaxSamples: 1,
  dwellTicks: 1,
});

/** Everything in full, and memory protected at the first sign: lambda at 0.8 of its reference, or its drift. */
export const conservativePolicy: Policy = Object.freeze({
  ...steadyPolicy,
  name: 'conservative',
  lambdaFreezeEnterQ15: share(0.8),
  lambdaFreezeLeaveQ15: share(0.9),
  lambdaQuarantineEnterQ15: share(0.3),
  lambdaQuarantineLeaveQ15: share((0.3 * 9) / 8),
  driftMaxQ8: times(5),
  relaxSamples: 16,
});

/** The least compute: tier 2 unless a token is far from typical, whatever the last answer was. Trust as `steady`. */
const aggressivePolicy: Policy = Object.freeze({
  ...eventsPolicy,
  name: 'aggressive',
  noveltyFullQ8: times(4),
  noveltyReducedQ8: times(2),
  rateFullQ8: times(3),
  rateReducedQ8: times(2),
  doubtFullQ15: NEVER,
});

const policies = {
  steady: steadyPolicy,
  prototype: prototypePolicy,
  events: eventsPolicy,
  energy: energyPolicy,
  conservative: conservativePolicy,
  aggressive: aggressivePolicy,
} as const;

export type PolicyName = keyof typeof policies;
export const policyNames = Object.keys(policies) as readonly PolicyName[];
export const defaultPolicyName: PolicyName = 'events';

/** The policy of that name, or the given one if it makes sense. Throws RangeError naming what does not. */
export function policyOf(choice: PolicyName | Policy): Policy {
  if (typeof choice === 'string') {
    if (Object.hasOwn(policies, choice)) return policies[choice];
    throw new RangeError(`policy: expected one of ${policyNames.join(', ')}, got ${JSON.stringify(choice)}`);
  }
  validatePolicy(choice);
  return choice;
}

/** FNV-1a 32 of the policy's fields: a witness tells by it which policy decided. Never 0. */
export function policyHash(policy: Policy): number {
  const text = JSON.stringify(Object.entries(policy).sort(([a], [b]) => (a < b ? -1 : 1)));
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0 || 1;
}

/** The shipped policy with that hash. */
export function policyByHash(hash: number): Policy | undefined {
  return Object.values(policies).find((policy) => policyHash(policy) === hash);
}

const computeRules: readonly ComputeRule[] = ['full', 'followsTrust', 'followsEvents', 'followsRegret'];

function validatePolicy(policy: Policy): void {
  for (const [field, value] of Object.entries(policy)) {
    if (typeof value === 'number' && !(value >= 0)) {
      throw new RangeError(`policy.${field}: expected a number >= 0, got ${value}`);
    }
    if (field === 'compute' && !computeRules.includes(value as ComputeRule)) {
      throw new RangeError(`policy.compute: expected one of ${computeRules.join(', ')}, got ${value}`);
    }
    if (field.endsWith('Q15') && value > Q15_ONE && value !== NEVER) {
      throw new RangeError(`policy.${field}: expected at most ${Q15_ONE}, got ${value}`);
    }
  }
  for (const rule of ['Freeze', 'Quarantine'] as const) {
    const enter = policy[`lambda${rule}EnterQ15`];
    const leave = policy[`lambda${rule}LeaveQ15`];
    if (leave < enter) {
      throw new RangeError(
        `policy.lambda${rule}LeaveQ15: expected at least ${enter}, where it enters, got ${leave}`,
      );
    }
  }
}
