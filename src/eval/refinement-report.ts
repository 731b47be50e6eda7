/** What rounds of refinement and bars for them do, as text. */
import { LOGIT_ONE } from '../engine/limits.ts';
import type { RefinementRule } from '../engine/model.ts';
import {
  type BarScore,
  barsOf,
  type RefinedTokens,
  type RefinementScore,
  scoreBar,
  scoreRounds,
} from './refinement-fit.ts';
import { align } from './report.ts';

/** Some bars on the way from all rounds to one. */
const SHOWN_BARS = 6;

export interface RefinementRows {
  /** Every token with 0, 1, ... rounds. */
  readonly rounds: readonly RefinementScore[];
  readonly bars: readonly BarScore[];
  /** By the rule; absent without one. */
  readonly fitted?: BarScore;
}

/** `bars`: default some of these tokens' own. */
export function refinementRows(
  tokens: RefinedTokens,
  rule: RefinementRule | undefined,
  bars: readonly number[] = barsOf(tokens, SHOWN_BARS),
): RefinementRows {
  return {
    rounds: Array.from({ length: tokens.rounds + 1 }, (_, rounds) => scoreRounds(tokens, rounds)),
    bars: bars.map((bar) => scoreBar(tokens, bar)),
    ...(rule && { fitted: scoreBar(tokens, rule.gainQ16) }),
  };
}

/** A table of them. */
export function describeRefinementRows(title: string, { rounds, bars, fitted }: RefinementRows): string[] {
  const row = (name: string, { rounds, macsShare, loss, regret, quality }: RefinementScore) => [
    `  ${name}`,
    rounds.toFixed(2),
    macsShare.toFixed(3),
    loss.toFixed(4),
    regret.toFixed(4),
    quality.toFixed(4),
  ];
  return align([
    [title, 'rounds', 'work', 'loss', 'regret', 'quality'],
    ...rounds.map((score, count) => row(`always ${count}`, score)),
    ...bars.map((score) => row(`while surer by ${barText(score.gainQ16)}`, score)),
    ...(fitted ? [row(`fitted: while surer by ${barText(fitted.gainQ16)}`, fitted)] : []),
  ]);
}

/** In natural logarithms. */
export function barText(gainQ16: number): string {
  return String(Number((gainQ16 / LOGIT_ONE).toPrecision(3)));
}
