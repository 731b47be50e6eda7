/**
 * Fits what the gate's energy policy follows: the probability that tier 1 would answer otherwise than tier 0.
 *
 * Each token of a recording is run twice from the same past: at tier 1 with its keys and values frozen, so that it
 * leaves no trace, then at tier 0. The regression is fitted on the rows that the model was trained on. Its probabilities
 * are the larger of what these rows show and what the validation rows show: a model is surer where it was trained, and
 * validation rows may be of a calmer time.
 */
import { Engine } from '../engine/engine.ts';
import { LOGIT_ONE } from '../engine/limits.ts';
import type { Model } from '../engine/model.ts';
import type { Plan } from '../engine/plan.ts';
import { energyPolicy } from '../gate/policy.ts';
import { REGRET_STEPS_MAX, type RegretModel, regretFeatureNames, regretFeatures } from '../gate/regret.ts';
import { Pipeline } from '../gateway/pipeline.ts';
import type { PipelineEngine } from '../gateway/pipeline-options.ts';
import type { Series } from '../recording/recording.ts';
import { fitIsotonic, largerOf, type StepFunction, stepAt } from '../statistics/isotonic.ts';
import { fitLogistic, type Logistic, logOdds } from '../statistics/logistic.ts';
import { EvaluationError } from './match-recording.ts';

/** Tokens and whether the tiers differed at them. */
export interface RegretTokens {
  /** [tokens x features]. */
  readonly features: Float64Array;
  /** [tokens], 1 where the answers differed: another class, or outputs further apart than the tolerance. */
  readonly differs: Uint8Array;
  /**
   * [tokens], 1 where they came near to it: probabilities further apart than the tolerance. Other classes are too rare
   * to fit a regression on, so it ranks by this, and only the probabilities are made from `differs`.
   */
  readonly nears: Uint8Array;
}

/** Rows that are run, and the first that counts. */
export interface RegretRows {
  readonly series: Series;
  readonly scoredFrom: number;
}

const columns = regretFeatureNames.length;
/** Weak: against separable rows only. */
const RIDGE = 1;
const BIN_MIN = 20;
/** Fewer tokens calibrate nothing. */
const TOKENS_MIN = 200;

/**
 * Runs each part from its first row, with the spikes of the model; tokens count from `scoredFrom` on. `tolerance`: difference of a class's probability;
 * of forecasts and anomaly predictions the root mean square difference in channel scales.
 */
export function collectTokens(model: Model, parts: readonly RegretRows[], tolerance: number): RegretTokens {
  const probe = new ProbingEngine(model, tolerance);
  const always: RegretModel = { weights: Array(columns).fill(0), bias: 0, scores: [], probabilities: [1] };
  const pipeline = new Pipeline(probe, 0, { policy: energyPolicy, regret: always });
  const features: number[] = [];
  const differs: number[] = [];
  const nears: number[] = [];
  const row = new Float64Array(columns);
  for (const { series: one, scoredFrom } of parts) {
    pipeline.reset();
    const channels = one.values.length / one.rows;
    const frame = { timeMs: 0, values: new Float64Array(channels) };
    for (let at = 0; at < one.rows; at++) {
      frame.timeMs = one.timeMs[at]!;
      frame.values.set(one.values.subarray(at * channels, (at + 1) * channels));
      const witness = pipeline.tick(frame);
      // The first token of a stream is never decided by regret.
      if (witness.tier === 3 || at === 0 || at < scoredFrom) continue;
      regretFeatures(witness, row);
      features.push(...row);
      differs.push(Number(probe.differs));
      nears.push(Number(probe.nears));
    }
  }
  return {
    features: Float64Array.from(features),
    differs: Uint8Array.from(differs),
    nears: Uint8Array.from(nears),
  };
}

/** An engine that looks what tier 1 would have said before it does what it is asked for. */
class ProbingEngine implements PipelineEngine {
  differs = false;
  nears = false;
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

  get marks() {
    return this.#engine.marks;
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

  hold(stream: number, ticks: number): void {
    this.#engine.hold(stream, ticks);
  }

  step(stream: number, features: Int16Array, plan: Plan): void {
    const engine = this.#engine;
    const mark = engine.marks[0] ?? 0;
    engine.step(stream, features, engine.plans[1]!.freeze);
    this.#cheap.set(engine.logits);
    engine.rollback(stream, 1); // a frozen token writes nothing, but it makes those before it a token older
    if (engine.marks.length > 0) engine.marks[0] = mark;
    engine.step(stream, features, plan);
    this.#compare(engine.logits);
  }

  #compare(full: Int32Array): void {
    const { task, channels } = this.#engine.model.meaning;
    if (task.kind === 'classify') {
      const [one, other] = [softmax(full), softmax(this.#cheap)];
      this.differs = top(full) !== top(this.#cheap);
      this.nears = this.differs || one.some((p, index) => Math.abs(p - other[index]!) > this.#tolerance);
      return;
    }
    const compared = task.kind === 'anomaly' ? channels.length : full.length;
    let squares = 0;
    for (let i = 0; i < compared; i++) squares += ((full[i]! - this.#cheap[i]!) / LOGIT_ONE) ** 2;
    this.differs = this.nears = Math.sqrt(squares / compared) > this.#tolerance;
  }
}

function top(logits: Int32Array): number {
  return logits.reduce((best, logit, index) => (logit > logits[best]! ? index : best), 0);
}

function softmax(logits: Int32Array): Float64Array {
  const most = logits[top(logits)]!;
  const powers = Float64Array.from(logits, (logit) => Math.exp((logit - most) / LOGIT_ONE));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

/** The regression by `fit`, its probabilities by both. Throws EvaluationError if there are too few tokens. */
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
  const logistic = fitLogistic(fit.features, fit.nears, columns, RIDGE);
  const steps = largerOf(stepsOf(logistic, fit), stepsOf(logistic, held));
  return { weights: [...logistic.weights], bias: logistic.bias, ...steps };
}

function stepsOf(logistic: Logistic, { features, differs }: RegretTokens): StepFunction {
  const scores = Float64Array.from(differs, (_, row) => logOdds(logistic, features, row));
  return fitIsotonic(scores, differs, BIN_MIN, Math.floor(REGRET_STEPS_MAX / 2));
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
