/**
 * Fits how confident an early answer must be: Learn then Test (Angelopoulos et al. 2021) with fixed sequences.
 *
 * For each depth the demand is lowered from never leaving, and each step is a test of the hypothesis that answers
 * change at more than the share asked for; the first one that can't be rejected ends it. So with probability
 * 1 - significance the share holds for tokens like these, whatever the model. Tokens that follow each other are alike,
 * which a binomial test does not know: where changes come in runs the bound is too optimistic, so look at the check.
 */
import { Engine } from '../engine/engine.ts';
import type { ExitRule, Model } from '../engine/model.ts';
import { confidenceQ16 } from '../gate/confidence.ts';
import { EarlyExit } from '../gate/early-exit.ts';
import { Pipeline } from '../gateway/pipeline.ts';
import type { Series } from '../recording/recording.ts';
import { binomialTail, binomialUpperBound } from '../statistics/binomial.ts';
import { quantile } from '../statistics/statistics.ts';
import { EvaluationError } from './match-recording.ts';

export interface ExitFitOptions {
  /** Share of the tokens whose answer may change, above 0 and below 1. */
  readonly disagreementMax: number;
  /** Probability that the fit breaks its promise. */
  readonly significance: number;
}

export const defaultExitFit: ExitFitOptions = { disagreementMax: 0.01, significance: 0.05 };

/** What early exits do to a run of tokens. */
export interface ExitCheck {
  readonly tokens: number;
  /** Share of the tokens that left early. */
  readonly exitShare: number;
  /** Share of the tokens whose answer differs from that of all layers, and the upper end of its 95 % interval. */
  readonly disagreement: number;
  readonly disagreementHigh: number;
  /** Multiply-accumulates, over those of all layers. */
  readonly macsShare: number;
}

/** Steps from never to always. */
const STEPS = 20;

/** The rule that takes the least work of those that keep the promise on `series`; undefined if none does. */
export function fitExit(
  model: Model,
  series: readonly Series[],
  { disagreementMax, significance }: ExitFitOptions,
): ExitRule | undefined {
  if (model.meaning.task.kind === 'forecast') {
    throw new EvaluationError(
      'early exit: expected classes or anomalies; a forecast does not say how sure it is',
    );
  }
  const depths = model.config.layers - 1;
  let best: { rule: ExitRule; macsShare: number } | undefined;
  for (let layers = 1; layers <= depths; layers++) {
    for (const confidence of demands(model, series, layers)) {
      const rule = { layers, confidenceQ16: confidence };
      const check = checkExit(model, series, rule);
      const changed = Math.round(check.disagreement * check.tokens);
      if (binomialTail(changed, check.tokens, disagreementMax) > significance / depths) break;
      if (best === undefined || check.macsShare < best.macsShare) best = { rule, macsShare: check.macsShare };
    }
  }
  return best !== undefined && best.macsShare < 1 ? best.rule : undefined;
}

/** Plays `series`, each from its first row, with and without the rule. */
export function checkExit(model: Model, series: readonly Series[], rule: ExitRule): ExitCheck {
  const early = new EarlyExit(new Engine(model), rule);
  const whole = new Engine(model);
  const answers = [play(model, early, series), play(model, whole, series)] as const;
  const tokens = answers[1].decisions.length;
  if (tokens === 0) throw new EvaluationError('early exit: expected rows with tokens in them, got none');
  let changed = 0;
  for (let i = 0; i < tokens; i++) changed += Number(answers[0].decisions[i] !== answers[1].decisions[i]);
  return {
    tokens,
    exitShare: early.counters.exits / tokens,
    disagreement: changed / tokens,
    disagreementHigh: binomialUpperBound(changed, tokens, 0.025),
    macsShare: answers[0].macs / answers[1].macs,
  };
}

/** The decision at each token: the class, or whether there is an anomaly. */
function play(
  model: Model,
  engine: Engine | EarlyExit,
  series: readonly Series[],
): { decisions: number[]; macs: number } {
  // Every token at tier 0, where the rule holds.
  const pipeline = new Pipeline(engine, 0, { policy: 'steady', anytime: false });
  const { output } = pipeline;
  const decisions: number[] = [];
  let macs = 0;
  eachToken(model, pipeline, series, (tokenMacs) => {
    macs += tokenMacs;
    decisions.push(output.kind === 'classify' ? output.classIndex : Number(output.anomaly));
  });
  return { decisions, macs };
}

function eachToken(
  model: Model,
  pipeline: Pipeline,
  series: readonly Series[],
  onToken: (macs: number) => void,
): void {
  const channels = model.meaning.channels.length;
  const frame = { timeMs: 0, values: new Float64Array(channels) };
  for (const { rows, timeMs, values } of series) {
    pipeline.reset();
    for (let row = 0; row < rows; row++) {
      frame.timeMs = timeMs[row]!;
      frame.values.set(values.subarray(row * channels, (row + 1) * channels));
      const witness = pipeline.tick(frame);
      if (witness.tier !== 3) onToken(witness.macs);
    }
  }
}

/** Quantiles of the confidence after `layers`, from the most demanding on. */
function demands(model: Model, series: readonly Series[], layers: number): number[] {
  const engine = new Engine(model);
  const always = new EarlyExit(engine, { layers, confidenceQ16: Number.NEGATIVE_INFINITY });
  const seen: number[] = [];
  const pipeline = new Pipeline(always, 0, { policy: 'steady', anytime: false });
  eachToken(model, pipeline, series, () => seen.push(confidenceQ16(model.meaning.task, engine.logits)));
  return Array.from({ length: STEPS }, (_, i) => Math.round(quantile(seen, 1 - (i + 1) / STEPS)));
}
