/** A training run: float steps, calibration, quantised steps, and the checkpoint that validates best. */
import { ConfigError, type TransformerConfig } from '../engine/config.ts';
import { assert } from '../engine/limits.ts';
import type { Task } from '../engine/model.ts';
import { calibrate, calibrateRouters, routedShares } from './calibrate.ts';
import type { Best, Checkpoints } from './checkpoint.ts';
import type { Dataset } from './dataset.ts';
import { enginePredictor, floatPredictor, type Validation, validationScore } from './evaluate.ts';
import { initialParameters } from './layout.ts';
import { heldByHistory, heldByLinearStart, startAtNothing, startLinear } from './linear-start.ts';
import type { BatchShape } from './network.ts';
import { learningRate, Optimiser } from './optimiser.ts';
import { networkConfig, type PastModel } from './past-model.ts';
import type { Scales } from './quantise.ts';
import type { TrainingSettings } from './settings.ts';
import type { Job } from './shard.ts';
import { requireLearnable } from './sight.ts';
import { Team } from './team.ts';
import { makePool, type TokenPool } from './tokens.ts';
import { Subject, type TrainingResult } from './training-result.ts';
import { floats } from './workspace.ts';

/** What a watcher is told after every step. */
export interface StepReport {
  readonly step: number;
  readonly steps: number;
  readonly quantised: boolean;
  /** Mean training loss of the step. */
  readonly loss: number;
  readonly gradientNorm: number;
  readonly tokens: number;
  /** Set when this step was validated. */
  readonly validation: Validation | null;
}

const CALIBRATION_BATCHES = 8;

/**
 * Trains from a cold start, or from where `checkpoints` left off. The result depends on dataset, configuration and
 * settings, never on `threads` or on interruptions. `past`: of a configuration with a history; the transformer learns
 * what it misses.
 */
export async function train(
  dataset: Dataset,
  config: TransformerConfig,
  settings: TrainingSettings,
  threads: number,
  report: (report: StepReport) => void,
  checkpoints: Checkpoints | null = null,
  past: PastModel | null = null,
): Promise<TrainingResult> {
  requireTrainable(config, settings, dataset.task);
  assert((config.history === undefined) === (past === null), 'a history is fitted before the training');
  const seeded = { ...settings.pool, seed: settings.seed };
  const pool = makePool(dataset, dataset.train, seeded, past?.map ?? null, config.history?.ranks[1]);
  const job: Job = { config: networkConfig(config), kind: dataset.task.kind, pool, settings };
  const team = new Team(job, threads);
  try {
    return await new Run(dataset, config, past, job, team, report, checkpoints).run();
  } finally {
    await team.close();
  }
}

/**
 * Throws ConfigError: training has one gain for all channels, a sequence of which no token goes through a layer teaches
 * it nothing, and readings that are to be foretold do not wander with the features.
 */
function requireTrainable(
  config: TransformerConfig,
  { sequence, pool }: TrainingSettings,
  { kind }: Task,
): void {
  if (pool.levelWander > 0 && kind !== 'classify') {
    throw new ConfigError(`level wander: expected 0 unless the task is classify, got ${pool.levelWander}`);
  }
  if (pool.leak > 1 && kind !== 'classify') {
    throw new ConfigError(`leak: expected 1 unless the task is classify, got ${pool.leak}`);
  }
  requireLearnable(config);
  const { routing, normGains } = config;
  if (normGains === 'channel') throw new ConfigError('config.normGains: expected shared, got channel');
  if (routing === undefined || Math.round(routing.capacity * sequence) > 0) return;
  const least = `at least one token in a training sequence of ${sequence}`;
  throw new ConfigError(`config.routing.capacity: expected ${least}, got ${routing.capacity}`);
}

class Run {
  readonly #dataset: Dataset;
  readonly #config: TransformerConfig;
  readonly #past: PastModel | null;
  readonly #settings: TrainingSettings;
  readonly #team: Team;
  readonly #report: (report: StepReport) => void;
  readonly #checkpoints: Checkpoints | null;
  readonly #optimiser: Optimiser;
  readonly #subject: Subject;
  #best: Best | null = null;
  #heldOut: TokenPool | null = null;
  #scales: Scales | null = null;
  /** Steps done. */
  #done = 0;

  constructor(
    dataset: Dataset,
    config: TransformerConfig,
    past: PastModel | null,
    job: Job,
    team: Team,
    report: (report: StepReport) => void,
    checkpoints: Checkpoints | null,
  ) {
    this.#dataset = dataset;
    this.#config = config;
    this.#past = past;
    this.#settings = job.settings;
    this.#team = team;
    this.#report = report;
    this.#checkpoints = checkpoints;
    const { workspace } = team.runner;
    const initial = initialParameters(
      job.config,
      workspace.layout,
      job.settings.seed,
      job.settings.inputGain,
      dataset.features,
    );
    const { levelJitter, levelNoise, optimiser } = job.settings;
    const linearStart = dataset.task.kind === 'classify' && job.settings.linearStart;
    if (linearStart) {
      const wander = dataset.levelDrift.map((drift) => (levelJitter * drift) ** 2 + levelNoise ** 2);
      startLinear(initial, workspace.layout, dataset, job.config.outputs, wander);
    }
    if (past !== null) startAtNothing(initial, workspace.layout);
    const held = new Set(linearStart ? heldByLinearStart : past === null ? [] : heldByHistory);
    if (!job.settings.routersLearn) {
      for (const { router } of workspace.layout.layers) if (router) held.add(router.weight.name);
    }
    this.#optimiser = new Optimiser(workspace.layout, initial, optimiser, held);
    this.#subject = new Subject(dataset, config, past, job.settings, workspace);
  }

