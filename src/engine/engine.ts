/**
 * The transformer: causal, pre-norm, int8, on memory that was all allocated at start.
 *
 * `#forward` is the whole of it and reads like the paper; the arithmetic of each line is in docs/integer-rules.md.
 */
import { hasPins, isRouted, type TransformerConfig } from './config.ts';
import {
  type Cost,
  componentMacs,
  componentWeightBytes,
  embeddingMacs,
  embeddingWeightBytes,
  feedForwardMacs,
  feedForwardWeightBytes,
  forecastMacs,
  forecastWeightBytes,
  headMacs,
  headWeightBytes,
  historyRank,
  keyValueMacs,
  keyValueWeightBytes,
  layerMacs,
  layerWeightBytes,
  planCost,
  routerWeightBytes,
} from './cost.ts';
import { Histories } from './history.ts';
import { sigmoidQ15 } from './integer.ts';
import { chooseKernels } from './kernels/choose.ts';
import type { KernelName, Kernels } from './kernels/contract.ts';
import { KvRings } from './kv-rings.ts';
import { assert, FEATURE_MAX, WASM_PAGE_BYTES } from './limits.ts';
import type { FeedForwardLayout, MemoryLayout } from './memory-layout.ts';
import { type MemoryPlan, padded, planMemory } from './memory-plan.ts';
import type { Gain, Model } from './model.ts';
import { exitTable, type Plan, type PlanTable, planTable } from './plan.ts';
import { writeWeights } from './write-weights.ts';

export interface EngineOptions {
  /** Independent sequences over the one set of weights; default 1. */
  readonly streams?: number;
  /** Ticks that one prefill or batch may hold; default the sequence, at most 64. */
  readonly rows?: number;
  /** The engine throws rather than take more memory than this. */
  readonly maxBytes?: number;
  /** Default: the fastest that passes its self-test here. */
  readonly kernels?: KernelName;
}

/** Which outputs of a prefill are wanted. */
export type Wanted = 'all' | 'last';

/** What the last call really did. */
export interface StepStats {
  tokens: number;
  layers: number;
  /** Multiply-accumulates, padding not counted. */
  macs: number;
  /** Bytes of weights read, padding not counted: once for all tokens of the call. */
  weightBytes: number;
  /** Positions attended to, summed over tokens and layers. */
  positions: number;
  /**
   * Ring slots read (a token's own key and value are not read from the ring; where heads differ, their mean) and
   * written, over all layers; and the bytes of that, padding not counted.
   */
  kvReads: number;
  kvWrites: number;
  kvReadBytes: number;
  kvWriteBytes: number;
}

const PREFILL_ROWS = 64;

/** Bytes that an engine of one stream takes for this configuration. Throws RangeError if it can't be had. */
export function engineBytes(config: TransformerConfig): number {
  return planMemory(config, 1, defaultRows(config)).totalBytes;
}

function defaultRows({ sequence }: TransformerConfig): number {
  return Math.min(PREFILL_ROWS, sequence);
}

export class Engine {
  readonly model: Model;
  readonly config: TransformerConfig;
  readonly streams: number;
  readonly rows: number;
  /** `plans[tier][kv]`, for tiers 0 to 2. */
  readonly plans: PlanTable;
  /** `exits[layers - 1][kv]`: tier 0 left after its first so many layers. The last entry is tier 0 itself. */
  readonly exits: PlanTable;
  readonly memoryPlan: MemoryPlan;
  readonly memory: WebAssembly.Memory;
  /** [outputs] Q16: the output at the last position. The same array always; refilled by each call. */
  readonly logits: Int32Array;
  /**
   * [rows] How much each row's token deserves to stay visible to heads that look at pinned positions; 0: not. Filled
   * before a call, cleared by it. Empty if no head does.
   */
  readonly marks: Int32Array;
  readonly stats: StepStats = {
    tokens: 0,
    layers: 0,
    macs: 0,
    weightBytes: 0,
    positions: 0,
    kvReads: 0,
    kvWrites: 0,
    kvReadBytes: 0,
    kvWriteBytes: 0,
  };
  readonly #layout: MemoryLayout;
  readonly #kernels: Kernels;
  readonly #rings: KvRings;
  /** Only if the configuration has a history. */
  readonly #histories: Histories | undefined;
  readonly #features: Int16Array;
  readonly #rowLogits: readonly Int32Array[];
  readonly #costs: ReadonlyMap<Plan, Cost>;
  readonly #bytes: Uint8Array;
  /** [1] what the last router said; empty without routing. */
  readonly #routeLogit: Int32Array;
  /** [rows] layers that the tick in each row has gone through. */
  readonly #depths: Uint8Array;
  /** Rounds of refinement since the last call that was none. */
  #rounds = 0;

