/** What would have been decided one notch away. */
import { type GateDecision, Q15_ONE } from './packets.ts';
import { NEVER, type Policy } from './policy.ts';
import { decide, isSame, type States } from './redecide.ts';
import { type Evidence, trustRules } from './rules.ts';
import type { Witness } from './witness.ts';

/** The decision with one thing moved. */
export interface Notch {
  readonly what: string;
  readonly from: number;
  readonly to: number;
  /** Null: lambda was not known closely enough to tell. */
  readonly decision: GateDecision | null;
  readonly changes: boolean;
}

/** One notch: the ratio that the shipped policies enter and leave at. */
const NOTCH = 9 / 8;

/** Every limit of the policy, every input and every count of the state, moved up and down by one notch. */
export function notchesOf(
  witness: Witness,
  policy: Policy,
  evidence: Evidence,
  decision: GateDecision,
): Notch[] {
  return [
    ...limitNotches(policy).map(({ what, from, to, policy: moved }) => {
      return notch(what, from, to, decision, decideBetween(moved, witness, evidence));
    }),
    ...inputNotches(policy, evidence).map(({ what, from, to, evidence: moved }) => {
      return notch(what, from, to, decision, decideBetween(policy, witness, moved));
    }),
    ...stateNotches(witness).map(({ what, from, to, states }) => {
      return notch(what, from, to, decision, decideBetween(policy, states, evidence));
    }),
  ];
}

function notch(
  what: string,
  from: number,
  to: number,
  decision: GateDecision,
  moved: GateDecision | null,
): Notch {
  const changes = moved === null || moved.tier !== decision.tier || moved.trust !== decision.trust;
  return { what, from, to, decision: moved, changes };
}

/** Null if it depends on where between its bounds lambda was. */
function decideBetween(policy: Policy, states: States, evidence: Evidence): GateDecision | null {
  const { gate } = evidence;
  const most = decide(policy, states, evidence);
  if (gate.isExact) return most;
  const least = decide(policy, states, { ...evidence, gate: { ...gate, lambdaQ15: gate.lambdaFloorQ15 } });
  return isSame(most, least) ? most : null;
}

const counts: readonly string[] = ['boundaryEdgesMax', 'partitionsMax', 'relaxSamples', 'dwellTicks'];
/** Moved together with the limit that enters. */
const leavingFields: Readonly<Record<string, keyof Policy>> = {
  lambdaFreezeEnterQ15: 'lambdaFreezeLeaveQ15',
  lambdaQuarantineEnterQ15: 'lambdaQuarantineLeaveQ15',
};

interface Moved {
  readonly what: string;
  readonly from: number;
  readonly to: number;
}

/** The policy with each limit that it asks about moved up and down. */
function limitNotches(policy: Policy): (Moved & { policy: Policy })[] {
  const fields = Object.keys(policy).filter((field) =>
    isAsked(policy, field as keyof Policy),
  ) as (keyof Policy)[];
  return fields.flatMap((field) =>
    [1, -1].map((step) => {
      const from = policy[field] as number;
      const to = move(from, step, counts.includes(field), field.endsWith('Q15'));
      const leaving = leavingFields[field];
      const pair =
        leaving === undefined ? {} : { [leaving]: move(policy[leaving] as number, step, false, true) };
      return { what: `policy.${field}`, from, to, policy: { ...policy, [field]: to, ...pair } };
    }),
  );
}

function isAsked(policy: Policy, field: keyof Policy): boolean {
  const value = policy[field];
  if (typeof value !== 'number' || value === 0 || value >= NEVER) return false;
  if (Object.values(leavingFields).includes(field)) return false;
  return field !== 'regretMaxQ15' || policy.compute === 'followsRegret';
}

function move(from: number, step: number, isCount: boolean, isShare: boolean): number {
  const to = isCount ? from + step : Math.round(from * NOTCH ** step);
  const other = to === from ? from + step : to;
  return Math.max(0, isShare ? Math.min(other, Q15_ONE) : other);
}

const inputs = [
  ['spike', 'rateQ15', false],
  ['spike', 'noveltyQ15', false],
  ['gate', 'lambdaQ15', false],
  ['gate', 'lambdaPreviousQ15', false],
  ['gate', 'lambdaReferenceQ15', false],
  ['gate', 'boundaryEdges', true],
  ['gate', 'boundaryConcentrationQ15', false],
  ['gate', 'partitionCount', true],
  ['gate', 'driftUpQ8', false],
  ['gate', 'driftDownQ8', false],
  ['demand', 'regretQ15', false],
  ['demand', 'doubtQ15', false],
] as const;

/** The evidence with each input that a rule of the policy may ask moved up and down, and with coherence ready or not. */
function inputNotches(policy: Policy, evidence: Evidence): (Moved & { evidence: Evidence })[] {
  const moved = inputs.flatMap(([packet, field, isCount]) =>
    [1, -1].map((step) => {
      const from = (evidence[packet] as unknown as Record<string, number>)[field]!;
      const to = move(from, step, isCount, field.endsWith('Q15'));
      const changed: Record<string, number> = { [field]: to };
      if (field === 'lambdaQ15')
        changed.lambdaFloorQ15 = move(evidence.gate.lambdaFloorQ15, step, false, true);
      return {
        what: field,
        from,
        to,
        evidence: { ...evidence, [packet]: { ...evidence[packet], ...changed } },
      };
    }),
  );
  const { gate } = evidence;
  const ready = { what: 'ready', from: Number(gate.ready), to: Number(!gate.ready) };
  const asks = trustRules.some((rule) => rule.needsCoherence && rule.limit(policy, evidence, false) >= 0);
  const flipped = { ...ready, evidence: { ...evidence, gate: { ...gate, ready: !gate.ready } } };
  return asks ? [...moved, flipped] : moved;
}

/** One good token, and one tick, more and less behind it. */
function stateNotches(witness: Witness): (Moved & { states: States })[] {
  return (['trustBefore', 'computeBefore'] as const).flatMap((which) =>
    (['goodSamples', 'ticks'] as const).flatMap((field) =>
      [1, -1].map((step) => {
        const from = witness[which][field];
        const to = Math.max(0, from + step);
        const { trustBefore, computeBefore } = witness;
        const states = {
          trustBefore,
          computeBefore,
          [which]: { ...witness[which], [field]: to },
        };
        return { what: `${which}.${field}`, from, to, states };
      }),
    ),
  );
}
