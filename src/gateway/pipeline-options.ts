/** What a pipeline is made with. */
import type { Engine } from '../engine/engine.ts';
import type { CandidateRule, SpikeSettings } from '../engine/model.ts';
import type { CoherenceSettings } from '../gate/coherence.ts';
import type { Policy, PolicyName } from '../gate/policy.ts';
import type { RegretModel } from '../gate/regret.ts';

/** What a pipeline asks of an engine. */
export type PipelineEngine = Pick<
  Engine,
  'model' | 'plans' | 'logits' | 'marks' | 'stats' | 'step' | 'hold' | 'cost' | 'reset'
>;

export interface PipelineOptions {
  /** Whether tier-0 tokens leave early, or are refined, where the model says when. Default true. */
  readonly anytime?: boolean;
  /** What else predicts the tick after a token. Default: as the model says; null: nothing. */
  readonly candidates?: CandidateRule | null;
  /** When a channel fires. Default: as the model was trained. */
  readonly spikes?: SpikeSettings;
  /** Default: `events`. */
  readonly policy?: PolicyName | Policy;
  /**
   * false: the dense baseline. Every known channel fires at every tick, and every tick is a tier-0 token that is
   * written; there is no coherence and no decision. Default true.
   */
  readonly gating?: boolean;
  readonly coherence?: CoherenceSettings;
  /** Compute lambda itself at every token, also where bounds would do: for whoever looks at it. Default false. */
  readonly exactLambda?: boolean;
  /**
   * What a quarantined token says is not put out; the output before it is held. Scores of anomalies are, since they say
   * how strange the readings are. Default false: it is put out, with its trust beside it.
   */
  readonly withholdQuarantined?: boolean;
  /** What predicts that tier 1 would answer otherwise. Default: what the model carries. */
  readonly regret?: RegretModel;
  /** What witnesses say of the model: its `modelTag`. Default: not told. */
  readonly modelTag?: number;
  /** By so many ticks a model with a control chart calibrates itself; default: what the model says. */
  readonly calibrationTicks?: number;
}
