/** An engine of which one token may take several calls: what they have in common, whatever decides on further ones. */
import type { Cost } from '../engine/cost.ts';
import type { Engine } from '../engine/engine.ts';
import type { Model } from '../engine/model.ts';
import type { Plan, PlanTable } from '../engine/plan.ts';
import { makeStepStats, type StepStats } from '../engine/step-stats.ts';

/** `step` is what differs; everything else is the engine's own. */
export abstract class SteppedEngine {
  readonly model: Model;
  readonly plans: PlanTable;
  readonly logits: Int32Array;
  readonly marks: Int32Array;
  /** Sums over all calls for a token. */
  readonly stats: StepStats = makeStepStats();
  protected readonly engine: Engine;
  readonly #costs: ReadonlyMap<Plan, Cost>;

  /** `furtherCost`: what tier 0 may take beyond its first call. */
  constructor(engine: Engine, furtherCost: Cost) {
    this.model = engine.model;
    this.plans = engine.plans;
    this.logits = engine.logits;
    this.marks = engine.marks;
    this.engine = engine;
    this.#costs = new Map(
      Object.values(engine.plans[0]!).map((plan) => [plan, sum(engine.cost(plan), furtherCost)]),
    );
  }

  abstract step(stream: number, features: Int16Array, plan: Plan): void;

  /** Of tier 0 with all that it may take. */
  cost(plan: Plan): Cost {
    return this.#costs.get(plan) ?? this.engine.cost(plan);
  }

  hold(stream: number, ticks: number): void {
    this.engine.hold(stream, ticks);
  }

  reset(stream: number): void {
    this.engine.reset(stream);
  }

  /** `stats` becomes the account of a token's first call. */
  protected openAccount(): void {
    Object.assign(this.stats, this.engine.stats);
  }

  /** Adds a further call for the same token, which may have gone through more layers by now. */
  protected addToAccount(): void {
    const { stats } = this;
    const further = this.engine.stats;
    stats.layers = Math.max(stats.layers, further.layers);
    stats.macs += further.macs;
    stats.weightBytes += further.weightBytes;
    stats.positions += further.positions;
    stats.kvReads += further.kvReads;
    stats.kvWrites += further.kvWrites;
    stats.kvReadBytes += further.kvReadBytes;
    stats.kvWriteBytes += further.kvWriteBytes;
  }
}

function sum(a: Cost, b: Cost): Cost {
  return { macs: a.macs + b.macs, bytes: a.bytes + b.bytes };
}
