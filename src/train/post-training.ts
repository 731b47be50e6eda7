/** From float parameters that somebody trained, wherever, to an int8 model: calibrated on a recording, compared there. */
import type { TransformerConfig } from '../engine/config.ts';
import type { Model, ModelMeaning } from '../engine/model.ts';
import { calibrate } from './calibrate.ts';
import { type Comparison, compare } from './compare.ts';
import type { Dataset } from './dataset.ts';
import { enginePredictor, floatPredictor, type Predictor, type Validation, Validator } from './evaluate.ts';
import type { FloatModel } from './float-model.ts';
import { quantise, type Scales } from './quantise.ts';
import type { TrainingSettings } from './settings.ts';
import { ShardRunner } from './shard.ts';
import { makePool } from './tokens.ts';
import type { Workspace } from './workspace.ts';

const CALIBRATION_BATCHES = 16;

export interface PostTraining {
  readonly model: Model;
  /** On the rows set aside, or else on the training rows. */
  readonly comparison: Comparison;
  /** Quality of both on the rows set aside; null if there are none. */
  readonly float: Validation | null;
  readonly engine: Validation | null;
}

/** `dataset`: with the channels and spikes that the model was trained for. */
export function quantiseFloatModel(
  dataset: Dataset,
  { config, parameters }: FloatModel,
  settings: TrainingSettings,
): PostTraining {
  const { kind } = dataset.task;
  const pool = makePool(dataset, dataset.train, { ...settings.pool, seed: settings.seed });
  const runner = new ShardRunner({ config, kind, pool, settings });
  const { workspace } = runner;
  runner.prepare(parameters, null);
  const shape = { sequences: settings.shardSequences, length: settings.sequence };
  const scales = calibrate(workspace, shape, CALIBRATION_BATCHES, (batch) => runner.samplePlain(pool, batch));
  return judged(dataset, workspace, modelOf(dataset, workspace, parameters, scales));
}

/** `settings` with batches in which the windows of all layers fit. */
export function settingsFor(
  { layers, window }: TransformerConfig,
  settings: TrainingSettings,
): TrainingSettings {
  const tokens = settings.sequence * settings.shardSequences;
  const sequence = Math.max(settings.sequence, 2 * window);
  const rows = Math.max(tokens, layers * window + tokens);
  return { ...settings, sequence, shardSequences: Math.ceil(rows / sequence) };
}

function modelOf(
  dataset: Dataset,
  { config, layout }: Workspace,
  parameters: Float32Array,
  scales: Scales,
): Model {
  const { channels, intervalMs, task, spikes } = dataset;
  const { weights } = quantise(config, layout, parameters, scales);
  const refinement = config.refinement && { refinement: { gainQ16: 0 } };
  const meaning: ModelMeaning = { channels, intervalMs, task, spikes, ...refinement, provenance: {} };
  return { config, weights, meaning };
}

function judged(dataset: Dataset, workspace: Workspace, quantised: Model): PostTraining {
  const { validation, train } = dataset;
  const float = floatPredictor(workspace);
  const engine = enginePredictor(quantised);
  const validator = validation.length === 0 ? null : new Validator(dataset, validation, workspace);
  const model = withThreshold(quantised, validator ?? new Validator(dataset, train, workspace), engine);
  return {
    model,
    comparison: compare(model.meaning, validation.length === 0 ? train : validation, float, engine),
    float: validator?.validate(float) ?? null,
    engine: validator?.validate(engine) ?? null,
  };
}

/** Training rows are a poor second: they are less surprising than any others. */
function withThreshold(model: Model, validator: Validator, engine: Predictor): Model {
  if (model.meaning.task.kind !== 'anomaly') return model;
  const task = { kind: 'anomaly', threshold: validator.anomalyThreshold(engine) } as const;
  return { ...model, meaning: { ...model.meaning, task } };
}
