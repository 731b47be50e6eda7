/** From float parameters that somebody trained, wherever, to an int8 model: calibrated on a recording, compared there. */
import { ConfigError, type TransformerConfig } from '../engine/config.ts';
import type { Model, ModelMeaning } from '../engine/model.ts';
import { type Series, sliceSeries } from '../recording/recording.ts';
import { calibrate } from './calibrate.ts';
import { type Comparison, comparer } from './compare.ts';
import type { Dataset } from './dataset.ts';
import { enginePredictor, floatPredictor, type Predictor, type Validation, Validator } from './evaluate.ts';
import type { FloatModel } from './float-model.ts';
import { quantise, type Scales } from './quantise.ts';
import type { TrainingSettings } from './settings.ts';
import { ShardRunner } from './shard.ts';
import { type NormRanges, normRanges, sharedGains, smoothGains } from './smooth.ts';
import { makePool } from './tokens.ts';
import type { Workspace } from './workspace.ts';

const CALIBRATION_BATCHES = 16;
/** Smoothings are tried on so many parts of so many training rows: of all that happens there. */
const PARTS = 16;
const PART_ROWS = 128;

/** A gain for each channel is taken if it leaves out at least this share of the error. */
const LEAST_GAIN = 0.05;

/**
 * fixed: the gain that training uses. none: one gain per norm that fits what was seen. A number: SmoothQuant's alpha,
 * 0 to 1.
 */
export type Smoothing = 'fixed' | 'none' | number;

/** What a search tries. */
export const smoothings: readonly Smoothing[] = [
  'fixed',
  'none',
  0,
  0.1,
  0.2,
  0.3,
  0.4,
  0.5,
  0.6,
  0.7,
  0.8,
  0.9,
  1,
];

export interface Trial {
  readonly smoothing: Smoothing;
  /** See Comparison, on training rows. */
  readonly relativeError: number;
}

export interface PostTraining {
  readonly model: Model;
  /** The best of `trials`: by its error on training rows, so that nothing is chosen on what is compared. */
  readonly smoothing: Smoothing;
  readonly trials: readonly Trial[];
  /** On the rows set aside, or else on the training rows. */
  readonly comparison: Comparison;
  /** Quality of both on the rows set aside; null if there are none. */
  readonly float: Validation | null;
  readonly engine: Validation | null;
}

/**
 * `dataset`: with the channels and spikes that the model was trained for. `candidates`: at least one. `onTrial` is told
 * before each of them. Throws ConfigError for a model with a history, which training quantises itself.
 */
export function quantiseFloatModel(
  dataset: Dataset,
  { config, parameters }: FloatModel,
  settings: TrainingSettings,
  candidates: readonly Smoothing[] = smoothings,
  onTrial: (smoothing: Smoothing, index: number) => void = () => {},
): PostTraining {
  if (config.history !== undefined) {
    throw new ConfigError(
      'config.history: expected none, got one: training quantises its path over the past',
    );
  }
  const { kind } = dataset.task;
  const pool = makePool(dataset, dataset.train, { ...settings.pool, seed: settings.seed });
  const runner = new ShardRunner({ config, kind, pool, settings });
  const { workspace } = runner;
  runner.prepare(parameters, null);
  const shape = { sequences: settings.shardSequences, length: settings.sequence };
  const fill = (batch: number) => runner.samplePlain(pool, batch);
  const scales = calibrate(workspace, shape, CALIBRATION_BATCHES, fill);
  const ranges = normRanges(workspace, shape, CALIBRATION_BATCHES, fill);
  const modelWith = (smoothing: Smoothing) => {
    const own = withGains(workspace, parameters, scales, ranges, smoothing);
    return modelOf(dataset, workspace, parameters, own, typeof smoothing === 'number');
  };
  const trials = tryAll(dataset, workspace, candidates, modelWith, onTrial);
  const smoothing = bestOf(trials);
  return { smoothing, trials, ...judged(dataset, workspace, modelWith(smoothing)) };
}

