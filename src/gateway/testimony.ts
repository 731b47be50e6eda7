/** What a witness is told. */
import type { Engine } from '../engine/engine.ts';
import type { KvMode } from '../engine/plan.ts';
import type { Candidates } from '../gate/candidates.ts';
import { hashLogits } from '../gate/logits-hash.ts';
import type { DemandPacket, GatePacket, SpikePacket } from '../gate/packets.ts';
import type { Witness } from '../gate/witness.ts';
import type { Output } from './output.ts';

export function noteSpike(spike: SpikePacket, witness: Witness): void {
  witness.firedMask.fill(0);
  for (let channel = 0; channel < spike.firedMask.length; channel++) {
    witness.firedMask[channel >> 3]! |= spike.firedMask[channel]! << (channel & 7);
  }
  witness.firedCount = spike.firedCount;
  witness.rateQ15 = spike.rateQ15;
  witness.noveltyQ15 = spike.noveltyQ15;
}

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
  witness.doubtQ15 = demand.doubtQ15;
}

/** Which predictions stand. */
export function noteCandidates(candidates: Candidates | undefined, witness: Witness): void {
  witness.rivalKinds = candidates?.rivalKinds ?? 0;
  witness.rivalChannels = candidates?.rivalChannels ?? 0;
}

/** A token: what it took, and what came of it. */
export function noteWork(
  kv: KvMode,
  { stats, logits }: Pick<Engine, 'stats' | 'logits'>,
  { topIndex, confidence }: Output,
  witness: Witness,
): void {
  witness.kv = kv;
  witness.layers = stats.layers;
  witness.macs = stats.macs;
  witness.kvReads = stats.kvReads;
  witness.kvWrites = stats.kvWrites;
  witness.logitsHash = hashLogits(logits) >>> 0;
  witness.topIndex = topIndex;
  witness.score = confidence;
}

/** No token: what it would have come to stays. */
export function noteNoWork(witness: Witness): void {
  witness.kv = 'none';
  witness.layers = 0;
  witness.macs = 0;
  witness.kvReads = 0;
  witness.kvWrites = 0;
}
