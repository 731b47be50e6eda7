/**
 * Anytime refinement: after the last layer one block runs again and again, as long as each round makes the answer more
 * confident, and never more often than the configuration allows. How confident stands for the energy of an answer: of
 * a Laplace density with the predicted scale, the least energy that any observation can have is the log of the scale.
 */
import { type Cost, refinementCost } from '../engine/cost.ts';
import type { Engine, StepStats } from '../engine/engine.ts';
import type { Model, RefinementRule } from '../engine/model.ts';
import type { Plan, PlanTable } from '../engine/plan.ts';
import { confidenceQ16 } from './confidence.ts';
import { addToAccount, emptyStats, openAccount } from './step-account.ts';

/** An engine whose tier-0 tokens are refined while it pays. Everything else is the engine's own. */
export class Anytime {
  readonly model: Model;
  readonly plans: PlanTable;
  readonly logits: Int32Array;
  readonly marks: Int32Array;
  readonly stats: StepStats = emptyStats();
  /** Tier-0 tokens, and rounds of refinement over all of them. */
  readonly counters = { tokens: 0, rounds: 0 };
  readonly #engine: Engine;
  readonly #rule: RefinementRule;
  readonly #costs: ReadonlyMap<Plan, Cost>;

  /** `engine`'s model has a refinement. */
  constructor(engine: Engine, rule: RefinementRule) {
    this.model = engine.model;
    this.plans = engine.plans;
    this.logits = engine.logits;
    this.marks = engine.marks;
    this.#engine = engine;
    this.#rule = rule;
    this.#costs = new Map(Object.values(engine.plans[0]!).map((plan) => [plan, withRounds(engine, plan)]));
  }

  step(stream: number, features: Int16Array, plan: Plan): void {
    const engine = this.#engine;
    engine.step(stream, features, plan);
    openAccount(this.stats, engine.stats);
    if (plan.tier !== 0) return;
    this.counters.tokens++;
    const { task } = this.model.meaning;
    const rounds = engine.config.refinement!.rounds;
    let before = confidenceQ16(task, engine.logits);
    for (let round = 0; round < rounds; round++) {
      engine.refine();
      addToAccount(this.stats, engine.stats);
      this.counters.rounds++;
      const confidence = confidenceQ16(task, engine.logits);
      if (confidence - before < this.#rule.gainQ16) return;
      before = confidence;
    }
  }

  /** Tier 0 with all rounds. */
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

function withRounds(engine: Engine, plan: Plan): Cost {
  const { macs, bytes } = engine.cost(plan);
  const round = refinementCost(engine.config);
  const { rounds } = engine.config.refinement!;
  return { macs: macs + rounds * round.macs, bytes: bytes + rounds * round.bytes };
}
