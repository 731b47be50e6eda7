/** What the heads of a model attend to on real tokens: the probabilities of its dense attention, by age. */

import { Engine } from '../engine/engine.ts';
import type { Model } from '../engine/model.ts';
import { BLOCK_POSITIONS } from '../engine/patterns.ts';
import type { KvMode, Plan } from '../engine/plan.ts';
import { Pipeline } from '../gateway/pipeline.ts';
import type { PipelineEngine } from '../gateway/pipeline-options.ts';
import type { Series } from '../recording/recording.ts';

/** A token as a pipeline made it. */
export interface Token {
  readonly features: Int16Array;
  readonly kv: KvMode;
  /** How novel it was, Q15. */
  readonly mark: number;
  /** Ticks before it that were skipped. */
  readonly held: number;
}

/** One token's attention: [layers][heads], and for all of them the marks of what lies in the window. */
export interface AttentionSample {
  readonly position: number;
  readonly heads: readonly (readonly HeadSample[])[];
  /** [window] by age; 0 where there is nothing. */
  readonly marks: Int32Array;
}

export interface HeadSample {
  /** [window] by age: shares of the attention that the sink leaves, which sum to 1. */
  readonly shares: Float64Array;
  /** By number of the block, how well its summed keys meet the query. */
  readonly blocks: ReadonlyMap<number, number>;
}

/** What a pipeline would run of each series. `everyTick`: without a gate. */
export function collectTokens(model: Model, series: readonly Series[], everyTick: boolean): Token[][] {
  return series.map((one) => {
    const recorder = new TokenRecorder(model);
    const pipeline = new Pipeline(recorder, 0, { policy: 'steady', anytime: false, gating: !everyTick });
    const channels = one.values.length / one.rows;
    const frame = { timeMs: 0, values: new Float64Array(channels) };
    for (let row = 0; row < one.rows; row++) {
      frame.timeMs = one.timeMs[row]!;
      frame.values.set(one.values.subarray(row * channels, (row + 1) * channels));
      const { noveltyQ15, tier } = pipeline.tick(frame);
      if (tier !== 3) recorder.markLast(noveltyQ15);
    }
    return recorder.tokens;
  });
}

/** An engine that notes what it is asked for. */
class TokenRecorder implements PipelineEngine {
  readonly tokens: Token[] = [];
  readonly model;
  readonly plans;
  readonly logits;
  readonly stats;
  readonly marks = new Int32Array(0);
  readonly #engine: Engine;
  #held = 0;

  constructor(model: Model) {
    this.#engine = new Engine(model);
    this.model = model;
    this.plans = this.#engine.plans;
    this.logits = this.#engine.logits;
    this.stats = this.#engine.stats;
  }