/** The least error; but a gain for each channel must be worth its while. */
function bestOf(trials: readonly Trial[]): Smoothing {
  const weighed = ({ smoothing, relativeError }: Trial) =>
    typeof smoothing === 'number' ? relativeError : (1 - LEAST_GAIN) * relativeError;
  return trials.reduce((best, trial) => (weighed(trial) < weighed(best) ? trial : best)).smoothing;
}

/** `settings` with batches in which the windows of all layers fit. */
export function settingsFor(
  { layers, window }: TransformerConfig,
  settings: TrainingSettings,
): TrainingSettings {
  const tokens = settings.sequence * settings.shardSequences;
  const sequence = Math.max(settings.sequence, 2 * window);
  const rows = layers * window + tokens;
  return { ...settings, sequence, shardSequences: Math.ceil(rows / sequence) };
}

function withGains(
  { layout }: Workspace,
  parameters: Float32Array,
  scales: Scales,
  ranges: NormRanges,
  smoothing: Smoothing,
): Scales {
  if (smoothing === 'fixed') return scales;
  const gains =
    smoothing === 'none' ? sharedGains(ranges) : smoothGains(layout, parameters, ranges, smoothing);
  return { ...scales, gains };
}

function modelOf(
  dataset: Dataset,
  { config, layout }: Workspace,
  parameters: Float32Array,
  scales: Scales,
  byChannel: boolean,
): Model {
  const { channels, intervalMs, task, spikes, features } = dataset;
  const { weights } = quantise(config, layout, parameters, scales);
  const refinement = config.refinement && { refinement: { gainQ16: 0 } };
  const meaning: ModelMeaning = {
    channels,
    intervalMs,
    task,
    spikes,
    ...(features === 'trends' && { features }),
    ...refinement,
    provenance: {},
  };
  return { config: byChannel ? { ...config, normGains: 'channel' } : config, weights, meaning };
}

/** Each candidate's error on training rows. */
function tryAll(
  dataset: Dataset,
  workspace: Workspace,
  candidates: readonly Smoothing[],
  modelWith: (smoothing: Smoothing) => Model,
  onTrial: (smoothing: Smoothing, index: number) => void,
): Trial[] {
  const [only] = candidates;
  if (candidates.length === 1) return [{ smoothing: only!, relativeError: Number.NaN }];
  const compare = comparer(dataset, trialRows(dataset.train), floatPredictor(workspace));
  return candidates.map((smoothing, index) => {
    onTrial(smoothing, index);
    const { relativeError } = compare(enginePredictor(modelWith(smoothing)));
    return { smoothing, relativeError };
  });
}

/** `PARTS` parts of `PART_ROWS` rows, at even distances through all series, or all rows if there are no more. */
export function trialRows(series: readonly Series[]): readonly Series[] {
  const total = series.reduce((sum, { rows }) => sum + rows, 0);
  if (total <= PARTS * PART_ROWS) return series;
  return Array.from({ length: PARTS }, (_, part) => {
    let from = Math.floor((part * (total - PART_ROWS)) / (PARTS - 1));
    let index = 0;
    while (from >= series[index]!.rows) from -= series[index++]!.rows;
    const one = series[index]!;
    return sliceSeries(one, from, Math.min(one.rows, from + PART_ROWS));
  });
}

function judged(
  dataset: Dataset,
  workspace: Workspace,
  quantised: Model,
): Omit<PostTraining, 'smoothing' | 'trials'> {
  const { validation, train } = dataset;
  const float = floatPredictor(workspace);
  const engine = enginePredictor(quantised);
  const validator = validation.length === 0 ? null : new Validator(dataset, validation, workspace);
  const model = withThreshold(quantised, validator ?? new Validator(dataset, train, workspace), engine);
  return {
    model,
    comparison: comparer(dataset, validation.length === 0 ? train : validation, float)(engine),
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
