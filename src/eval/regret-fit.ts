/**
 * Fits what the gate's energy policy follows: the probability that tier 1 would answer otherwise than tier 0.
 *
 * Each token of a recording is run twice from the same past: at tier 1 with its keys and values frozen, so that it
 * leaves no trace, then at tier 0. The regression is fitted on rows that the model was trained on, its probabilities on
 * rows that it was not: a model is surer where it was trained.
 */
import { Engine } from '../engine/engine.ts';
import { LOGIT_ONE } from '../engine/limits.ts';
import type { Model } from '../engine/model.ts';
import type { Plan } from '../engine/plan.ts';
import { energyPolicy } from '../gate/policy.ts';
import { REGRET_STEPS_MAX, type RegretModel, regretFeatureNames, regretFeatures } from '../gate/regret.ts';
import { Pipeline, type PipelineEngine } from '../gateway/pipeline.ts';
import type { Series } from '../recording/recording.ts';
import { fitIsotonic, stepAt } from '../statistics/isotonic.ts';
import { fitLogistic, logOdds } from '../statistics/logistic.ts';
import { EvaluationError } from './evaluate.ts';

/** Tokens and whether the tiers differed at them. */
export interface RegretTokens {
  /** [tokens x features]. */
  readonly features: Float64Array;
  /** [tokens], 1 where they differed. */
  readonly differs: Uint8Array;
}

const columns = regretFeatureNames.length;
/** Weak: against separable rows only. */
const RIDGE = 1;
const BIN_MIN = 20;
/** Fewer tokens calibrate nothing. */
export const TOKENS_MIN = 200;

/**
 * Runs `series`, each from its first row, with the spikes of the model. `tolerance`: root mean square difference of the
 * outputs, in channel scales, from which forecasts and anomaly predictions differ; classes differ or not.
 */
export function collectTokens(model: Model, series: readonly Series[], tolerance: number): RegretTokens {
  const probe = new ProbingEngine(model, tolerance);
  const always: RegretModel = { weights: Array(columns).fill(0), bias: 0, scores: [], probabilities: [1] };
  const pipeline = new Pipeline(probe, 0, { policy: energyPolicy, regret: always });
  const features: number[] = [];
  const differs: number[] = [];
  const row = new Float64Array(columns);
  for (const one of series) {
    pipeline.reset();
    const channels = one.values.length / one.rows;
    const frame = { timeMs: 0, values: new Float64Array(channels) };
    for (let at = 0; at < one.rows; at++) {
      frame.timeMs = one.timeMs[at]!;
      frame.values.set(one.values.subarray(at * channels, (at + 1) * channels));
      const witness = pipeline.tick(frame);
      // The first token of a stream is never decided by regret.
      if (witness.tier === 3 || at === 0) continue;
      regretFeatures(witness, row);
      features.push(...row);
      differs.push(probe.differs ? 1 : 0);
    }
  }
  return { features: Float64Array.from(features), differs: Uint8Array.from(differs) };
}

/** An engine that looks what tier 1 would have said before it does what it is asked for. */
class ProbingEngine implements PipelineEngine {
  differs = false;
  readonly #engine: Engine;
  readonly #tolerance: number;
  readonly #cheap: Int32Array;

  constructor(model: Model, tolerance: number) {
    this.#engine = new Engine(model);
    this.#tolerance = tolerance;
    this.#cheap = new Int32Array(model.config.outputs);
  }

  get model() {
    return this.#engine.model;
  }

  get plans() {
    return this.#engine.plans;
  }

  get logits() {
    return this.#engine.logits;
  }

  get stats() {
    return this.#engine.stats;
  }

  cost(plan: Plan) {
    return this.#engine.cost(plan);
  }

  reset(stream: number): void {
    this.#engine.reset(stream);
  }

  step(stream: number, features: Int16Array, plan: Plan): void {
    const engine = this.#engine;
    engine.step(stream, features, engine.plans[1]!.freeze);
    this.#cheap.set(engine.logits);
    engine.step(stream, features, plan);
    this.differs = this.#compare(engine.logits);
  }

