/** What a witness is told of the packets that a decision rests on. */
import type { Candidates } from '../gate/candidates.ts';
import type { DemandPacket, GatePacket } from '../gate/packets.ts';
import type { Witness } from '../gate/witness.ts';

export function noteGate(gate: GatePacket, demand: DemandPacket, witness: Witness): void {
  witness.ready = gate.ready;
  witness.lambdaQ15 = gate.lambdaQ15;
  witness.lambdaFloorQ15 = gate.lambdaFloorQ15;
  witness.isExact = gate.isExact;
  witness.lambdaPreviousQ15 = gate.lambdaPreviousQ15;
  witness.lambdaReferenceQ15 = gate.lambdaReferenceQ15;
  witness.boundaryEdges = gate.boundaryEdges;
  witness.boundaryConcentrationQ15 = gate.boundaryConcentrationQ15;
  witness.partitionCount = gate.partitionCount;
  witness.agreementQ15 = gate.agreementQ15;
  witness.driftUpQ8 = gate.driftUpQ8;
  witness.driftDownQ8 = gate.driftDownQ8;
  witness.noveltyTypicalQ15 = demand.noveltyTypicalQ15;
  witness.rateTypicalQ15 = demand.rateTypicalQ15;
  witness.regretQ15 = demand.regretQ15;
}

/** Which predictions stand. */
export function noteCandidates(candidates: Candidates | undefined, witness: Witness): void {
  witness.rivalKinds = candidates?.rivalKinds ?? 0;
  witness.rivalChannels = candidates?.rivalChannels ?? 0;
}
