/**
 * The transformer: causal, pre-norm, int8, on memory that was all allocated at start.
 *
 * `#forward` is the whole of it and reads like the paper; the arithmetic of each line is in docs/integer-rules.md.
 */
import type { TransformerConfig } from './config.ts';
import { type Cost, planCost, tokenMacs } from './cost.ts';
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
  /** Ticks that one prefill may hold; default the sequence, at most 64. */
  readonly rows?: number;
  /** The engine throws rather than take more memory than this. */
  readonly maxBytes?: number;
  /** Default: the fastest that passes its self-test here. */
  readonly kernels?: KernelName;
}

/** What the last step or prefill really did. */
export interface StepStats {
  tokens: number;
  layers: number;
  /** Multiply-accumulates, padding not counted. */
  macs: number;
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
  readonly stats: StepStats = { tokens: 0, layers: 0, macs: 0, positions: 0, kvReads: 0, kvWrites: 0 };
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
    this.#rings = new KvRings(this.config, this.streams, this.memory, this.#layout);
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
    this.#begin(stream, features, 1);
    this.#forward(stream, 1, plan, this.#layout.logits);
  }

  /**
   * Appends `count` ticks at once: features int16[count x features] -> `logits` of the last, `rowLogits` of each.
   * The same bits as `count` steps. Throws RangeError if `count` is not 1 to `rows`.
   */
  prefill(stream: number, features: Int16Array, count: number, plan: Plan): void {
    if (!Number.isInteger(count) || count < 1 || count > this.rows) {
      throw new RangeError(`count: expected a whole number from 1 to ${this.rows}, got ${count}`);
    }
    this.#begin(stream, features, count);
    this.#forward(stream, count, plan, this.#layout.rowLogits);
    this.logits.set(this.#rowLogits[count - 1]!);
  }

  /** [outputs] Q16: row `row` of the last prefill. */
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

  #begin(stream: number, features: Int16Array, count: number): void {
    this.#requireStream(stream);
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

  #forward(stream: number, rows: number, plan: Plan, logits: number): void {
    const { config } = this;
    const kernels = this.#kernels;
    const at = this.#layout;
    const weights = this.model.weights;
    if (plan.kv === 'flush') this.#rings.empty(stream);
    const first = this.#rings.advance(stream, rows);
    let positions = 0;

    kernels.embed(at.features, at.embedding, at.residual, rows);
    for (let index = 0; index < plan.layers; index++) {
      const layer = at.layers[index]!;
      kernels.normalise(at.residual, weights.layers[index]!.attentionGain, config.hidden, at.normed, rows);
      kernels.project(at.normed, layer.queryKeyValue, at.queryKeyValue, rows);
      positions += this.#rings.attend(kernels, stream, index, first, rows, plan);
      kernels.addProjection(at.context, layer.output, at.residual, rows);
      kernels.normalise(at.residual, weights.layers[index]!.feedForwardGain, config.hidden, at.normed, rows);
      kernels.activate(at.normed, layer.up, layer.gelu, at.activated, rows);
      kernels.addProjection(at.activated, layer.down, at.residual, rows);
    }
    kernels.normalise(at.residual, weights.headGain, config.hidden, at.normed, rows);
    kernels.logits(at.normed, at.head, at.features, at.linear, logits, rows);
    this.#account(rows, plan, positions);
  }

  #account(rows: number, plan: Plan, positions: number): void {
    const { stats } = this;
    stats.tokens = rows;
    stats.layers = plan.layers;
    stats.positions = positions;
    stats.macs = rows * tokenMacs(this.config, plan.layers) + 2 * positions * this.config.hidden;
    stats.kvReads = positions - rows * plan.layers;
    stats.kvWrites = plan.kv === 'freeze' ? 0 : rows * plan.layers;
  }

  #requireStream(stream: number): void {
    if (!Number.isInteger(stream) || stream < 0 || stream >= this.streams) {
      throw new RangeError(`stream: expected a whole number from 0 to ${this.streams - 1}, got ${stream}`);
    }
  }
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
