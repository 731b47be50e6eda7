/** An engine that runs every token at one tier, whatever a pipeline asks for: what each tier is worth by itself. */
import type { Tier } from '../engine/config.ts';
import type { Engine } from '../engine/engine.ts';
import type { PlanTable } from '../engine/plan.ts';
import type { PipelineEngine } from '../gateway/pipeline-options.ts';

/** Shares `engine`'s streams. */
export function forceTier(engine: Engine, tier: Exclude<Tier, 3>): PipelineEngine {
  const plan = engine.plans[tier]!;
  const plans: PlanTable = [plan, plan, plan];
  return {
    plans,
    model: engine.model,
    stats: engine.stats,
    marks: engine.marks,
    get logits() {
      return engine.logits;
    },
    step: (stream, features, plan) => engine.step(stream, features, plan),
    hold: (stream, ticks) => engine.hold(stream, ticks),
    cost: (plan) => engine.cost(plan),
    reset: (stream) => engine.reset(stream),
  };
}
