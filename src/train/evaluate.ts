/** How good the network is on validation series, with the output held between tokens. */
import { Engine } from '../engine/engine.ts';
import { LOGIT_ONE } from '../engine/limits.ts';
import type { Model } from '../engine/model.ts';
import type { Plan } from '../engine/plan.ts';
import type { Series } from '../recording/recording.ts';
import type { Dataset } from './dataset.ts';
import { loss } from './losses.ts';
import { forward } from './network.ts';
import type { PastMap } from './past.ts';
import { writeTarget } from './sampler.ts';
import { makePool, plainPool, type TokenPool } from './tokens.ts';
import { warmUp } from './warm-up.ts';
import { exitTapes, floats, integers, type Workspace } from './workspace.ts';

/** One stream. */
export interface TokenSequence {
  /** int16 [count, width]; with a history the components of each channel's past are among them. */
  readonly features: Int16Array;
  readonly count: number;
  /** [count], ascending. */
  readonly ticks: ArrayLike<number>;
  /** [count], as the engine's; of use where heads pin. */
  readonly marks: Int32Array;
  /** [count, outputs]: where the past leads by itself; null without a history. */
  readonly forecasts: Float32Array | null;
}

/** Real logits [tokens, outputs] of one stream, from a cold start. */
export type Predictor = (tokens: TokenSequence) => Float32Array;

export interface StreamScore {
  /** Share of all ticks, skipped ones included, whose held output was right; classify only. */
  readonly accuracy: number | null;
  /** Mean loss of the tokens, each weighted by the ticks that its output is held. */
  readonly loss: number;
  /** Tokens over ticks. */
  readonly tokenShare: number;
}

export interface Validation {
  readonly dense: StreamScore;
  /** With the thresholds that the model ships with. */
  readonly gated: StreamScore;
}

/** An anomaly's threshold: this quantile of the scores on normal rows. */
const THRESHOLD_QUANTILE = 0.995;

/** The validation series, encoded both ways. */
export class Validator {
  readonly #pool: TokenPool;
  readonly #workspace: Workspace;
  readonly #series: number;

  /** [series] rows at their beginnings that are not scored. */
  readonly #pasts: readonly number[];

  /**
   * `workspace` tells task and sizes; its batch is overwritten by `floatPredictor`. `past`: of a model with a history,
   * which then sees what was recorded before each series.
   */
  constructor(
    dataset: Dataset,
    series: readonly Series[],
    workspace: Workspace,
    past: PastMap | null = null,
  ) {
    const warm = warmUp(dataset, series, past?.rows ?? 0);
    this.#pool = makePool(
      dataset,
      warm.map((one) => one.series),
      plainPool,
      past,
    );
    this.#pasts = warm.map((one) => one.past);
    this.#workspace = workspace;
    this.#series = series.length;
  }

  validate(predict: Predictor): Validation {
    return { dense: this.#score(0, predict), gated: this.#score(1, predict) };
  }

  /** The loss of each token of the dense streams: what an anomaly score looks like on normal rows. */
  denseLosses(predict: Predictor): Float64Array {
    const losses: number[] = [];
    for (let stream = 0; stream < this.#series; stream++) {
      const { logits, targets, weights, tokens } = this.#predictStream(stream, predict);
      const { outputs } = this.#workspace.config;
      const size = this.#workspace.targetSize;
      const settings = { kind: this.#workspace.kind, labelSmoothing: 0 };
      for (let token = 0; token < tokens; token++) {
        if (weights[token] === 0) continue;
        const own = logits.subarray(token * outputs, (token + 1) * outputs);
        const target = targets.subarray(token * size, (token + 1) * size);
        losses.push(loss(settings, own, target, Float32Array.of(1), 1, outputs, null, 1));
      }
    }
    return Float64Array.from(losses);
  }

  /** From which score on a tick is an anomaly: a high quantile of the scores on these rows, which are taken for normal. */
  anomalyThreshold(predict: Predictor): number {
    const scores = this.denseLosses(predict).sort();
    return scores[Math.floor(THRESHOLD_QUANTILE * (scores.length - 1))] ?? 0;
  }

  #score(variant: number, predict: Predictor): StreamScore {
    const { config, kind } = this.#workspace;
    const settings = { kind, labelSmoothing: 0 };
    let sum = 0;
    let weight = 0;
    let right = 0;
    let ticks = 0;
    let tokenCount = 0;
    for (let stream = variant * this.#series; stream < (variant + 1) * this.#series; stream++) {
      const { logits, targets, weights, tokens } = this.#predictStream(stream, predict);
      sum += loss(settings, logits, targets, weights, tokens, config.outputs, null, 1);
      weight += weights.reduce((total, value) => total + value, 0);
      tokenCount += tokens;
      const held = this.#countRight(stream, logits, tokens);
      right += held.right;
      ticks += held.ticks;
    }
    const accuracy = kind === 'classify' ? right / ticks : null;
    return { accuracy, loss: sum / Math.max(1, weight), tokenShare: tokenCount / ticks };
  }

  #predictStream(stream: number, predict: Predictor) {
    const pool = this.#pool;
    const size = this.#workspace.targetSize;
    const start = pool.streamStarts[stream]!;
    const tokens = pool.streamStarts[stream + 1]! - start;
    const width = pool.featureCount;
    const { outputs } = this.#workspace.config;
    const logits = predict({
      features: pool.features.slice(start * width, (start + tokens) * width),
      count: tokens,
      ticks: pool.ticks.subarray(start, start + tokens),
      marks: pool.marks.subarray(start, start + tokens),
      forecasts: pool.forecasts?.subarray(start * outputs, (start + tokens) * outputs) ?? null,
    });
    const scoredFrom = pool.ticks[start]! + this.#pasts[stream % this.#series]!;
    const targets = new Float32Array(tokens * size).fill(Number.NaN);
    const weights = new Float32Array(tokens);
    for (let token = 0; token < tokens; token++) {
      const row = targets.subarray(token * size, (token + 1) * size);
      const tick = pool.ticks[start + token]!;
      const known = writeTarget(this.#workspace, pool, tick, pool.streamEnds[stream]!, null, null, row);
      weights[token] = known && tick >= scoredFrom ? pool.hold[start + token]! : 0;
    }
    return { logits, targets, weights, tokens };
  }

  /** Labelled ticks, and those whose label the held output names. */
  #countRight(stream: number, logits: Float32Array, tokens: number): { right: number; ticks: number } {
    const pool = this.#pool;
    const { outputs } = this.#workspace.config;
    const start = pool.streamStarts[stream]!;
    let right = 0;
    let ticks = 0;
    for (let token = 0; token < tokens; token++) {
      const named = largestIndex(logits, token * outputs, outputs);
      const from = pool.ticks[start + token]!;
      for (let tick = from; tick < from + pool.hold[start + token]!; tick++) {
        ticks++;
        if (pool.labels[tick] === named) right++;
      }
    }
    return { right, ticks };
  }
}

