/** From trained parameters to the model that is kept, and what it is worth on rows that were not trained on. */
import type { TransformerConfig } from '../engine/config.ts';
import type { Model, ModelWeights, Task } from '../engine/model.ts';
import type { Series } from '../recording/recording.ts';
import type { Best } from './checkpoint.ts';
import type { Dataset } from './dataset.ts';
import { enginePredictor, tierPredictor, type Validation, Validator, validationScore } from './evaluate.ts';
import type { PastModel } from './past-model.ts';
import { quantise, type Scales } from './quantise.ts';
import type { TrainingSettings } from './settings.ts';
import type { Workspace } from './workspace.ts';

export interface TrainingResult {
  readonly model: Model;
  /** Of the linear path over the past without a transformer; null where there is none, or no rows were set aside. */
  readonly alone: Validation | null;
  /** Of the int8 engine; null if no rows were set aside for it. */
  readonly validation: Validation | null;
  /**
   * [layers + rounds]: the int8 engine's result at the exit after each layer, and after each round of refinement; empty
   * if no rows were set aside.
   */
  readonly exits: readonly Validation[];
  /** Tiers 0 to 2 of a model with a history, by the int8 engine; empty of others, or if no rows were set aside. */
  readonly tiers: readonly Validation[];
  /** The int8 engine on the rows that were left out; null if none were. */
  readonly leftOut: Validation | null;
  readonly bestStep: number;
  /** [routed layers]: the share of tokens that goes through, on the rows set aside or else on the training rows. */
  readonly routedShares: readonly number[];
  /** [layout.count]: the float parameters behind the model. */
  readonly parameters: Float32Array;
}

/** What a run trains, and by what it judges. */
export class Subject {
  readonly config: TransformerConfig;
  /** null: there are no rows to validate on. */
  readonly validator: Validator | null;
  readonly #dataset: Dataset;
  readonly #past: PastModel | null;
  readonly #settings: TrainingSettings;
  readonly #workspace: Workspace;

  constructor(
    dataset: Dataset,
    config: TransformerConfig,
    past: PastModel | null,
    settings: TrainingSettings,
    workspace: Workspace,
  ) {
    this.config = config;
    this.#dataset = dataset;
    this.#past = past;
    this.#settings = settings;
    this.#workspace = workspace;
    this.validator = dataset.validation.length === 0 ? null : this.#validatorOf(dataset.validation);
  }

  #validatorOf(series: readonly Series[]): Validator {
    return new Validator(this.#dataset, series, this.#workspace, this.#past?.map ?? null);
  }

  /** Of the best parameters. `shares`: see TrainingResult.routedShares. */
  result({ step, parameters, validation }: Best, scales: Scales, shares: readonly number[]): TrainingResult {
    const whole = this.model(parameters, scales, this.#taskWithThreshold(parameters, scales));
    const alone = this.#pathAlone(whole);
    const isAlone = this.#settings.lineAlone || (alone !== null && isAsGood(alone, validation));
    const model = isAlone ? withoutTransformer(whole) : whole;
    return {
      model,
      alone,
      validation: model === whole ? validation : alone,
      exits: this.validator === null || this.#settings.lineAlone ? [] : this.#exits(whole, this.validator),
      tiers: this.#tiers(model),
      leftOut: this.#scoreLeftOut(model),
      bestStep: step + 1,
      routedShares: shares,
      parameters,
    };
  }

  /** What the linear path over the past is worth by itself; null without one, or without rows to say. */
  #pathAlone(model: Model): Validation | null {
    if (this.#past === null || this.validator === null) return null;
    return this.validator.validate(enginePredictor(model, 0));
  }

  #tiers(model: Model): Validation[] {
    const { validator } = this;
    if (this.#past === null || validator === null) return [];
    return ([0, 1, 2] as const).map((tier) => validator.validate(tierPredictor(model, tier)));
  }

  #exits(model: Model, validator: Validator): Validation[] {
    const { tiers, refinement } = this.config;
    const [{ layers }] = tiers;
    const ofLayers = Array.from({ length: layers }, (_, layer) => enginePredictor(model, layer + 1, 0));
    const ofRounds = Array.from({ length: refinement?.rounds ?? 0 }, (_, round) =>
      enginePredictor(model, layers, round + 1),
    );
    return [...ofLayers, ...ofRounds].map((predictor) => validator.validate(predictor));
  }

  #scoreLeftOut(model: Model): Validation | null {
    const { leftOut = [] } = this.#dataset;
    if (leftOut.length === 0) return null;
    return this.#validatorOf(leftOut).validate(enginePredictor(model));
  }

  #taskWithThreshold(parameters: Float32Array, scales: Scales): Task {
    const { task } = this.#dataset;
    if (task.kind !== 'anomaly' || task.chart !== undefined) return task;
    // Training rows are a poor second: they are less surprising than any others.
    const validator = this.validator ?? this.#validatorOf(this.#dataset.train);
    const threshold = validator.anomalyThreshold(enginePredictor(this.model(parameters, scales, task)));
    return { kind: 'anomaly', threshold };
  }

  #weights(parameters: Float32Array, scales: Scales): ModelWeights {
    const { config, layout } = this.#workspace;
    const { weights } = quantise(config, layout, parameters, scales);
    if (this.#past === null) return weights;
    const { linear: _, ...rest } = weights;
    return { ...rest, history: this.#past.weights };
  }

  /** Quantised. Where it comes from is not told yet. */
  model(parameters: Float32Array, scales: Scales, task = this.#dataset.task): Model {
    const { channels, intervalMs, spikes, features } = this.#dataset;
    // As long as the answer gets more confident at all.
    const refinement = this.config.refinement && { refinement: { gainQ16: 0 } };
    const seen = features === 'trends' && { features };
    const meaning = { channels, intervalMs, task, spikes, ...seen, ...refinement, provenance: {} };
    return { config: this.config, weights: this.#weights(parameters, scales), meaning };
  }
}

function isAsGood(one: Validation, other: Validation | null): boolean {
  return other !== null && validationScore(one) >= validationScore(other);
}

/** The transformer stays in the file, and is never run. */
function withoutTransformer(model: Model): Model {
  const tiers = model.config.tiers.map((tier) => ({ ...tier, layers: 0 }));
  return { ...model, config: { ...model.config, tiers: tiers as unknown as TransformerConfig['tiers'] } };
}
