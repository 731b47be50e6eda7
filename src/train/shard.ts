/** One thread's part of a training step: sample, forward, backward, for the shards that fall to it. */
import type { TransformerConfig } from '../engine/config.ts';
import { backward } from './backward.ts';
import { integerForward } from './integer-network.ts';
import { exitWeights, type LossSettings, type TaskKind } from './losses.ts';
import { type BatchShape, type ClipLimits, exitLosses, forward } from './network.ts';
import { quantise, type Scales } from './quantise.ts';
import { clipLimits, loadQuantised } from './quantised-parameters.ts';
import { sampleBatch } from './sampler.ts';
import type { TrainingSettings } from './settings.ts';
import type { TokenPool } from './tokens.ts';
import { floats, makeWorkspace, type Workspace } from './workspace.ts';

/** What every thread needs to know; can be sent to one. */
export interface Job {
  readonly config: TransformerConfig;
  readonly kind: TaskKind;
  readonly pool: TokenPool;
  readonly settings: TrainingSettings;
}

/** Sums over tokens, not yet divided by the weight. */
export interface ShardResult {
  readonly loss: number;
  readonly weight: number;
}

const plain = {
  layerDropout: 0,
  levelJitter: 0,
  levelNoise: 0,
  gainJitter: 0,
  channelDropout: 0,
  eventShuffle: 0,
  rankDropout: 0,
};

export class ShardRunner {
  readonly workspace: Workspace;
  readonly #job: Job;
  readonly #shape: BatchShape;
  readonly #exits: readonly number[];
  readonly #loss: LossSettings;
  #scales: Scales | null = null;
  #clip: ClipLimits | null = null;

  constructor(job: Job) {
    const { config, kind, settings } = job;
    this.#job = job;
    this.#shape = { sequences: settings.shardSequences, length: settings.sequence };
    const rows = this.#shape.sequences * this.#shape.length;
    this.workspace = makeWorkspace(config, kind, { sequences: this.#shape.sequences, rows });
    this.#exits = exitWeights(config.layers, settings.exitScale, config.refinement?.rounds);
    const { labelSmoothing, routerWeight, distillation } = settings;
    this.#loss = { kind, labelSmoothing, routerWeight, distillation };
  }

  /** Takes the parameters of this step; with `scales` the step is a quantised one. */
  prepare(parameters: Float32Array, scales: Scales | null): void {
    const { workspace } = this;
    const { config, layout } = workspace;
    floats(workspace, workspace.parameters, layout.count).set(parameters);
    this.#scales = scales;
    this.#clip = scales && clipLimits(scales, config.attention === 'spike');
    if (scales) loadQuantised(workspace, quantise(config, layout, parameters, scales), scales);
  }

  /** Puts training batch number `step`, shard `shard`, into the workspace. Returns the sum of its token weights. */
  sample(step: number, shard: number): number {
    return sampleBatch(this.workspace, this.#job.pool, this.#shape, this.#job.settings, step, shard);
  }

  /** The same of another pool, as it is: nothing distorted, no layer left out. */
  samplePlain(pool: TokenPool, step: number): void {
    const settings = { ...this.#job.settings, ...plain };
    sampleBatch(this.workspace, pool, this.#shape, settings, step, 0);
  }

  /** Runs what is in the workspace as the engine would: routers look at nothing that is still to come. */
  infer(): void {
    if (this.#scales) integerForward(this.workspace, this.#shape, this.#scales);
    else forward(this.workspace, this.#shape);
  }

  /** Computes one shard; its gradient goes to `gradient`, [layout.count]. */
  run(step: number, shard: number, gradient: Float32Array): ShardResult {
    const { workspace } = this;
    const weight = this.sample(step, shard);
    if (this.#scales) integerForward(workspace, this.#shape, this.#scales);
    else forward(workspace, this.#shape, 'top');
    const loss = exitLosses(workspace, this.#shape, this.#loss, this.#exits);
    const own = floats(workspace, workspace.gradients, workspace.layout.count).fill(0);
    const weights = this.#scales ? workspace.dequantised : workspace.parameters;
    backward(workspace, this.#shape, weights, this.#clip);
    gradient.set(own);
    return { loss, weight };
  }
}
