/** A decision taken again, from what a witness has of it. */
import { makeGatePacket } from './coherence.ts';
import { Controller, makeGateDecision } from './controller.ts';
import type { GateDecision, GatePacket } from './packets.ts';
import type { Policy } from './policy.ts';
import type { Evidence } from './rules.ts';
import { makeSpikePacket } from './spike-encoder.ts';
import type { Witness } from './witness.ts';

/** What a witness has of the packets. */
export function evidenceOf(witness: Witness): Evidence {
  const spike = { ...makeSpikePacket(witness.channels), fired: true, firedCount: witness.firedCount };
  const gate: GatePacket = { ...makeGatePacket() };
  for (const field of Object.keys(gate) as (keyof GatePacket)[])
    Object.assign(gate, { [field]: witness[field] });
  return {
    spike: { ...spike, rateQ15: witness.rateQ15, noveltyQ15: witness.noveltyQ15 },
    gate,
    demand: {
      noveltyTypicalQ15: witness.noveltyTypicalQ15,
      rateTypicalQ15: witness.rateTypicalQ15,
      regretQ15: witness.regretQ15,
      doubtQ15: witness.doubtQ15,
    },
  };
}

/** The decision of that policy, from that state, on that evidence. */
export function decide(
  policy: Policy,
  { trustBefore, computeBefore }: States,
  { spike, gate, demand }: Evidence,
): GateDecision {
  const controller = new Controller(policy);
  const decision = makeGateDecision();
  controller.restore(trustBefore, computeBefore);
  controller.decide(spike, gate, decision, demand);
  return decision;
}

/** What a witness has of the state before. */
export type States = Pick<Witness, 'trustBefore' | 'computeBefore'>;

export function isSame(a: GateDecision, b: GateDecision): boolean {
  return a.tier === b.tier && a.trust === b.trust && a.reason === b.reason;
}
