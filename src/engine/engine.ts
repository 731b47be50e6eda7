/**
 * The engine: the transformer of `forward-pass.ts` on memory that was all allocated at start, for streams of ticks.
 */
import { hasPins, type TransformerConfig } from './config.ts';
import { type Cost, planCost } from './cost.ts';
import { ForwardPass, type Wanted } from './forward-pass.ts';
import { Histories } from './history.ts';
import { chooseKernels } from './kernels/choose.ts';
import type { KernelName, Kernels } from './kernels/contract.ts';
import { KvRings } from './kv-rings.ts';
import { assert, FEATURE_MAX, WASM_PAGE_BYTES } from './limits.ts';
import type { MemoryLayout } from './memory-layout.ts';
import { type MemoryPlan, padded, planMemory } from './memory-plan.ts';
import type { Model } from './model.ts';
import { exitTable, type Plan, type PlanTable, planTable } from './plan.ts';
import { makeStepStats, openStepStats, type StepStats } from './step-stats.ts';
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
  readonly stats: StepStats = makeStepStats();
  readonly #layout: MemoryLayout;
  readonly #kernels: Kernels;
  readonly #rings: KvRings;
  /** Only if the configuration has a history. */
  readonly #histories: Histories | undefined;
  readonly #pass: ForwardPass;
  readonly #features: Int16Array;
  readonly #rowLogits: readonly Int32Array[];
  readonly #costs: ReadonlyMap<Plan, Cost>;
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
    this.#pass = new ForwardPass({
      model,
      rows: this.rows,
      memory: this.memory,
      layout: this.#layout,
      kernels: this.#kernels,
      rings: this.#rings,
      histories: this.#histories,
      stats: this.stats,
    });
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
    this.#pass.run(row, row + 1, plan, 'all', this.#layout.logits - row * this.#layout.logitBytes);
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
    this.#pass.run(0, count, plan, isBudgeted ? 'all' : wanted, this.#layout.rowLogits);
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
    this.#pass.run(0, count, plan, 'all', this.#layout.rowLogits);
    this.logits.set(this.#rowLogits[count - 1]!);
  }

  /**
   * Takes the ticks in rows 0 to `count` through the layers of `plan` that they have not gone through yet, at once
   * -> `rowLogits` of each, `logits` of the last. The same bits as if each had run `plan` in the first place, if that
   * differs from what it ran in layers alone. Together they take one more head than that.
   */
  deepen(count: number, plan: Plan): void {
    this.#requireCount(count);
    const { depths } = this.#pass;
    for (let row = 0; row < count; row++) assert(depths[row] === depths[0], 'rows of one depth');
    this.#begin(count, plan.layers);
    this.#pass.deepen(0, count, plan, this.#layout.rowLogits);
    this.logits.set(this.#rowLogits[count - 1]!);
  }

  /** Gives the layers of `plan` that the tick in row 0 has not gone through keys and values all the same. */
  propagate(plan: Plan): void {
    this.#begin(1, plan.layers);
    this.#pass.propagate(0, plan);
  }

  /**
   * One more round of the refinement block on the tick in row 0 -> `logits`, `stats`. Keys and values stay as they
   * are: later ticks see what the layers left.
   */
  refine(): void {
    const { refinement } = this.config;
    assert(
      refinement !== undefined && this.model.weights.refinement !== undefined,
      'a model with a refinement',
    );
    assert(this.#rounds < refinement.rounds, 'rounds are bounded');
    const round = this.#rounds + 1;
    this.#begin(1, 0);
    this.#rounds = round;
    this.#pass.refine(0, this.#layout.logits);
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

  /** Opens a new account. */
  #begin(tokens: number, layers: number): void {
    this.#rounds = 0;
    openStepStats(this.stats, tokens, layers);
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

function requireBudget(bytes: number, maxBytes: number | undefined): void {
  if (maxBytes !== undefined && bytes > maxBytes) {
    throw new RangeError(`memory: expected at most ${maxBytes} bytes, this engine needs ${bytes}`);
  }
}

function fixedMemory(bytes: number): WebAssembly.Memory {
  const pages = bytes / WASM_PAGE_BYTES;
  return new WebAssembly.Memory({ initial: pages, maximum: pages });
}