/** The first largest, as the gateway names it. */
function largestIndex(values: Float32Array, at: number, count: number): number {
  let best = 0;
  for (let index = 1; index < count; index++) if (values[at + index]! > values[at + best]!) best = index;
  return best;
}

/**
 * The float network with the workspace's parameters, `layers` deep, or whole with all rounds of refinement: overlapping
 * windows as long as the batch allows.
 */
export function floatPredictor(workspace: Workspace, layers = exitTapes(workspace).length): Predictor {
  const { config, limits } = workspace;
  // A token depends on this many before it; a window repeats them.
  const past = Math.min(layers, config.layers) * (config.window - 1);
  const length = limits.rows;
  if (past >= length) throw new RangeError(`batch: expected more than ${past} tokens, got ${length}`);
  return ({ features, count: tokens, marks, forecasts }) => {
    const logits = new Float32Array(tokens * config.outputs);
    for (const tape of workspace.layers) floats(workspace, tape.keep, 1)[0] = 1;
    for (let done = 0; done < tokens; ) {
      const from = Math.max(0, done - past);
      const to = Math.min(tokens, from + length);
      const part = features.subarray(from * config.features, to * config.features);
      new Int16Array(workspace.memory.buffer, workspace.features, part.length).set(part);
      integers(workspace, workspace.marks, to - from).set(marks.subarray(from, to));
      forward(workspace, { sequences: 1, length: to - from });
      const place = exitTapes(workspace)[layers - 1]!.logits + 4 * (done - from) * config.outputs;
      logits.set(floats(workspace, place, (to - done) * config.outputs), done * config.outputs);
      done = to;
    }
    if (forecasts !== null) for (let i = 0; i < logits.length; i++) logits[i]! += forecasts[i]!;
    return logits;
  };
}

/** The int8 engine itself, at tier 0 with all rounds of refinement, or with fewer layers or rounds. */
export function enginePredictor(
  model: Model,
  layers = model.config.tiers[0].layers,
  rounds = layers < model.config.layers ? 0 : (model.config.refinement?.rounds ?? 0),
): Predictor {
  const engine = new Engine(model);
  const plan = { ...engine.plans[0]!.write, layers };
  if (rounds > 0 || model.config.history !== undefined) return steppingPredictor(engine, plan, rounds);
  const { features: width, outputs } = model.config;
  return ({ features, count: tokens, marks }) => {
    engine.reset(0);
    const logits = new Float32Array(tokens * outputs);
    for (let done = 0; done < tokens; done += engine.rows) {
      const count = Math.min(engine.rows, tokens - done);
      if (engine.marks.length > 0) engine.marks.set(marks.subarray(done, done + count));
      engine.prefill(0, features.subarray(done * width, (done + count) * width), count, plan);
      for (let row = 0; row < count; row++) {
        engine.rowLogits(row).forEach((logit, output) => {
          logits[(done + row) * outputs + output] = logit / LOGIT_ONE;
        });
      }
    }
    return logits;
  };
}

/** The int8 engine with every token at one tier. */
export function tierPredictor(model: Model, tier: 0 | 1 | 2): Predictor {
  const engine = new Engine(model);
  return steppingPredictor(engine, engine.plans[tier]!.write, 0);
}

/** Where rounds follow a tick at once, or time passes between two: ticks go one by one. */
function steppingPredictor(engine: Engine, plan: Plan, rounds: number): Predictor {
  const { outputs } = engine.config;
  return ({ features, count, ticks, marks }) => {
    const width = features.length / count;
    engine.reset(0);
    const logits = new Float32Array(count * outputs);
    for (let token = 0; token < count; token++) {
      const passed = token === 0 ? 0 : ticks[token]! - ticks[token - 1]! - 1;
      if (passed > 0) engine.hold(0, passed);
      if (engine.marks.length > 0) engine.marks[0] = marks[token]!;
      engine.step(0, features.subarray(token * width, (token + 1) * width), plan);
      for (let round = 0; round < rounds; round++) engine.refine();
      for (let output = 0; output < outputs; output++) {
        logits[token * outputs + output] = engine.logits[output]! / LOGIT_ONE;
      }
    }
    return logits;
  };
}

/** Larger is better: accuracy of both encodings (or minus the loss), the loss breaking ties. */
export function validationScore({ dense, gated }: Validation): number {
  const loss = (dense.loss + gated.loss) / 2;
  if (dense.accuracy === null || gated.accuracy === null) return -loss;
  return (dense.accuracy + gated.accuracy) / 2 - 1e-3 * loss;
}