  #compare(full: Int32Array): boolean {
    const { task, channels } = this.#engine.model.meaning;
    if (task.kind === 'classify') return top(full) !== top(this.#cheap);
    const compared = task.kind === 'anomaly' ? channels.length : full.length;
    let squares = 0;
    for (let i = 0; i < compared; i++) squares += ((full[i]! - this.#cheap[i]!) / LOGIT_ONE) ** 2;
    return Math.sqrt(squares / compared) > this.#tolerance;
  }
}

function top(logits: Int32Array): number {
  return logits.reduce((best, logit, index) => (logit > logits[best]! ? index : best), 0);
}

/** The regression by `fit`, its probabilities by `held`. Throws EvaluationError if there are too few tokens. */
export function fitRegret(fit: RegretTokens, held: RegretTokens): RegretModel {
  for (const [what, { differs }] of [
    ['training', fit],
    ['validation', held],
  ] as const) {
    if (differs.length >= TOKENS_MIN) continue;
    throw new EvaluationError(
      `expected ${TOKENS_MIN} tokens or more in the ${what} rows, got ${differs.length}`,
    );
  }
  const logistic = fitLogistic(fit.features, fit.differs, columns, RIDGE);
  const scores = Float64Array.from(held.differs, (_, row) => logOdds(logistic, held.features, row));
  const steps = fitIsotonic(scores, held.differs, BIN_MIN, REGRET_STEPS_MAX);
  return { weights: [...logistic.weights], bias: logistic.bias, ...steps };
}

/** How good the probabilities are, on some tokens. */
export interface RegretCheck {
  readonly tokens: number;
  /** Share of tokens at which the tiers differed, and what was predicted of it in the mean. */
  readonly realised: number;
  readonly predicted: number;
  /** Mean squared error of the probability, and that of saying `realised` each time. */
  readonly brier: number;
  readonly brierOfMean: number;
  /** Mean distance of predicted and realised, over ten bins of equal size. */
  readonly calibrationError: number;
  /** Per limit of the policy: the share of tokens below it, and how many of those differed after all. */
  readonly curve: readonly {
    readonly limit: number;
    readonly cheapShare: number;
    readonly realised: number;
  }[];
}

const limits = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1];
const BINS = 10;

export function checkRegret(model: RegretModel, { features, differs }: RegretTokens): RegretCheck {
  const weights = Float64Array.from(model.weights);
  const predicted = Float64Array.from(differs, (_, row) =>
    stepAt(model, logOdds({ weights, bias: model.bias }, features, row)),
  );
  const realised = mean(differs);
  return {
    tokens: differs.length,
    realised,
    predicted: mean(predicted),
    brier: mean(predicted.map((p, row) => (p - differs[row]!) ** 2)),
    brierOfMean: realised * (1 - realised),
    calibrationError: calibrationError(predicted, differs),
    curve: limits.map((limit) => {
      const cheap = [...differs.keys()].filter((row) => predicted[row]! <= limit);
      return {
        limit,
        cheapShare: cheap.length / differs.length,
        realised: cheap.length === 0 ? Number.NaN : mean(cheap.map((row) => differs[row]!)),
      };
    }),
  };
}

function calibrationError(predicted: Float64Array, differs: Uint8Array): number {
  const order = [...predicted.keys()].sort((a, b) => predicted[a]! - predicted[b]!);
  let error = 0;
  for (let bin = 0; bin < BINS; bin++) {
    const rows = order.slice(
      Math.floor((bin * order.length) / BINS),
      Math.floor(((bin + 1) * order.length) / BINS),
    );
    if (rows.length === 0) continue;
    const distance = Math.abs(
      mean(rows.map((row) => predicted[row]!)) - mean(rows.map((row) => differs[row]!)),
    );
    error += (rows.length / order.length) * distance;
  }
  return error;
}

function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
}
