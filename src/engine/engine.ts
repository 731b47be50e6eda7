/**
 * The transformer: causal, pre-norm, int8, on memory that was all allocated at start.
 *
 * `#forward` is the whole of it and reads like the paper; the arithmetic of each line is in docs/integer-rules.md.
 */
import type { TransformerConfig } from './config.ts';
import {
  type Cost,
  embeddingMacs,
  headMacs,
  keyValueMacs,
  keyValueWeightBytes,
  layerMacs,
  layerWeightBytes,
  outerWeightBytes,
  planCost,
} from './cost.ts';
import { chooseKernels } from './kernels/choose.ts';
import type { KernelName, Kernels } from './kernels/contract.ts';
import { KvRings } from './kv-rings.ts';
import { assert, FEATURE_MAX, WASM_PAGE_BYTES } from './limits.ts';
import { type MemoryLayout, type MemoryPlan, padded, planMemory } from './memory-plan.ts';
import type { Model } from './model.ts';
import { type Plan, type PlanTable, planTable } from './plan.ts';
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
  /** Ring slots read (a token's own key and value are not read from the ring) and written, over all layers. */
  kvReads: number;
  kvWrites: number;
}

const PREFILL_ROWS = 64;

export class Engine {
  readonly model: Model;
  readonly config: TransformerConfig;
  readonly streams: number;
  readonly rows: number;
  /** `plans[tier][kv]`, for tiers 0 to 2. */
  readonly plans: PlanTable;
  readonly memoryPlan: MemoryPlan;
  readonly memory: WebAssembly.Memory;
  /** [outputs] Q16: the output at the last position. The same array always; refilled by each call. */
  readonly logits: Int32Array;
  readonly stats: StepStats = {
    tokens: 0,
    layers: 0,
    macs: 0,
    weightBytes: 0,
    positions: 0,
    kvReads: 0,
    kvWrites: 0,
  };
  readonly #layout: MemoryLayout;
  readonly #kernels: Kernels;
  readonly #rings: KvRings;
  readonly #features: Int16Array;
  readonly #rowLogits: readonly Int32Array[];
  readonly #costs: ReadonlyMap<Plan, Cost>;

