/** Predictions of the next tick, as text. */
import type { CandidateRule } from '../engine/model.ts';
import { type NextTickScores, predictors } from './next-tick.ts';
import type { NextTick } from './next-tick-evaluation.ts';
import { align } from './report.ts';
import type { SendingResult } from './send-on-prediction.ts';

/** Lines of text for people. */
export function describeNextTick({ rule, isOwn, dense, gated, sending }: NextTick): string[] {
  return [
    `Predictions of the tick after a token, by the least energy of late among ${predictors.length - 1} (${describeRule(rule)}${isOwn ? '' : '; the model itself has no such rule'}).`,
    'Errors in standard deviations of the training rows; NLL in nats and CRPS of Laplace densities.',
    '',
    ...describeScores('every tick a token', dense),
    '',
    ...describeScores('gated', gated),
    '',
    ...describeSending(sending),
  ];
}

export function describeRule({ energyHalfLife, levelHalfLife }: CandidateRule): string {
  return `half-lives of ${energyHalfLife} intervals for errors, ${levelHalfLife} for the average`;
}

/** The table of one run, and how sure it is that ranking helps. */
export function describeScores(title: string, { readings, scores, errorRatio }: NextTickScores): string[] {
  const rows = predictors.map((name) => {
    const { mae, nll, crps, share } = scores[name];
    return [`  ${name}`, mae.toFixed(4), nll.toFixed(3), crps.toFixed(4), `${(100 * share).toFixed(1)} %`];
  });
  const [low, high] = errorRatio.map((ratio) => ratio.toFixed(3));
  return [
    ...align([[`${title}, ${readings} readings`, 'MAE', 'NLL', 'CRPS', 'put out'], ...rows]),
    `  MAE of ranked over that of the model: ${low} to ${high} (95 %)`,
  ];
}

function describeSending(results: readonly SendingResult[]): string[] {
  const rows = results.map(({ rule, ranked, tokenShare, mae, matched }) => [
    `  ${rule}${ranked ? ', ranked' : ''}`,
    percent(tokenShare),
    mae.toFixed(4),
    percent(matched.tokenShare),
    matched.mae.toFixed(4),
    matched.thresholdScale.toFixed(2),
  ]);
  const head = [
    'sent by, with thresholds as they are',
    'tokens',
    'MAE',
    'as exact as delta: tokens',
    'MAE',
    'x',
  ];
  return align([head, ...rows]);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
