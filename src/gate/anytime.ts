/**
 * Anytime refinement: after the last layer one block runs again and again, as long as each round makes the answer more
 * confident, and never more often than the configuration allows. How confident stands for the energy of an answer: of
 * a Laplace density with the predicted scale, the least energy that any observation can have is the log of the scale.
 */
import { refinementCost } from '../engine/cost.ts';
import type { Engine } from '../engine/engine.ts';
import type { RefinementRule } from '../engine/model.ts';
import type { Plan } from '../engine/plan.ts';
import { confidenceQ16 } from './confidence.ts';
import { SteppedEngine } from './stepped-engine.ts';

/** An engine whose tier-0 tokens are refined while it pays. */
export class Anytime extends SteppedEngine {
  /** Tier-0 tokens, and rounds of refinement over all of them. */
  readonly counters = { tokens: 0, rounds: 0 };
  readonly #rule: RefinementRule;
  readonly #rounds: number;

  /** `engine`'s model has a refinement. */
  constructor(engine: Engine, rule: RefinementRule) {
    const { rounds } = engine.config.refinement!;
    const { macs, bytes } = refinementCost(engine.config);
    super(engine, { macs: rounds * macs, bytes: rounds * bytes });
    this.#rule = rule;
    this.#rounds = rounds;
  }

  override step(stream: number, features: Int16Array, plan: Plan): void {
    const { engine } = this;
    engine.step(stream, features, plan);
    this.openAccount();
    if (plan.tier !== 0) return;
    this.counters.tokens++;
    const { task } = this.model.meaning;
    let before = confidenceQ16(task, engine.logits);
    for (let round = 0; round < this.#rounds; round++) {
      engine.refine();
      this.addToAccount();
      this.counters.rounds++;
      const confidence = confidenceQ16(task, engine.logits);
      if (confidence - before < this.#rule.gainQ16) return;
      before = confidence;
    }
  }
}