  step(stream: number, features: Int16Array, plan: Plan): void {
    this.#engine.step(stream, features, plan);
    this.tokens.push({ features: features.slice(), kv: plan.kv, mark: 0, held: this.#held });
    this.#held = 0;
  }

  markLast(mark: number): void {
    this.tokens.push({ ...this.tokens.pop()!, mark });
  }

  hold(stream: number, ticks: number): void {
    this.#engine.hold(stream, ticks);
    this.#held += ticks;
  }

  cost(plan: Plan) {
    return this.#engine.cost(plan);
  }

  reset(stream: number): void {
    this.#engine.reset(stream);
  }
}

/** The same model with dense attention of int8. */
export function denseOf(model: Model): Model {
  const { patterns: _, keyValues: __, ...config } = model.config;
  return { ...model, config };
}

/** Appends tokens to the stream of an engine, at tier 0. */
export function append(engine: Engine, token: Token): void {
  if (token.held > 0) engine.hold(0, token.held);
  if (engine.marks.length > 0) engine.marks[0] = token.mark;
  engine.step(0, token.features, engine.plans[0]![token.kv]);
}

/**
 * About `count` samples, evenly spread over the tokens that have a window's past. `dense`: see `denseOf`. Fewer where the
 * streams are short; none if no stream is longer than the window.
 */
export function sampleAttention(
  dense: Model,
  streams: readonly (readonly Token[])[],
  count: number,
): AttentionSample[] {
  const { window } = dense.config;
  const eligible = streams.reduce((sum, tokens) => sum + Math.max(0, tokens.length - window), 0);
  const every = Math.max(1, Math.floor(eligible / count));
  const samples: AttentionSample[] = [];
  let seen = 0;
  for (const tokens of streams) {
    const probe = new AttentionProbe(dense);
    for (const [at, token] of tokens.entries()) {
      if (at >= window && seen++ % every === 0) samples.push(probe.sample(token));
      probe.append(token);
    }
  }
  return samples;
}

/** An engine whose memory is looked into. */
class AttentionProbe {
  readonly #model: Model;
  readonly #engine: Engine;
  readonly #bytes: Int8Array;
  readonly #positions: Float64Array;
  /** By slot. */
  readonly #marks: Int32Array;
  #next = 0;
  #position = 0;

  constructor(model: Model) {
    this.#model = model;
    this.#engine = new Engine(model);
    this.#bytes = new Int8Array(this.#engine.memory.buffer);
    const { slotPositions } = this.#engine.memoryPlan.layout;
    const slots = model.config.sequence + 1;
    this.#positions = new Float64Array(
      this.#engine.memory.buffer,
      slotPositions,
      model.config.layers * slots,
    );
    this.#marks = new Int32Array(slots);
  }

  append(token: Token): void {
    append(this.#engine, token);
    this.#position++;
    if (token.kv === 'flush') this.#next = 0;
    if (token.kv === 'freeze') return;
    this.#marks[this.#next] = token.mark;
    this.#next = (this.#next + 1) % this.#model.config.sequence;
  }

  /** What `token` would attend to; it is not appended. */
  sample(token: Token): AttentionSample {
    const { config } = this.#model;
    const heads = Array.from({ length: config.layers }, (_, layer) => {
      const engine = this.#engine;
      engine.step(0, token.features, engine.exits[layer]!.freeze);
      engine.rollback(0, 1);
      return Array.from({ length: config.heads }, (_, head) => this.#look(layer, head));
    });
    const marks = new Int32Array(config.window);
    this.#forSlots(0, (slot, age) => {
      marks[age] = this.#marks[slot]!;
    });
    return { position: this.#position, heads, marks };
  }

  /** The query lies where the last layer that ran has left it. */
  #look(layer: number, head: number): HeadSample {
    const { keys, slotBytes, queryKeyValue, layers } = this.#engine.memoryPlan.layout;
    const { headStride, width } = layers[layer]!.attention;
    const { sequence, window } = this.#model.config;
    const weights = this.#model.weights.layers[layer]!;
    const query = queryKeyValue + head * headStride;
    const scores = new Map<number, number>();
    const blocks = new Map<number, number>();
    const see = (key: number, age: number) => {
      let product = 0;
      for (let d = 0; d < headStride; d++) product += this.#bytes[query + d]! * this.#bytes[key + d]!;
      scores.set(age, (product + weights.ageBias[head * window + age]!) * weights.exponentScale[head]!);
      const block = Math.floor((this.#position - age) / BLOCK_POSITIONS);
      blocks.set(block, (blocks.get(block) ?? 0) + product);
    };
    see(query + width, 0);
    this.#forSlots(layer, (slot, age) =>
      see(keys + (layer * (sequence + 1) + slot) * slotBytes + head * headStride, age),
    );
    return { shares: softmaxByAge(scores, window), blocks };
  }

  #forSlots(layer: number, see: (slot: number, age: number) => void): void {
    const { sequence, window } = this.#model.config;
    for (let slot = 0; slot < sequence; slot++) {
      const age = this.#position - this.#positions[layer * (sequence + 1) + slot]!;
      if (age > 0 && age < window) see(slot, age);
    }
  }
}

/** Scores in 1/256 octaves. */
function softmaxByAge(scores: ReadonlyMap<number, number>, window: number): Float64Array {
  const top = Math.max(...scores.values());
  const shares = new Float64Array(window);
  let total = 0;
  for (const [age, score] of scores) {
    shares[age] = 2 ** ((score - top) / 256);
    total += shares[age]!;
  }
  return shares.map((share) => share / total);
}
