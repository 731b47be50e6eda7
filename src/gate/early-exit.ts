/**
 * Early exit (Schuster et al. 2022, CALM; Elhoushi et al. 2024, LayerSkip): a tier-0 token leaves after the first
 * layers if their answer is confident enough, and the layers that it skips get keys and values made from what it left.
 *
 * How confident is enough is fitted on held-out rows, so that exits rarely change an answer (src/eval/exit-fit.ts).
 */
import { headMacs, headWeightBytes } from '../engine/cost.ts';
import type { Engine } from '../engine/engine.ts';
import type { ExitRule } from '../engine/model.ts';
import type { Plan } from '../engine/plan.ts';
import { confidenceQ16 } from './confidence.ts';
import { SteppedEngine } from './stepped-engine.ts';

/** An engine whose tier 0 may leave early. */
export class EarlyExit extends SteppedEngine {
  /** Tier-0 tokens that left early, and all of them. */
  readonly counters = { exits: 0, tokens: 0 };
  readonly #rule: ExitRule;

  constructor(engine: Engine, rule: ExitRule) {
    // A token that does not leave takes one head more than the plan.
    super(engine, { macs: headMacs(engine.config), bytes: headWeightBytes(engine.config) });
    this.#rule = rule;
  }

  override step(stream: number, features: Int16Array, plan: Plan): void {
    const { engine } = this;
    const first = plan.tier === 0 ? engine.exits[this.#rule.layers - 1]![plan.kv] : plan;
    engine.step(stream, features, first);
    this.openAccount();
    if (plan.tier !== 0) return;
    this.counters.tokens++;
    if (confidenceQ16(this.model.meaning.task, engine.logits) >= this.#rule.confidenceQ16) {
      this.counters.exits++;
      engine.propagate(plan);
      // These layers got keys and values; the tick did not go through them.
      this.addToAccount();
      this.stats.layers = first.layers;
    } else {
      engine.deepen(1, plan);
      this.addToAccount();
    }
  }
}
