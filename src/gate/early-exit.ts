/**
 * Early exit (Schuster et al. 2022, CALM; Elhoushi et al. 2024, LayerSkip): a tier-0 token leaves after the first
 * layers if their answer is confident enough, and the layers that it skips get keys and values made from what it left.
 *
 * How confident is enough is fitted on held-out rows, so that exits rarely change an answer (src/eval/exit-fit.ts).
 */
import { type Cost, headMacs, headWeightBytes } from '../engine/cost.ts';
import type { Engine, StepStats } from '../engine/engine.ts';
import type { ExitRule, Model } from '../engine/model.ts';
import type { Plan, PlanTable } from '../engine/plan.ts';
import { confidenceQ16 } from './confidence.ts';
import { addToAccount, emptyStats, openAccount } from './step-account.ts';

/** An engine whose tier 0 may leave early. Everything else is the engine's own. */
export class EarlyExit {
  readonly model: Model;
  readonly plans: PlanTable;
  readonly logits: Int32Array;
  readonly marks: Int32Array;
  readonly stats: StepStats = emptyStats();
  /** Tier-0 tokens that left early, and all of them. */
  readonly counters = { exits: 0, tokens: 0 };
  readonly #engine: Engine;
  readonly #rule: ExitRule;
  readonly #costs: ReadonlyMap<Plan, Cost>;

  constructor(engine: Engine, rule: ExitRule) {
    this.model = engine.model;
    this.plans = engine.plans;
    this.logits = engine.logits;
    this.marks = engine.marks;
    this.#engine = engine;
    this.#rule = rule;
    this.#costs = new Map(Object.values(engine.plans[0]!).map((plan) => [plan, withHead(engine, plan)]));
  }

  step(stream: number, features: Int16Array, plan: Plan): void {
    const engine = this.#engine;
    const first = plan.tier === 0 ? engine.exits[this.#rule.layers - 1]![plan.kv] : plan;
    engine.step(stream, features, first);
    openAccount(this.stats, engine.stats);
    if (plan.tier !== 0) return;
    this.counters.tokens++;
    if (confidenceQ16(this.model.meaning.task, engine.logits) >= this.#rule.confidenceQ16) {
      this.counters.exits++;
      engine.propagate(plan);
      // These layers got keys and values; the tick did not go through them.
      addToAccount(this.stats, engine.stats);
      this.stats.layers = first.layers;
    } else {
      engine.deepen(1, plan);
      addToAccount(this.stats, engine.stats);
    }
  }

  /** A token that does not leave takes one head more than the plan. */
  cost(plan: Plan): Cost {
    return this.#costs.get(plan) ?? this.#engine.cost(plan);
  }

  hold(stream: number, ticks: number): void {
    this.#engine.hold(stream, ticks);
  }

  reset(stream: number): void {
    this.#engine.reset(stream);
  }
}

function withHead(engine: Engine, plan: Plan): Cost {
  const { macs, bytes } = engine.cost(plan);
  return { macs: macs + headMacs(engine.config), bytes: bytes + headWeightBytes(engine.config) };
}
