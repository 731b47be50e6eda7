/**
 * Early exit (Schuster et al. 2022, CALM; Elhoushi et al. 2024, LayerSkip): a tier-0 token leaves after the first
 * layers if their answer is confident enough, and the layers that it skips get keys and values made from what it left.
 *
 * How confident is enough is fitted on held-out rows, so that exits rarely change an answer (src/eval/exit-fit.ts).
 */
import { type Cost, headMacs, headWeightBytes } from '../engine/cost.ts';
import type { Engine, StepStats } from '../engine/engine.ts';
import type { ExitRule, Model, Task } from '../engine/model.ts';
import type { Plan, PlanTable } from '../engine/plan.ts';

/**
 * How sure an answer is, from the logits alone: classify: the lead of the best class over the next, natural log, Q16.
 * anomaly: minus the mean predicted log scale, Q16. A forecast says nothing of its certainty.
 */
export function confidenceQ16(task: Task, logits: Int32Array): number {
  return task.kind === 'classify' ? leadOf(logits) : task.kind === 'anomaly' ? sharpnessOf(logits) : 0;
}

function leadOf(logits: Int32Array): number {
  let best = Number.NEGATIVE_INFINITY;
  let second = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i]!;
    if (logit > best) {
      second = best;
      best = logit;
    } else if (logit > second) second = logit;
  }
  return best - second;
}

function sharpnessOf(logits: Int32Array): number {
  const channels = logits.length / 2;
  let sum = 0;
  for (let channel = 0; channel < channels; channel++) sum += logits[channels + channel]!;
  return Math.round(-sum / channels);
}

/** An engine whose tier 0 may leave early. Everything else is the engine's own. */
export class EarlyExit {
  readonly model: Model;
  readonly plans: PlanTable;
  readonly logits: Int32Array;
  readonly stats: StepStats;
  /** Tier-0 tokens that left early, and all of them. */
  readonly counters = { exits: 0, tokens: 0 };
  readonly #engine: Engine;
  readonly #rule: ExitRule;
  readonly #costs: ReadonlyMap<Plan, Cost>;

  constructor(engine: Engine, rule: ExitRule) {
    this.model = engine.model;
    this.plans = engine.plans;
    this.logits = engine.logits;
    this.stats = { ...engine.stats };
    this.#engine = engine;
    this.#rule = rule;
    this.#costs = new Map(Object.values(engine.plans[0]!).map((plan) => [plan, withHead(engine, plan)]));
  }

  step(stream: number, features: Int16Array, plan: Plan): void {
    const engine = this.#engine;
    Object.assign(this.stats, nothing);
    if (plan.tier !== 0) {
      engine.step(stream, features, plan);
      this.#account();
      return;
    }
    engine.step(stream, features, engine.exits[this.#rule.layers - 1]![plan.kv]);
    this.#account();
    this.counters.tokens++;
    if (confidenceQ16(this.model.meaning.task, engine.logits) < this.#rule.confidenceQ16) {
      engine.deepen(1, plan);
      this.#account();
      return;
    }
    this.counters.exits++;
    const { layers } = this.stats;
    engine.propagate(plan);
    this.#account();
    this.stats.layers = layers;
  }

  /** A token that does not leave takes one head more than the plan. */
  cost(plan: Plan): Cost {
    return this.#costs.get(plan) ?? this.#engine.cost(plan);
  }

  reset(stream: number): void {
    this.#engine.reset(stream);
  }

  /** Adds what the engine's last call did. */
  #account(): void {
    const { stats } = this;
    const last = this.#engine.stats;
    stats.tokens = 1;
    stats.layers = last.layers;
    stats.macs += last.macs;
    stats.weightBytes += last.weightBytes;
    stats.positions += last.positions;
    stats.kvReads += last.kvReads;
    stats.kvWrites += last.kvWrites;
  }
}

function withHead(engine: Engine, plan: Plan): Cost {
  const { macs, bytes } = engine.cost(plan);
  return { macs: macs + headMacs(engine.config), bytes: bytes + headWeightBytes(engine.config) };
}

const nothing: StepStats = {
  tokens: 0,
  layers: 0,
  macs: 0,
  weightBytes: 0,
  positions: 0,
  kvReads: 0,
  kvWrites: 0,
};
