/**
 * Self-speculative decoding (Elhoushi et al. 2024, LayerSkip): the first layers draft several ticks, one pass of the
 * remaining layers verifies them all, and what the full model would have made differently is taken back. The output
 * is that of greedy decoding, bit for bit.
 */
import type { Engine } from './engine.ts';

/**
 * Makes the next tick's features from a tick's logits; the same logits must give the same features. The coarser it
 * rounds, the more drafts are accepted.
 */
export type Feedback = (logits: Int32Array, features: Int16Array) => void;

export interface SpeculationOptions {
  /** Ticks drafted ahead of each verification; 1 to `engine.rows` - 1, and window + drafts must fit the sequence. */
  readonly drafts: number;
  /** The first so many layers draft; fewer than the model has. */
  readonly layers: number;
  readonly feedback: Feedback;
}

/** Sums over all rollouts. */
export interface SpeculationCounters {
  drafted: number;
  accepted: number;
  verifications: number;
  /** Multiply-accumulates of drafts and verifications. */
  macs: number;
}

export class Speculation {
  readonly counters: SpeculationCounters = { drafted: 0, accepted: 0, verifications: 0, macs: 0 };
  readonly #engine: Engine;
  readonly #options: SpeculationOptions;
  /** [drafts + 1] the features that each row was made from, and those that follow from the verified logits. */
  readonly #features: readonly Int16Array[];
  readonly #next: Int16Array;

  /** Throws RangeError for options out of range. */
  constructor(engine: Engine, options: SpeculationOptions) {
    const { config, rows } = engine;
    requireRange('drafts', options.drafts, 1, Math.min(rows - 1, config.sequence - config.window));
    requireRange('layers', options.layers, 1, config.layers - 1);
    this.#engine = engine;
    this.#options = options;
    this.#features = Array.from({ length: options.drafts + 1 }, () => new Int16Array(config.features));
    this.#next = new Int16Array(config.features);
  }

  /**
   * Appends the tick `features` to a stream and lets the model go on from its own outputs: logits of `count` ticks
   * -> int32[count x outputs]. The stream then has `count` ticks more; `engine.rollback` takes them back.
   */
  rollout(stream: number, features: Int16Array, count: number, logits: Int32Array): void {
    const { outputs } = this.#engine.config;
    const first = this.#features[0]!;
    for (let i = 0; i < first.length; i++) first[i] = features[i]!;
    let done = 0;
    while (done < count) {
      const rows = Math.min(this.#options.drafts + 1, count - done);
      this.#draft(stream, rows);
      const kept = this.#verify(stream, rows);
      for (let row = 0; row < kept; row++) {
        logits.set(this.#engine.rowLogits(row), (done + row) * outputs);
      }
      done += kept;
      first.set(this.#next);
    }
  }

  /** The first layers make `rows` ticks, each from the one before. */
  #draft(stream: number, rows: number): void {
    const { exits, logits, stats } = this.#engine;
    const plan = exits[this.#options.layers - 1]!.write;
    for (let row = 0; row < rows; row++) {
      this.#engine.step(stream, this.#features[row]!, plan, row);
      this.counters.macs += stats.macs;
      if (row + 1 < rows) this.#options.feedback(logits, this.#features[row + 1]!);
    }
    this.counters.drafted += rows - 1;
  }

  /** All layers judge the drafts; ticks made from a wrong one are taken back. Returns how many stay, at least one. */
  #verify(stream: number, rows: number): number {
    const engine = this.#engine;
    engine.deepen(rows, engine.plans[0]!.write);
    this.counters.macs += engine.stats.macs;
    this.counters.verifications++;
    let kept = 1;
    this.#options.feedback(engine.rowLogits(0), this.#next);
    while (kept < rows && areEqual(this.#next, this.#features[kept]!)) {
      this.#options.feedback(engine.rowLogits(kept), this.#next);
      kept++;
    }
    engine.rollback(stream, rows - kept);
    this.counters.accepted += kept - 1;
    return kept;
  }
}

function areEqual(a: Int16Array, b: Int16Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function requireRange(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`${name}: expected a whole number from ${least} to ${most}, got ${value}`);
  }
}
