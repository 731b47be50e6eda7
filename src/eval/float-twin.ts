/**
 * The float32 network in the engine's place, for a pipeline in which every tick is a token: one pass notes what the engine
 * would be given, the network computes it in batches, a second pass is answered from that.
 */
import type { Engine } from '../engine/engine.ts';
import { LOGIT_ONE } from '../engine/limits.ts';
import type { PipelineEngine } from '../gateway/pipeline.ts';
import { floatPredictor } from '../train/evaluate.ts';
import type { FloatModel } from '../train/float-model.ts';
import { floats, makeWorkspace } from '../train/workspace.ts';

/** Rows of a batch beyond the past that they need. */
const BATCH_ROWS = 512;
/** A logit stays an int32. */
const LOGIT_MAX = 2 ** 31 - 1;

export class FloatTwin implements PipelineEngine {
  readonly model;
  readonly plans;
  readonly stats;
  readonly logits: Int32Array;
  readonly marks = new Int32Array(0);
  readonly #engine: Engine;
  readonly #float: FloatModel;
  /** Per stream between two resets: features of its tokens, then their logits. */
  readonly #seen: Int16Array[][] = [];
  #answers: Float32Array[] | null = null;
  #stream = -1;
  #token = 0;

  /** `engine`: of the model that `float` is behind; says what a step would cost. */
  constructor(engine: Engine, float: FloatModel) {
    this.#engine = engine;
    this.#float = float;
    this.model = engine.model;
    this.plans = engine.plans;
    this.stats = engine.stats;
    this.logits = new Int32Array(engine.config.outputs);
  }

  /** Between the two passes. */
  compute(): void {
    const { config, parameters } = this.#float;
    const rows = config.layers * (config.window - 1) + BATCH_ROWS;
    const workspace = makeWorkspace(config, this.model.meaning.task.kind, { sequences: 1, rows });
    floats(workspace, workspace.parameters, workspace.layout.count).set(parameters);
    const predict = floatPredictor(workspace);
    this.#answers = this.#seen.map((tokens) => {
      const features = new Int16Array(tokens.length * config.features);
      for (const [token, one] of tokens.entries()) features.set(one, token * config.features);
      return predict(features, tokens.length);
    });
    this.#stream = -1;
  }

  reset(): void {
    this.#stream++;
    this.#token = 0;
    if (this.#answers === null) this.#seen.push([]);
  }

  hold(): void {}

  step(_: number, features: Int16Array): void {
    if (this.#answers === null) this.#seen[this.#stream]!.push(features.slice());
    else this.#answer(this.#answers[this.#stream]!);
    this.#token++;
  }

  #answer(logits: Float32Array): void {
    const { length } = this.logits;
    for (let output = 0; output < length; output++) {
      const rounded = Math.round(LOGIT_ONE * logits[this.#token * length + output]!);
      this.logits[output] = Math.max(-LOGIT_MAX, Math.min(LOGIT_MAX, rounded));
    }
  }

  cost(plan: Parameters<Engine['cost']>[0]): ReturnType<Engine['cost']> {
    return this.#engine.cost(plan);
  }
}