  /** Takes all its memory now. Throws RangeError if it does not fit the budget or an option is out of range. */
  constructor(model: Model, options: EngineOptions = {}) {
    this.model = model;
    this.config = model.config;
    this.streams = options.streams ?? 1;
    this.rows = options.rows ?? defaultRows(this.config);
    this.memoryPlan = planMemory(this.config, this.streams, this.rows);
    requireBudget(this.memoryPlan.totalBytes, options.maxBytes);
    this.memory = fixedMemory(this.memoryPlan.totalBytes);
    this.#layout = this.memoryPlan.layout;
    this.#kernels = chooseKernels(this.memory, this.#layout.widened, options.kernels);
    const kernel = this.#kernels.name;
    this.#rings = new KvRings(this.config, this.streams, this.rows, this.memory, this.#layout, kernel);
    this.marks = new Int32Array(hasPins(this.config) ? this.rows : 0);
    if (this.config.history !== undefined) {
      this.#histories = new Histories(model, this.streams, this.rows, this.memory, this.#layout);
    }
    writeWeights(this.memory, this.#layout, this.#kernels, model);
    this.plans = planTable(this.config);
    this.exits = exitTable(this.plans);
    this.#costs = new Map(
      [...this.plans, ...this.exits].flatMap((modes) =>
        Object.values(modes).map((plan) => [plan, planCost(this.config, plan)]),
      ),
    );
    this.#bytes = new Uint8Array(this.memory.buffer);
    this.#routeLogit = new Int32Array(this.memory.buffer, this.#layout.route, this.config.routing ? 1 : 0);
    this.#depths = new Uint8Array(this.rows);
    const { features, featureBytes, rowLogits, logits } = this.#layout;
    const outputs = this.config.outputs;
    this.#features = new Int16Array(this.memory.buffer, features, (this.rows * featureBytes) / 2);
    this.#rowLogits = Array.from(
      { length: this.rows },
      (_, row) => new Int32Array(this.memory.buffer, rowLogits + row * padded(outputs) * 4, outputs),
    );
    this.logits = new Int32Array(this.memory.buffer, logits, outputs);
  }

  /** The kernels in use. */
  get kernel(): KernelName {
    return this.#kernels.name;
  }

  /**
   * Appends one tick: features int16[features] Q10 -> `logits`, `stats`. `row`: where the tick stays for `deepen`;
   * default 0.
   */
  step(stream: number, features: Int16Array, plan: Plan, row = 0): void {
    assert(row >= 0 && row < this.rows, 'a row of this engine');
    this.#take(features, row, 1);
    this.#open(stream, plan);
    this.#enter(row, stream, plan);
    this.#begin(1, plan.layers);
    this.#forward(row, row + 1, plan, 'all', this.#layout.logits - row * this.#layout.logitBytes);
  }

  /**
   * Appends `count` ticks of one stream at once: features int16[count x features] -> `logits` of the last tick and,
   * if `wanted` is all, `rowLogits` of each. The same bits as `count` steps, then and afterwards; if only the last is
   * wanted, only the cone that reaches it is computed. A flush empties the ring once, before the first tick. Throws
   * RangeError if `count` is not 1 to `rows`.
   */
  prefill(stream: number, features: Int16Array, count: number, plan: Plan, wanted: Wanted = 'all'): void {
    this.#requireCount(count);
    this.#take(features, 0, count);
    this.#open(stream, plan);
    for (let row = 0; row < count; row++) this.#enter(row, stream, plan);
    this.#begin(count, plan.layers);
    // A budget of routed layers depends on every row.
    const isBudgeted = (this.config.routing?.capacity ?? 1) < 1;
    this.#forward(0, count, plan, isBudgeted ? 'all' : wanted, this.#layout.rowLogits);
    this.logits.set(this.#rowLogits[count - 1]!);
  }

  /**
   * Appends one tick to each of `count` streams: features int16[count x features] -> `rowLogits` of each. The same
   * bits as `count` steps, but each weight is loaded once for several streams. A stream may occur again: its later
   * row is its later tick. Throws RangeError if `count` is not 1 to `rows`.
   */
  stepBatch(streams: Int32Array, features: Int16Array, count: number, plan: Plan): void {
    this.#requireCount(count);
    this.#take(features, 0, count);
    for (let row = 0; row < count; row++) this.#open(streams[row]!, plan);
    for (let row = 0; row < count; row++) this.#enter(row, streams[row]!, plan);
    this.#begin(count, plan.layers);
    this.#forward(0, count, plan, 'all', this.#layout.rowLogits);
    this.logits.set(this.#rowLogits[count - 1]!);
  }

  /**
   * Takes the ticks in rows 0 to `count` through the layers of `plan` that they have not gone through yet, at once
   * -> `rowLogits` of each, `logits` of the last. The same bits as if each had run `plan` in the first place, if that
   * differs from what it ran in layers alone. Together they take one more head than that.
   */
  deepen(count: number, plan: Plan): void {
    this.#requireCount(count);
    const done = this.#depths[0]!;
    for (let row = 0; row < count; row++) assert(this.#depths[row] === done, 'rows of one depth');
    this.#begin(count, plan.layers);
    for (let index = done; index < plan.layers; index++) this.#layer(index, 0, 0, count, plan);
    this.#depths.fill(plan.layers, 0, count);
    this.#predict(0, count, this.#layout.rowLogits);
    this.logits.set(this.#rowLogits[count - 1]!);
  }

  /**
   * Gives the layers of `plan` that the tick in row 0 has not gone through keys and values all the same, made from
   * what it left: CALM's state propagation (Schuster et al. 2022). Without it those layers have a hole at this tick,
   * as routed layers always have.
   */
  propagate(plan: Plan): void {
    this.#begin(1, plan.layers);
    for (let index = this.#depths[0]!; index < plan.layers; index++) {
      if (isRouted(this.config, index)) continue;
      this.#normaliseForAttention(index, 0, 1);
      this.#rememberOnly(index, 0, 1, plan);
    }
  }

  /**
   * One more round of the refinement block on the tick in row 0 -> `logits`, `stats`. Keys and values stay as they
   * are: later ticks see what the layers left.
   */
  refine(): void {
    const { config, model } = this;
    const block = this.#layout.refinement;
    assert(block !== undefined && model.weights.refinement !== undefined, 'a model with a refinement');
    assert(this.#rounds < config.refinement!.rounds, 'rounds are bounded');
    const round = this.#rounds + 1;
    this.#begin(1, 0);
    this.#rounds = round;
    this.#feedForward(block, model.weights.refinement.feedForwardGain, 0, 1);
    this.#charge(feedForwardMacs(config), feedForwardWeightBytes(config));
    this.#predict(0, 1, this.#layout.logits);
  }

  /**
   * Takes the newest `count` ticks of a stream back, as if they had not been appended. Exact as long as what they
   * displaced was out of every window: window + count <= sequence. What a flush dropped stays lost. With a history
   * only ticks since the last `hold` can be taken back, `rows` at most.
   */
  rollback(stream: number, count: number): void {
    this.#requireStream(stream);
    this.#rings.rollback(stream, count);
    this.#histories?.rollback(stream, count, this.#rings.isBegin(stream));
  }

  /**
   * `ticks` passed since the last one that was appended: in the history of each channel its last value stands for
   * them. Nothing is computed; without a history nothing happens.
   */
  hold(stream: number, ticks: number): void {
    this.#requireStream(stream);
    this.#histories?.hold(stream, ticks);
  }

  /** [outputs] Q16: row `row` of the last prefill or batch. */
  rowLogits(row: number): Int32Array {
    assert(row >= 0 && row < this.rows, 'a row of the last prefill');
    return this.#rowLogits[row]!;
  }

  /** The most that one step of this plan can take; `stats` never exceeds it. */
  cost(plan: Plan): Cost {
    return this.#costs.get(plan) ?? planCost(this.config, plan);
  }

  /**
   * Everything that the streams remember, as views of the memory in a fixed order: what was copied out of them and is
   * copied back, into an engine of the same model with as many streams, makes it go on from there, bit for bit.
   */
  states(): readonly Uint8Array[] {
    return this.memoryPlan.regions
      .filter(({ owner }) => owner === 'kv')
      .map(({ offset, bytes }) => new Uint8Array(this.memory.buffer, offset, bytes));
  }

  /** Forgets everything that a stream has seen. */
  reset(stream: number): void {
    this.#requireStream(stream);
    this.#rings.reset(stream);
    this.#histories?.empty(stream);
  }

  /** The transformer: rows `from` to `to` -> logits. What the `wanted` outputs do not need is left out. */
  #forward(from: number, to: number, plan: Plan, wanted: Wanted, logits: number): void {
    const memory = this.config.window - 1;
    const embedded = plan.layers > 0 ? this.#coneRows(plan, 0) + memory : 1;
    this.#summarise(firstRow(wanted, from, to, embedded), to, plan);
    if (plan.layers > 0) this.#embed(firstRow(wanted, from, to, embedded), to);
    for (let index = 0; index < plan.layers; index++) {
      const computed = firstRow(wanted, from, to, this.#coneRows(plan, index));
      const written = firstRow(wanted, from, to, this.#coneRows(plan, index) + memory);
      this.#layer(index, written, computed, to, plan);
    }
    this.#depths.fill(plan.layers, from, to);
    this.#extrapolate(firstRow(wanted, from, to, 1), to, plan);
    this.#predict(firstRow(wanted, from, to, 1), to, logits);
  }

  #embed(from: number, to: number): void {
    const { features, featureBytes, embedding, residual, residualBytes } = this.#layout;
    this.#kernels.embed(
      features + from * featureBytes,
      embedding,
      residual + from * residualBytes,
      to - from,
    );
    this.#charge((to - from) * embeddingMacs(this.config), embeddingWeightBytes(this.config));
  }

  /** Rows from `written` on give the layer keys and values; rows from `computed` on go through it. */
  #layer(index: number, written: number, computed: number, to: number, plan: Plan): void {
    if (this.#layout.layers[index]!.router === undefined) this.#block(index, written, computed, to, plan);
    else this.#route(index, written, computed, to, plan);
  }

  /** Mixture-of-depths (Raposo et al. 2024): a row goes through the layer, scaled by its router, or around it. */
  #route(index: number, written: number, computed: number, to: number, plan: Plan): void {
    const { before, residual, residualBytes } = this.#layout;
    for (let row = written; row < to; row++) {
      const gateQ15 = this.#gate(index, row);
      if (gateQ15 === 0) continue;
      if (row < computed) {
        this.#rememberOnly(index, row, row + 1, plan);
        continue;
      }
      const at = residual + row * residualBytes;
      this.#bytes.copyWithin(before, at, at + residualBytes);
      this.#block(index, row, row, row + 1, plan);
      this.#kernels.blend(at, before, gateQ15, residualBytes / 2);
    }
  }

  /** What the router of a layer makes of a row: 0 around, else the share of the layer's change that is kept. */
  #gate(index: number, row: number): number {
    const { normed, normedBytes, route, layers } = this.#layout;
    const { weights } = this.model;
    this.#normaliseForAttention(index, row, row + 1);
    this.#kernels.score(normed + row * normedBytes, layers[index]!.router!, route, 1);
    this.#charge(this.config.hidden, routerWeightBytes(this.config));
    const logit = this.#routeLogit[0]!;
    return this.#rings.admits(row, index, logit >= 0) ? sigmoidQ15(logit, weights.exponentTable) : 0;
  }

  #block(index: number, written: number, computed: number, to: number, plan: Plan): void {
    const kernels = this.#kernels;
    const at = this.#layout;
    const layer = at.layers[index]!;
    const { feedForwardGain } = this.model.weights.layers[index]!;
    const count = to - computed;
    const residual = at.residual + computed * at.residualBytes;
    const normed = at.normed + computed * at.normedBytes;
    const queryKeyValue = at.queryKeyValue + computed * at.queryKeyValueBytes;

    this.#normaliseForAttention(index, written, to);
    kernels.project(normed, layer.queryKeyValue, queryKeyValue, at.queryKeyValueBytes, count);
    this.#rememberOnly(index, written, computed, plan);
    this.#rings.attend(kernels, index, computed, to, plan, this.stats);
    kernels.addProjection(at.context + computed * at.contextBytes, layer.output, residual, count);

    this.#feedForward(layer, feedForwardGain, computed, to);
    this.#charge(count * layerMacs(this.config), layerWeightBytes(this.config));
  }

  #feedForward(block: FeedForwardLayout, gain: Gain, from: number, to: number): void {
    const { up, gelu, down } = block;
    const { normed, normedBytes, activated, residual, residualBytes } = this.#layout;
    this.#normalise(gain, block.gain, from, to);
    this.#kernels.activate(normed + from * normedBytes, up, gelu, activated, to - from);
    this.#kernels.addProjection(activated, down, residual + from * residualBytes, to - from);
  }

  /** What the past of each channel amounts to, beside the features. */
  #summarise(from: number, to: number, plan: Plan): void {
    if (this.#histories === undefined) return;
    const rank = historyRank(this.config, plan);
    this.#histories.summarise(this.#kernels, from, to, rank);
    this.#charge((to - from) * componentMacs(this.config, rank), componentWeightBytes(this.config, rank));
  }

  /** Where that leads by itself. */
  #extrapolate(from: number, to: number, plan: Plan): void {
    if (this.#histories === undefined) return;
    const rank = historyRank(this.config, plan);
    this.#histories.forecast(this.#kernels, from, to, rank);
    this.#charge((to - from) * forecastMacs(this.config, rank), forecastWeightBytes(this.config, rank));
  }

  /** Head and linear path. */
  #predict(from: number, to: number, logits: number): void {
    const { features, featureBytes, linear, logitBytes } = this.#layout;
    const out = logits + from * logitBytes;
    if (this.#depths[from]! > 0) this.#head(from, to, out);
    else this.#bytes.fill(0, out, logits + to * logitBytes);
    if (linear !== undefined) {
      this.#kernels.addFeatures(features + from * featureBytes, linear, out, to - from);
    }
    this.#histories?.addTo(logits, from, to);
  }

  #head(from: number, to: number, logits: number): void {
    const { normed, normedBytes, headGain, head } = this.#layout;
    this.#normalise(this.model.weights.headGain, headGain, from, to);
    this.#kernels.score(normed + from * normedBytes, head, logits, to - from);
    this.#charge((to - from) * headMacs(this.config), headWeightBytes(this.config));
  }

  #normaliseForAttention(index: number, from: number, to: number): void {
    const { attentionGain } = this.model.weights.layers[index]!;
    this.#normalise(attentionGain, this.#layout.layers[index]!.attentionGain, from, to);
  }

  /** `gains`: where the gains of the channels lie, if each has its own. */
  #normalise(gain: Gain, gains: number, from: number, to: number): void {
    const { hidden } = this.config;
    const residual = this.#layout.residual + from * this.#layout.residualBytes;
    const normed = this.#layout.normed + from * this.#layout.normedBytes;
    if (typeof gain === 'number') this.#kernels.normalise(residual, gain, hidden, normed, to - from);
    else this.#kernels.normaliseChannels(residual, gains, hidden, normed, to - from);
  }

  /** Rows that give a layer keys and values without going through it themselves. */
  #rememberOnly(index: number, from: number, to: number, plan: Plan): void {
    if (from === to) return;
    const at = this.#layout;
    const { width } = at.layers[index]!.attention;
    this.#kernels.project(
      at.normed + from * at.normedBytes,
      at.layers[index]!.keyValue,
      at.queryKeyValue + from * at.queryKeyValueBytes + width,
      at.queryKeyValueBytes,
      to - from,
    );
    this.#rings.remember(index, from, to, plan, this.stats);
    this.#charge((to - from) * keyValueMacs(this.config), keyValueWeightBytes(this.config));
  }

  /**
   * Rows that must go through layer `index` so that the last row's output is whole, now and in later steps: each
   * layer above needs a window of keys and values more.
   */
  #coneRows(plan: Plan, index: number): number {
    return 1 + (plan.layers - 1 - index) * (this.config.window - 1);
  }

  /** Opens a new account. */
  #begin(tokens: number, layers: number): void {
    const { stats } = this;
    this.#rounds = 0;
    stats.tokens = tokens;
    stats.layers = layers;
    stats.macs = stats.weightBytes = stats.positions = 0;
    stats.kvReads = stats.kvWrites = stats.kvReadBytes = stats.kvWriteBytes = 0;
  }

  #charge(macs: number, weightBytes: number): void {
    this.stats.macs += macs;
    this.stats.weightBytes += weightBytes;
  }

  /** Copies features into their padded rows from `first` on. */
  #take(features: Int16Array, first: number, count: number): void {
    const width = this.config.features;
    if (features.length < count * width) {
      throw new RangeError(`features: expected ${count * width} values, got ${features.length}`);
    }
    const stride = this.#layout.featureBytes / 2;
    for (let row = 0; row < count; row++) {
      for (let j = 0; j < width; j++) {
        const value = features[row * width + j]!;
        assert(value <= FEATURE_MAX && value >= -FEATURE_MAX, 'features are clamped');
        this.#features[(first + row) * stride + j] = value;
      }
    }
  }

  /** Before the ticks of a call enter. */
  #open(stream: number, plan: Plan): void {
    this.#requireStream(stream);
    if (plan.kv !== 'flush') return;
    this.#rings.empty(stream);
    this.#histories?.empty(stream);
  }

  /** Gives a row the next position of its stream. */
  #enter(row: number, stream: number, plan: Plan): void {
    this.#rings.enter(row, stream, this.#takeMark(row));
    this.#histories?.enter(row, stream, plan);
  }

  #takeMark(row: number): number {
    if (this.marks.length === 0) return 0;
    const mark = this.marks[row]!;
    this.marks[row] = 0;
    return mark;
  }

  #requireStream(stream: number): void {
    if (!Number.isInteger(stream) || stream < 0 || stream >= this.streams) {
      throw new RangeError(`stream: expected a whole number from 0 to ${this.streams - 1}, got ${stream}`);
    }
  }

  #requireCount(count: number): void {
    if (!Number.isInteger(count) || count < 1 || count > this.rows) {
      throw new RangeError(`count: expected a whole number from 1 to ${this.rows}, got ${count}`);
    }
  }
}

/** The first of the rows `from` to `to` that matters if the last `needed` do. */
function firstRow(wanted: Wanted, from: number, to: number, needed: number): number {
  return wanted === 'all' ? from : Math.max(from, to - needed);
}

function requireBudget(bytes: number, maxBytes: number | undefined): void {
  if (maxBytes !== undefined && bytes > maxBytes) {
    throw new RangeError(`memory: expected at most ${maxBytes} bytes, this engine needs ${bytes}`);
  }
}

function fixedMemory(bytes: number): WebAssembly.Memory {
  const pages = bytes / WASM_PAGE_BYTES;
  return new WebAssembly.Memory({ initial: pages, maximum: pages });
}
