/** A witness for people and for MQTT. */
import type { Json } from '../engine/model.ts';
import { rivalNames } from './candidates.ts';
import { modelText } from './model-tag.ts';
import { Q15_ONE } from './packets.ts';
import type { Witness } from './witness.ts';

/** Q15 numbers as shares, channels by name if `names` has them, else by index. */
export function witnessJson(witness: Witness, names: readonly string[]): { [key: string]: Json } {
  return {
    sequence: witness.sequence,
    timeMs: witness.timeMs,
    seen: {
      fired: firedChannels(witness, names),
      rate: fromQ15(witness.rateQ15),
      novelty: fromQ15(witness.noveltyQ15),
      lambda: witness.ready ? fromQ15(witness.lambdaQ15) : null,
      lambdaFloor: witness.ready ? fromQ15(witness.lambdaFloorQ15) : null,
      lambdaPrevious: witness.ready ? fromQ15(witness.lambdaPreviousQ15) : null,
      lambdaReference: witness.ready ? fromQ15(witness.lambdaReferenceQ15) : null,
      boundaryEdges: witness.boundaryEdges,
      boundaryConcentration: fromQ15(witness.boundaryConcentrationQ15),
      partitionCount: witness.partitionCount,
      agreement: fromQ15(witness.agreementQ15),
      drift: Math.round((100 * Math.max(witness.driftUpQ8, witness.driftDownQ8)) / 256) / 100,
      noveltyTypical: fromQ15(witness.noveltyTypicalQ15),
      rateTypical: fromQ15(witness.rateTypicalQ15),
      regret: fromQ15(witness.regretQ15),
      doubt: fromQ15(witness.doubtQ15),
    },
    ...(witness.model === 0 ? {} : { model: modelText(witness.model) }),
    decided: { tier: witness.tier, trust: witness.trust, reason: witness.reason, kv: witness.kv },
    done: {
      layers: witness.layers,
      macs: witness.macs,
      macsDense: witness.macsDense,
      kvReads: witness.kvReads,
      kvWrites: witness.kvWrites,
      elapsedIntervals: witness.elapsedIntervals,
    },
    produced: {
      held: witness.held,
      logitsHash: witness.logitsHash.toString(16).padStart(8, '0'),
      topIndex: witness.topIndex,
      score: Number.isFinite(witness.score) ? witness.score : null,
      ...(witness.rivalChannels === 0 ? {} : { rivals: rivalsJson(witness) }),
    },
  };
}

function rivalsJson(witness: Witness): { [key: string]: Json } {
  return { channels: witness.rivalChannels, by: rivalNames(witness.rivalKinds) };
}

function firedChannels(witness: Witness, names: readonly string[]): (string | number)[] {
  const fired: (string | number)[] = [];
  for (let channel = 0; channel < witness.channels; channel++) {
    if (witness.fired(channel)) fired.push(names[channel] ?? channel);
  }
  return fired;
}

function fromQ15(value: number): number {
  return Math.round((value / Q15_ONE) * 1e4) / 1e4;
}
