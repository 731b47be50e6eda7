/** Dormouse as a library: the engine, the gate, the pipeline of one tick, recordings and the energy ledger. */

export { Ledger } from './energy/ledger.ts';
export * from './engine/index.ts';
export { FeatureEncoder, featureCount } from './gate/features.ts';
export type { Frame, GateDecision, GatePacket, GateReason, SpikePacket, Trust } from './gate/packets.ts';
export { type Policy, type PolicyName, policyNames } from './gate/policy.ts';
export { SpikeEncoder } from './gate/spike-encoder.ts';
export { Witness } from './gate/witness.ts';
export { readWitnesses } from './gateway/disk/witness-log.ts';
export { Output } from './gateway/output.ts';
export { Pipeline } from './gateway/pipeline.ts';
export type { PipelineCounters } from './gateway/pipeline-counters.ts';
export type { PipelineOptions } from './gateway/pipeline-options.ts';
export { openRecording, readSeries } from './recording/recording.ts';
export { version } from './version.ts';