  async run(): Promise<TrainingResult> {
    const { steps, quantisedShare } = this.#settings;
    const switchStep = Math.min(steps - 1, Math.round(steps * (1 - quantisedShare)));
    this.#resume();
    if (this.#scales === null) {
      await this.#floatSteps(switchStep);
      this.#scales = this.#calibrate();
      this.#best = null;
      this.#done = switchStep;
    }
    while (this.#done < steps) await this.#step(this.#done);
    const best = this.#best!;
    return this.#subject.result(best, this.#scales!, this.#routedShares(best.parameters));
  }

  #resume(): void {
    const state = this.#checkpoints?.load() ?? null;
    if (state === null) return;
    this.#optimiser.restore(state.optimiser);
    this.#best = state.best;
    this.#scales = state.scales;
    this.#done = state.step;
  }

  /** Ends early, with the best parameters so far, when validation no longer gets better. */
  async #floatSteps(end: number): Promise<void> {
    while (this.#done < end && !this.#isExhausted()) await this.#step(this.#done);
    if (this.#isExhausted()) this.#optimiser.parameters.set(this.#best!.parameters);
  }

  #isExhausted(): boolean {
    const { evaluateEvery, patience } = this.#settings;
    if (this.#best === null || this.#subject.validator === null) return false;
    return this.#done - 1 - this.#best.step >= evaluateEvery * patience;
  }

  async #step(step: number): Promise<void> {
    const { steps, warmUpShare, learningRate: peak, floorShare, evaluateEvery } = this.#settings;
    const { loss, weight } = await this.#team.step(this.#optimiser.parameters, {
      step,
      scales: this.#scales,
    });
    const rate = learningRate(step, steps, Math.ceil(steps * warmUpShare), peak, peak * floorShare);
    const gradientNorm = this.#optimiser.step(this.#team.gradients, weight, rate);
    const look = (step + 1) % evaluateEvery === 0 || step === steps - 1;
    this.#report({
      step: step + 1,
      steps,
      quantised: this.#scales !== null,
      loss: loss / weight,
      gradientNorm,
      tokens: this.#settings.shards * this.#settings.shardSequences * this.#settings.sequence,
      validation: look ? this.#look(step) : null,
    });
    this.#done = step + 1;
    if (this.#checkpoints?.isDue()) this.#save(this.#checkpoints);
  }

  #save(checkpoints: Checkpoints): void {
    const optimiser = this.#optimiser.state();
    checkpoints.save({ step: this.#done, optimiser, best: this.#best, scales: this.#scales });
  }

  /** Validates the parameters as they are: the float network, or, once there are scales, the engine. */
  #look(step: number): Validation | null {
    const parameters = this.#optimiser.parameters.slice();
    this.#calibrateRouters(parameters);
    const { validator } = this.#subject;
    // The last parameters are the result.
    if (validator === null) {
      this.#best = { step, score: 0, validation: null, parameters };
      return null;
    }
    const validation = validator.validate(
      this.#scales
        ? enginePredictor(this.#subject.model(parameters, this.#scales))
        : this.#floatPredictor(parameters),
    );
    const score = validationScore(validation);
    if (this.#best === null || score > this.#best.score) this.#best = { step, score, validation, parameters };
    return validation;
  }

  #floatPredictor(parameters: Float32Array) {
    const { workspace } = this.#team.runner;
    floats(workspace, workspace.parameters, workspace.layout.count).set(parameters);
    return floatPredictor(workspace);
  }

  #calibrate(): Scales {
    const { runner } = this.#team;
    const { steps } = this.#settings;
    this.#calibrateRouters(this.#optimiser.parameters);
    runner.prepare(this.#optimiser.parameters, null);
    return calibrate(runner.workspace, this.#shape, CALIBRATION_BATCHES, (batch) =>
      runner.sample(steps + batch, 0),
    );
  }

  #calibrateRouters(parameters: Float32Array): void {
    if (!this.#config.routing) return;
    const { workspace } = this.#team.runner;
    const infer = this.#inferHeldOut(parameters);
    calibrateRouters(workspace, this.#shape, parameters, CALIBRATION_BATCHES, infer);
  }

  /** Runs batches of rows that were not trained on, if there are any, as they are. */
  #inferHeldOut(parameters: Float32Array): (batch: number) => void {
    const { runner } = this.#team;
    this.#heldOut ??= this.#makeHeldOut();
    const pool = this.#heldOut;
    return (batch) => {
      runner.prepare(parameters, this.#scales);
      runner.samplePlain(pool, batch);
      runner.infer();
    };
  }

  #makeHeldOut(): TokenPool {
    const { validation, train } = this.#dataset;
    const { pool, seed } = this.#settings;
    const series = validation.length > 0 ? validation : train;
    return makePool(this.#dataset, series, { ...pool, seed }, this.#past?.map ?? null);
  }

  #routedShares(parameters: Float32Array): number[] {
    if (!this.#config.routing) return [];
    const { workspace } = this.#team.runner;
    return routedShares(workspace, this.#shape, CALIBRATION_BATCHES, this.#inferHeldOut(parameters));
  }

  get #shape(): BatchShape {
    return { sequences: this.#settings.shardSequences, length: this.#settings.sequence };
  }
}
