/** How the tick after a token is predicted, by whom, on a recording's tested files. */
import { Engine } from '../engine/engine.ts';
import type { CandidateRule, Model } from '../engine/model.ts';
import type { Recording } from '../recording/recording.ts';
import type { EvaluateOptions } from './evaluation.ts';
import { EvaluationError, matchRecording } from './match-recording.ts';
import { defaultCandidates, type NextTickScores, scoreNextTick } from './next-tick.ts';
import { loadProtocol } from './protocols.ts';
import { type SendingResult, sendOnPrediction } from './send-on-prediction.ts';

export interface NextTick {
  readonly rule: CandidateRule;
  /** Whether the rule is the model's; else it is one to look at. */
  readonly isOwn: boolean;
  readonly dense: NextTickScores;
  readonly gated: NextTickScores;
  readonly sending: readonly SendingResult[];
}

/** `spikes`: default the model's own; `policy`: of the gated scores, default the pipeline's. Throws EvaluationError for a classifier, and RecordingError. */
export function evaluateNextTick(
  model: Model,
  recording: Recording,
  { spikes = model.meaning.spikes, policy }: Pick<EvaluateOptions, 'spikes' | 'policy'> = {},
): NextTick {
  requirePredictions(model);
  const protocol = loadProtocol(matchRecording(model, recording));
  const engine = new Engine(model, { streams: 1 });
  const { candidates } = model.meaning;
  const rule = candidates ?? defaultCandidates;
  const score = (gating: boolean) =>
    scoreNextTick(protocol, engine, { candidates: rule, gating, spikes, ...(policy && { policy }) });
  return {
    rule,
    isOwn: candidates !== undefined,
    dense: score(false),
    gated: score(true),
    sending: sendOnPrediction(protocol, engine, spikes, rule),
  };
}

/** Throws EvaluationError. */
export function requirePredictions({ meaning: { task } }: Pick<Model, 'meaning'>): void {
  if (task.kind !== 'classify') return;
  throw new EvaluationError('next tick: expected a model that predicts readings, got one that classifies');
}
