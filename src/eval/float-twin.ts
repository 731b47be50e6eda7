/**
 * The float32 network in the engine's place, for a pipeline in which every tick is a token: one pass notes what the engine
 * would be given, the network computes it in batches, a second pass is answered from that.
 */
import { hasPins } from '../engine/config.ts';
import type { Engine } from '../engine/engine.ts';
import { LOGIT_ONE } from '../engine/limits.ts';
import type { PipelineEngine } from '../gateway/pipeline-options.ts';
import { floatPredictor, type TokenSequence } from '../train/evaluate.ts';
import type { FloatModel } from '../train/float-model.ts';
import { realPast, tracePast } from '../train/past.ts';
import { type FloatPast, networkConfig } from '../train/past-model.ts';
import { tokenShape } from '../train/tokens.ts';
import { floats, makeWorkspace } from '../train/workspace.ts';

/** Rows of a batch beyond the past that they need. */
const BATCH_ROWS = 512;
/** A logit stays an int32. */
const LOGIT_MAX = 2 ** 31 - 1;

interface SeenToken {
  readonly features: Int16Array;
  readonly tick: number;
  readonly mark: number;
}

export class FloatTwin implements PipelineEngine {
  readonly model;
  readonly plans;
  readonly stats;
  readonly logits: Int32Array;
  readonly marks: Int32Array;
  readonly #engine: Engine;
  readonly #float: FloatModel;
  /** Per stream between two resets: features of its tokens, then their logits. */
  readonly #seen: SeenToken[][] = [];
  #answers: Float32Array[] | null = null;
  #stream = -1;
  #token = 0;
  #tick = 0;

  /** `engine`: of the model that `float` is behind; says what a step would cost. */
  constructor(engine: Engine, float: FloatModel) {
    this.#engine = engine;
    this.#float = float;
    this.model = engine.model;
    this.plans = engine.plans;
    this.stats = engine.stats;
    this.logits = new Int32Array(engine.config.outputs);
    this.marks = new Int32Array(hasPins(engine.config) ? 1 : 0);
  }

  /** Between the two passes. */
  compute(): void {
    const { parameters, past } = this.#float;
    const config = networkConfig(this.#float.config);
    const rows = config.layers * (config.window - 1) + BATCH_ROWS;
    const workspace = makeWorkspace(config, this.model.meaning.task.kind, { sequences: 1, rows });
    floats(workspace, workspace.parameters, workspace.layout.count).set(parameters);
    const predict = floatPredictor(workspace);
    this.#answers = this.#seen.map((tokens) => {
      const sequence = this.#sequenceOf(tokens, past);
      const { forecasts } = sequence;
      return forecasts !== null && config.tiers[0].layers === 0 ? forecasts : predict(sequence);
    });
    this.#stream = -1;
  }

  #sequenceOf(tokens: readonly SeenToken[], past: FloatPast | undefined): TokenSequence {
    const { config, meaning } = this.model;
    const width = config.features;
    const features = new Int16Array(tokens.length * width);
    for (const [token, { features: own }] of tokens.entries()) features.set(own, token * width);
    const ticks = tokens.map(({ tick }) => tick);
    const marks = Int32Array.from(tokens, ({ mark }) => mark);
    if (past === undefined) return { features, count: tokens.length, ticks, marks, forecasts: null };
    const trace = tracePast(realPast(past.fit, past.step), features, tokenShape(meaning), ticks);
    return { features: trace.features, count: tokens.length, ticks, marks, forecasts: trace.forecasts };
  }

  hold(_: number, ticks: number): void {
    this.#tick += ticks;
  }

  reset(): void {
    this.#stream++;
    this.#token = this.#tick = 0;
    if (this.#answers === null) this.#seen.push([]);
  }

  step(_: number, features: Int16Array): void {
    const tick = this.#tick++;
    const mark = this.marks[0] ?? 0;
    if (this.#answers === null) this.#seen[this.#stream]!.push({ features: features.slice(), tick, mark });
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
