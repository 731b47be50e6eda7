/**
 * Would the cheap tier answer as the full one? A logistic regression on what the gate knows before anything is
 * computed, and a step function (isotonic regression) that makes a probability of its score. Fitted by
 * src/eval/regret-fit.ts, carried by the model's provenance.
 *
 * No exponential is needed: the steps map the regression's score itself, so that every machine decides alike.
 */
import type { Json, ModelMeaning } from '../engine/model.ts';
import { ELAPSED_BUCKETS, elapsedBucket } from './features.ts';
import { Q15_ONE } from './packets.ts';

/** What it looks at, in this order; each from 0 to 1. */
export const regretFeatureNames = [
  'novelty',
  'noveltyOverTypical',
  'rate',
  'firedShare',
  'lambdaOverReference',
  'elapsed',
  'doubt',
] as const;
/** Multiples of what is typical, and of the reference, beyond these are not told apart. */
const NOVELTY_TIMES_MAX = 8;
const LAMBDA_TIMES_MAX = 2;
/** Steps of the step function at most. */
export const REGRET_STEPS_MAX = 128;

export interface RegretModel {
  /** One per feature. */
  readonly weights: readonly number[];
  readonly bias: number;
  /** Ascending scores; from `scores[i]` on the probability is `probabilities[i + 1]`, below all of them the first. */
  readonly scores: readonly number[];
  /** 0 to 1, never falling; one more than scores. */
  readonly probabilities: readonly number[];
}

/** What a witness has of a token before it is computed. */
export interface RegretEvidence {
  readonly noveltyQ15: number;
  readonly noveltyTypicalQ15: number;
  readonly rateQ15: number;
  readonly firedCount: number;
  readonly channels: number;
  readonly ready: boolean;
  readonly lambdaQ15: number;
  readonly lambdaReferenceQ15: number;
  readonly elapsedIntervals: number;
  readonly doubtQ15: number;
}

/** Writes the features of a token to `out` [features]. */
export function regretFeatures(evidence: RegretEvidence, out: Float64Array): void {
  const { noveltyQ15, noveltyTypicalQ15, lambdaQ15, lambdaReferenceQ15 } = evidence;
  const times = noveltyTypicalQ15 === 0 ? NOVELTY_TIMES_MAX : noveltyQ15 / noveltyTypicalQ15;
  const coherent = evidence.ready && lambdaReferenceQ15 > 0;
  out[0] = noveltyQ15 / Q15_ONE;
  out[1] = Math.min(times, NOVELTY_TIMES_MAX) / NOVELTY_TIMES_MAX;
  out[2] = evidence.rateQ15 / Q15_ONE;
  out[3] = evidence.firedCount / evidence.channels;
  out[4] = coherent ? Math.min(lambdaQ15 / lambdaReferenceQ15, LAMBDA_TIMES_MAX) / LAMBDA_TIMES_MAX : 0.5;
  out[5] = elapsedBucket(evidence.elapsedIntervals) / (ELAPSED_BUCKETS - 1);
  out[6] = evidence.doubtQ15 / Q15_ONE;
}

export class RegretGate {
  /** The bias behind the weights: a double that stands alone is allocated when it is read. */
  readonly #weights: Float64Array;
  readonly #scores: Float64Array;
  readonly #probabilitiesQ15: Int32Array;
  readonly #features = new Float64Array(regretFeatureNames.length);

  constructor(model: RegretModel) {
    this.#weights = Float64Array.from([...model.weights, model.bias]);
    this.#scores = Float64Array.from(model.scores);
    this.#probabilitiesQ15 = Int32Array.from(model.probabilities, (p) => Math.round(p * Q15_ONE));
  }

  /** Probability, Q15, that tier 1 would answer otherwise than tier 0. */
  predict(evidence: RegretEvidence): number {
    regretFeatures(evidence, this.#features);
    let score = this.#weights[this.#features.length]!;
    for (let i = 0; i < this.#features.length; i++) score += this.#weights[i]! * this.#features[i]!;
    let step = 0;
    while (step < this.#scores.length && score >= this.#scores[step]!) step++;
    return this.#probabilitiesQ15[step]!;
  }
}

/** Key of a model's provenance. */
export const regretKey = 'regret';

/** The regret model that a model carries; undefined if none. Throws RangeError if it makes no sense. */
export function regretModelOf({ provenance }: Pick<ModelMeaning, 'provenance'>): RegretModel | undefined {
  const found = provenance[regretKey];
  return found === undefined ? undefined : requireRegretModel(found);
}

function requireRegretModel(found: Json): RegretModel {
  const { weights, bias, scores, probabilities } = (found ?? {}) as Record<string, Json>;
  const model = {
    weights: requireNumbers('weights', weights),
    bias: requireNumbers('bias', [bias ?? null])[0]!,
    scores: requireNumbers('scores', scores),
    probabilities: requireNumbers('probabilities', probabilities),
  };
  const { length } = model.scores;
  requireThat(
    'weights',
    model.weights.length === regretFeatureNames.length,
    `${regretFeatureNames.length} numbers`,
  );
  requireThat(
    'scores',
    length <= REGRET_STEPS_MAX && isAscending(model.scores),
    `up to ${REGRET_STEPS_MAX} ascending numbers`,
  );
  const proper =
    model.probabilities.length === length + 1 && isAscending([-1e-9, ...model.probabilities, 1 + 1e-9]);
  requireThat('probabilities', proper, `${length + 1} numbers from 0 to 1 that never fall`);
  return model;
}

function requireNumbers(name: string, value: Json | undefined): readonly number[] {
  requireThat(name, Array.isArray(value) && value.every((one) => Number.isFinite(one)), 'finite numbers');
  return value as readonly number[];
}

function requireThat(name: string, holds: boolean, expected: string): void {
  if (!holds) throw new RangeError(`provenance.${regretKey}.${name}: expected ${expected}`);
}

function isAscending(values: readonly number[]): boolean {
  return values.every((value, index) => index === 0 || values[index - 1]! <= value);
}
