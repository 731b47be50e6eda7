/** Fits for how long the errors of candidates are remembered, and how slow the moving average among them is. */
import { Engine } from '../engine/engine.ts';
import type { CandidateRule, Model } from '../engine/model.ts';
import type { Series } from '../recording/recording.ts';
import { EvaluationError } from './match-recording.ts';
import { type NextTickScores, scoreNextTick } from './next-tick.ts';
import { requirePredictions } from './next-tick-evaluation.ts';
import type { Protocol } from './protocols.ts';
import { warmUpRowsOf } from './runs.ts';

/** Half-lives that are tried, each of the first with each of the second. */
const energyHalfLives = [8, 16, 32, 64, 128] as const;
const levelHalfLives = [1, 2, 4, 8] as const;
/** Rows at the start of a series with which a stream of a single tick's predictions gets going. */
const SETTLING_ROWS = 50;

export interface CandidateFit {
  readonly rule: CandidateRule;
  /** Gated, on the rows that chose it. */
  readonly validation: NextTickScores;
}

/**
 * The rule with the least mean absolute error on `validation`, gated as the model says; undefined where not even that is
 * surely better than the model alone. `protocol`: of the recording, for the units. Throws EvaluationError for a classifier,
 * and if the rows are too few.
 */
export function fitCandidates(
  model: Model,
  validation: readonly Series[],
  protocol: Protocol,
): CandidateFit | undefined {
  requirePredictions(model);
  if (validation.every(({ rows }) => rows <= SETTLING_ROWS))
    throw new EvaluationError(`candidates: expected more than ${SETTLING_ROWS} validation rows, got too few`);
  const engine = new Engine(model, { streams: 1 });
  const held = validationProtocol(model, validation, protocol);
  let best: CandidateFit | undefined;
  for (const energyHalfLife of energyHalfLives) {
    for (const levelHalfLife of levelHalfLives) {
      const rule = { energyHalfLife, levelHalfLife };
      const scores = scoreNextTick(held, engine, { candidates: rule, gating: true });
      if (best === undefined || scores.scores.ranked.mae < best.validation.scores.ranked.mae)
        best = { rule, validation: scores };
    }
  }
  return best !== undefined && best.validation.errorRatio[1] < 1 ? best : undefined;
}

/** The same recording, with these rows for tested ones. */
export function validationProtocol(
  { config }: Model,
  validation: readonly Series[],
  protocol: Protocol,
): Protocol {
  const { task, horizon = 1 } = protocol.recording;
  const settling = task === 'forecast' && horizon > 1 ? warmUpRowsOf(config) : SETTLING_ROWS;
  const tests = validation.map((series) => ({ series, scoredFrom: Math.min(settling, series.rows - 1) }));
  return { ...protocol, tests };
}
