/** A workload ready to be played: the rows of its test seed, its model, and two pipelines on one engine. */
import { modelFile } from '../carried.ts';
import { Engine } from '../engine/engine.ts';
import type { KernelName } from '../engine/kernels/contract.ts';
import type { Model, SpikeSettings } from '../engine/model.ts';
import { loadModel } from '../engine/model-file.ts';
import type { Protocol } from '../eval/protocols.ts';
import { defaultPolicyName, type PolicyName, policyNames } from '../gate/policy.ts';
import { Pipeline } from '../gateway/pipeline.ts';
import type { Physics, WorkloadName } from '../workloads/physics.ts';
import { describe, generatePart, seedsOf } from '../workloads/recording.ts';

/** The shipped models were trained and tuned on the other parts of this seed. */
export const WORKLOAD_SEED = 1;

export interface Subject {
  readonly physics: Physics;
  readonly protocol: Protocol;
  readonly engine: Engine;
  readonly policy: PolicyName;
  readonly gated: Pipeline;
  readonly dense: Pipeline;
}

/** The model's own thresholds, and the policy that was found with them. */
export function openSubject(physics: Physics, rows: number, kernels?: KernelName): Subject {
  const model = workloadModel(physics.name);
  const engine = new Engine(model, { streams: 2, ...(kernels === undefined ? {} : { kernels }) });
  const policy = tunedPolicy(model);
  return {
    physics,
    protocol: workloadProtocol(physics, model, rows),
    engine,
    policy,
    gated: new Pipeline(engine, 0, { policy, spikes: tunedSpikes(model) }),
    dense: new Pipeline(engine, 1, { gating: false }),
  };
}

/** The test rows of a workload as what an evaluation plays. */
export function workloadProtocol(physics: Physics, { meaning }: Model, rows: number): Protocol {
  const seeds = seedsOf(WORKLOAD_SEED);
  const { channels } = meaning;
  return {
    recording: describe(physics, seeds),
    channels: channels.length,
    train: [],
    tests: [{ series: generatePart(physics, 'test', seeds, rows), scoredFrom: 0 }],
    standardiser: {
      mean: Float64Array.from(channels, ({ center }) => center),
      deviation: Float64Array.from(channels, ({ scale }) => scale),
    },
  };
}

/** The shipped model of a workload. Throws Error if it is not there. */
export function workloadModel(name: WorkloadName): Model {
  const file = `workloads/${name}.safetensors`;
  const model = shippedModel(file);
  if (model !== undefined) return model;
  throw new Error(
    `targets/models/${file}: expected a model, found none; scripts/workload-models.mjs makes it`,
  );
}

/** A model of targets/models, as it comes with the program; undefined if there is none of that name. */
export function shippedModel(name: string): Model | undefined {
  const bytes = modelFile(name);
  return bytes && loadModel(bytes);
}

interface Tuned {
  readonly policy?: string;
  readonly firstHeartbeat?: readonly number[];
}

function tunedOf({ meaning }: Model): Tuned {
  return (meaning.provenance as { tuned?: Tuned }).tuned ?? {};
}

function tunedPolicy(model: Model): PolicyName {
  return policyNames.find((name) => name === tunedOf(model).policy) ?? defaultPolicyName;
}

/** The model's own settings, and what was found with them that a model file does not hold otherwise. */
export function tunedSpikes(model: Model): SpikeSettings {
  const { firstHeartbeat } = tunedOf(model);
  return { ...model.meaning.spikes, ...(firstHeartbeat && { firstHeartbeat }) };
}
