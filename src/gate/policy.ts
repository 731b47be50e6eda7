/** Thresholds of the gate, as data. Shares are Q15: 32767 is 1. */
import { Q15_ONE } from './packets.ts';

export interface Policy {
  readonly name: string;
  /**
   * true: less compute when trust is low (the prototype's rule). false: every token gets tier 0, and trust touches
   * only what is written: an anomaly is when a gateway wants compute most.
   */
  readonly computeFollowsTrust: boolean;
  /** Lambda below this share of its reference: writes are frozen. 0: never. */
  readonly lambdaFreezeEnterQ15: number;
  /** Frozen until lambda is back at this share. */
  readonly lambdaFreezeLeaveQ15: number;
  /** Lambda below this share of its reference: quarantine. 0: never. */
  readonly lambdaQuarantineEnterQ15: number;
  readonly lambdaQuarantineLeaveQ15: number;
  /** A reference below this (0 to 1) says that the channels hardly move together: lambda is then not judged. */
  readonly lambdaReferenceMinQ15: number;
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
  /** A maximum once exceeded counts as exceeded until the value is down to this share of it. */
  readonly leaveQ15: number;
  /** So many good tokens in a row before a decision is relaxed. */
  readonly relaxSamples: number;
  /** A decision is relaxed at the earliest so many ticks after its last change. */
  readonly dwellTicks: number;
}

/** As a maximum: is never exceeded. */
export const NEVER = 65535;

const share = (value: number) => Math.round(value * Q15_ONE);

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
  computeFollowsTrust: true,
  lambdaFreezeEnterQ15: 0,
  lambdaFreezeLeaveQ15: 0,
  lambdaQuarantineEnterQ15: share(0.3),
  lambdaQuarantineLeaveQ15: share((0.3 * 9) / 8),
  lambdaReferenceMinQ15: 0,
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
 * Every token is computed in full; writes are frozen only when the channels have come apart.
 *
 * Lambda of a healthy room wanders: measured over 8143 minutes of the occupancy recording (training file, deltas of
 * 0.1 interquartile range, 775 tokens), it lies below 0.8 of its reference at 39 % of the tokens, so that entering at
 * 0.8 would freeze 78 % of them. Entering at 0.1 freezes 10 tokens, in two episodes. The price: it misses most loose
 * sensors. With one channel replaced by its values of another day, lambda is below 0.1 at 0 to 2 % of the minutes
 * (AUROC of lambda against the untouched recording 0.66 to 0.78): on such data no threshold is both rare and sharp.
 */
export const steadyPolicy: Policy = Object.freeze({
  name: 'steady',
  computeFollowsTrust: false,
  lambdaFreezeEnterQ15: share(0.1),
  lambdaFreezeLeaveQ15: share((0.1 * 9) / 8),
  lambdaQuarantineEnterQ15: share(0.05),
  lambdaQuarantineLeaveQ15: share((0.05 * 9) / 8),
  lambdaReferenceMinQ15: share(0.2),
  dropRatioMaxQ15: NEVER,
  boundaryEdgesMax: NEVER,
  boundaryConcentrationMaxQ15: NEVER,
  partitionsMax: NEVER,
  spikeRateMaxQ15: NEVER,
  leaveQ15: share(8 / 9),
  relaxSamples: 4,
  dwellTicks: 10,
});

const policies = { steady: steadyPolicy, prototype: prototypePolicy } as const;

export type PolicyName = keyof typeof policies;
export const policyNames = Object.keys(policies) as readonly PolicyName[];
export const defaultPolicyName: PolicyName = 'steady';

/** The policy of that name, or the given one if it makes sense. Throws RangeError naming what does not. */
export function policyOf(choice: PolicyName | Policy): Policy {
  if (typeof choice === 'string') {
    if (Object.hasOwn(policies, choice)) return policies[choice];
    throw new RangeError(`policy: expected one of ${policyNames.join(', ')}, got ${JSON.stringify(choice)}`);
  }
  validatePolicy(choice);
  return choice;
}

function validatePolicy(policy: Policy): void {
  for (const [field, value] of Object.entries(policy)) {
    if (typeof value === 'number' && !(value >= 0)) {
      throw new RangeError(`policy.${field}: expected a number >= 0, got ${value}`);
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
