/** A model at work: its engine, and the way of its ticks. */
import { Engine, type EngineOptions } from '../engine/engine.ts';
import { modelTag } from '../gate/model-tag.ts';
import type { Frame } from '../gate/packets.ts';
import type { PolicyName } from '../gate/policy.ts';
import type { Witness } from '../gate/witness.ts';
import type { LoadedConfig } from './config/load-config.ts';
import { Pipeline } from './pipeline.ts';

export interface Served {
  readonly loaded: LoadedConfig;
  readonly engine: Engine;
  readonly pipeline: Pipeline;
}

/** What the device allows an engine. */
export type EngineLimits = Pick<EngineOptions, 'maxBytes' | 'kernels'>;

/** With `takenBytes` of the limit already taken. Throws what the engine throws for a model that does not fit. */
export function makeServed(loaded: LoadedConfig, limits: EngineLimits, takenBytes: number): Served {
  const { config, model, modelSha256 } = loaded;
  const { maxBytes, ...options } = limits;
  const budget = maxBytes === undefined ? {} : { maxBytes: maxBytes - takenBytes };
  const engine = new Engine(model, { streams: 1, ...options, ...budget });
  const pipeline = new Pipeline(engine, 0, {
    spikes: config.spikes,
    modelTag: modelTag(modelSha256),
    ...(config.calibrationTicks === undefined ? {} : { calibrationTicks: config.calibrationTicks }),
    ...(config.policy === undefined ? {} : { policy: config.policy as PolicyName }),
  });
  return { loaded, engine, pipeline };
}

/** What lets a second model see the ticks that the first answers. */
export interface Trial {
  /** Answers a tick by `gateway.pipeline`; should that throw, by whichever it has put in its place, if it has one. */
  answer(frame: Frame): Witness;
  /** The tick is published. Never throws. */
  after(frame: Frame): void;
}