  /** Takes all its memory now. Throws RangeError if it does not fit the budget or an option is out of range. */
  constructor(model: Model, options: EngineOptions = {}) {
    this.model = model;
    this.config = model.config;
    this.streams = options.streams ?? 1;
    this.rows = options.rows ?? Math.min(PREFILL_ROWS, this.config.sequence);
    this.memoryPlan = planMemory(this.config, this.streams, this.rows);
    requireBudget(this.memoryPlan.totalBytes, options.maxBytes);
    this.memory = fixedMemory(this.memoryPlan.totalBytes);
    this.#layout = this.memoryPlan.layout;
    this.#kernels = chooseKernels(this.memory, this.#layout.widened, options.kernels);
    this.#rings = new KvRings(this.config, this.streams, this.rows, this.memory, this.#layout);
    writeWeights(this.memory, this.#layout, this.#kernels, model);
    this.plans = planTable(this.config);
    this.#costs = new Map(
      this.plans.flatMap((modes) => Object.values(modes).map((plan) => [plan, planCost(this.config, plan)])),
    );
    const { features, rowLogits, logits } = this.#layout;
    const outputs = this.config.outputs;
    this.#features = new Int16Array(this.memory.buffer, features, this.rows * padded(this.config.features));
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

  /** Appends one tick: features int16[features] Q10 -> `logits`, `stats`. */
  step(stream: number, features: Int16Array, plan: Plan): void {
    this.#take(features, 1);
    this.#enter(0, stream, plan);
    this.#forward(1, plan, 'all', this.#layout.logits);
  }

  /**
   * Appends `count` ticks of one stream at once: features int16[count x features] -> `logits` of the last tick and,
   * if `wanted` is all, `rowLogits` of each. The same bits as `count` steps, then and afterwards; if only the last is
   * wanted, only the cone that reaches it is computed. A flush empties the ring once, before the first tick. Throws RangeError if `count` is not 1 to `rows`.
   */
  prefill(stream: number, features: Int16Array, count: number, plan: Plan, wanted: Wanted = 'all'): void {
    this.#requireCount(count);
    this.#take(features, count);
    for (let row = 0; row < count; row++) this.#enter(row, stream, plan);
    this.#forward(count, plan, wanted, this.#layout.rowLogits);
    this.logits.set(this.#rowLogits[count - 1]!);
  }

  /**
   * Appends one tick to each of `count` streams: features int16[count x features] -> `rowLogits` of each. The same
   * bits as `count` steps, but each weight is loaded once for several streams. A stream may occur again: its later
   * row is its later tick. Throws RangeError if `count` is not 1 to `rows`.
   */
  stepBatch(streams: Int32Array, features: Int16Array, count: number, plan: Plan): void {
    this.#requireCount(count);
    this.#take(features, count);
    for (let row = 0; row < count; row++) this.#enter(row, streams[row]!, plan);
    this.#forward(count, plan, 'all', this.#layout.rowLogits);
    this.logits.set(this.#rowLogits[count - 1]!);
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

  /** Forgets everything that a stream has seen. */
  reset(stream: number): void {
    this.#requireStream(stream);
    this.#rings.reset(stream);
  }

  /**
   * The transformer. Rows before `written` no longer matter to a layer; rows from `written` on give it keys and
   * values; rows from `computed` on go through it. Without a cone both are 0.
   */
  #forward(rows: number, plan: Plan, wanted: Wanted, logits: number): void {
    const kernels = this.#kernels;
    const at = this.#layout;
    const { hidden } = this.config;
    const { stats } = this;
    stats.tokens = rows;
    stats.layers = plan.layers;
    stats.macs = stats.positions = stats.kvReads = stats.kvWrites = 0;
    stats.weightBytes = outerWeightBytes(this.config);

    const first = firstRow(wanted, rows, this.#coneRows(plan, 0) + this.config.window - 1);
    kernels.embed(
      at.features + first * at.featureBytes,
      at.embedding,
      at.residual + first * at.residualBytes,
      rows - first,
    );
    for (let index = 0; index < plan.layers; index++) {
      const layer = at.layers[index]!;
      const { attentionGain, feedForwardGain } = this.model.weights.layers[index]!;
      const computed = firstRow(wanted, rows, this.#coneRows(plan, index));
      const written = firstRow(wanted, rows, this.#coneRows(plan, index) + this.config.window - 1);
      const count = rows - computed;
      const residual = at.residual + computed * at.residualBytes;
      const normed = at.normed + computed * at.normedBytes;

      kernels.normalise(
        at.residual + written * at.residualBytes,
        attentionGain,
        hidden,
        at.normed + written * at.normedBytes,
        rows - written,
      );
      kernels.project(
        normed,
        layer.queryKeyValue,
        at.queryKeyValue + computed * at.queryKeyValueBytes,
        at.queryKeyValueBytes,
        count,
      );
      this.#rememberOnly(index, written, computed, plan);
      this.#rings.attend(kernels, index, computed, rows, plan, stats);
      kernels.addProjection(at.context + computed * at.contextBytes, layer.output, residual, count);
      kernels.normalise(residual, feedForwardGain, hidden, normed, count);
      kernels.activate(normed, layer.up, layer.gelu, at.activated, count);
      kernels.addProjection(at.activated, layer.down, residual, count);
      stats.macs += count * layerMacs(this.config) + (computed - written) * keyValueMacs(this.config);
      stats.weightBytes += layerWeightBytes(this.config);
    }
    const last = firstRow(wanted, rows, 1);
    kernels.normalise(
      at.residual + last * at.residualBytes,
      this.model.weights.headGain,
      hidden,
      at.normed,
      rows - last,
    );
    kernels.logits(
      at.normed,
      at.head,
      at.features + last * at.featureBytes,
      at.linear,
      logits + last * at.logitBytes,
      rows - last,
    );
    stats.macs +=
      (rows - first) * embeddingMacs(this.config) +
      (rows - last) * headMacs(this.config) +
      2 * stats.positions * hidden;
  }

  /** Rows that give a layer keys and values without going through it themselves. */
  #rememberOnly(index: number, written: number, computed: number, plan: Plan): void {
    if (written === computed) return;
    const at = this.#layout;
    const { width } = at.layers[index]!.attention;
    const keysAndValues = at.queryKeyValue + written * at.queryKeyValueBytes + width;
    this.#kernels.project(
      at.normed + written * at.normedBytes,
      at.layers[index]!.keyValue,
      keysAndValues,
      at.queryKeyValueBytes,
      computed - written,
    );
    this.#rings.remember(index, written, computed, plan, this.stats);
    this.stats.weightBytes += keyValueWeightBytes(this.config);
  }

  /**
   * Rows that must go through layer `index` so that the last row's output is whole, now and in later steps: each
   * layer above needs a window of keys and values more.
   */
  #coneRows(plan: Plan, index: number): number {
    return 1 + (plan.layers - 1 - index) * (this.config.window - 1);
  }

  /** Copies features into their padded rows. */
  #take(features: Int16Array, count: number): void {
    const width = this.config.features;
    if (features.length < count * width) {
      throw new RangeError(`features: expected ${count * width} values, got ${features.length}`);
    }
    const stride = padded(width);
    for (let row = 0; row < count; row++) {
      for (let j = 0; j < width; j++) {
        const value = features[row * width + j]!;
        assert(value <= FEATURE_MAX && value >= -FEATURE_MAX, 'features are clamped');
        this.#features[row * stride + j] = value;
      }
    }
  }

  /** Gives a row the next position of its stream. */
  #enter(row: number, stream: number, plan: Plan): void {
    this.#requireStream(stream);
    if (plan.kv === 'flush') this.#rings.empty(stream);
    this.#rings.enter(row, stream);
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

/** The first row that matters if the last `needed` rows do. */
function firstRow(wanted: Wanted, rows: number, needed: number): number {
  return wanted === 'all' ? 0 : Math.max(0, rows - needed);
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
