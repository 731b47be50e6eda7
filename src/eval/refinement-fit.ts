/**
 * Fits how much surer a round of refinement must make an answer for a further round to follow: the bar with the fewest
 * rounds that keeps a share of what all rounds gain. Tokens are run once with each number of rounds; a round writes
 * nothing that a later token sees, so what a bar does is added up from these.
 */
import { Engine } from '../engine/engine.ts';
import type { Model, ModelMeaning, RefinementRule } from '../engine/model.ts';
import type { Plan } from '../engine/plan.ts';
import { confidenceQ16 } from '../gate/confidence.ts';
import type { Output } from '../gateway/output.ts';
import { Pipeline } from '../gateway/pipeline.ts';
import type { PipelineEngine } from '../gateway/pipeline-options.ts';
import type { Series } from '../recording/recording.ts';
import { EvaluationError } from './match-recording.ts';

/** What so many rounds, or a bar, make of a run of tokens. */
export interface RefinementScore {
  /** Mean rounds of a token. */
  readonly rounds: number;
  /** Multiply-accumulates over those with all rounds. */
  readonly macsShare: number;
  /** Mean negative log-likelihood, nats: of the labels, or of the readings at the ticks to come. */
  readonly loss: number;
  /** Loss beyond that of all rounds. */
  readonly regret: number;
  /** classify: share of ticks with the right class; anomaly: minus the mean absolute error, in channel scales. */
  readonly quality: number;
}

export interface BarScore extends RefinementScore {
  readonly gainQ16: number;
}

/** [tokens][rounds + 1], rounds fastest; losses and qualities are sums over the ticks for which a token's answer stands. */
export interface RefinedTokens {
  readonly rounds: number;
  readonly confidences: readonly number[];
  readonly losses: Float64Array;
  readonly qualities: Float64Array;
  /** Ticks, or readings, that were scored. */
  readonly scored: number;
  /** Multiply-accumulates of a token without a round, and of a round. */
  readonly tokenMacs: number;
  readonly roundMacs: number;
}

/** Bars that are tried: quantiles of what rounds gained. */
const BARS = 40;
/** Any round reaches it. */
const ALWAYS = -(2 ** 31);

/** Throws EvaluationError where nothing can be refined, or no token is scored. */
export function collectRounds(model: Model, series: readonly Series[]): RefinedTokens {
  const { task } = model.meaning;
  const rounds = model.config.refinement?.rounds;
  if (rounds === undefined)
    throw new EvaluationError('refinement: expected a model that was trained with one, got none');
  if (task.kind === 'forecast')
    throw new EvaluationError(
      'refinement: expected classes or anomalies; a forecast does not say how sure it is',
    );
  const runs = Array.from({ length: rounds + 1 }, (_, count) => play(model, series, count));
  const tokens = runs[0]!.confidences.length;
  if (runs[0]!.scored === 0) throw new EvaluationError('refinement: expected rows to score, got none');
  if (runs.some(({ confidences }) => confidences.length !== tokens))
    throw new EvaluationError('refinement: expected thresholds that do not follow what the model puts out');
  const interleave = (of: (run: Run) => readonly number[]) =>
    Float64Array.from(
      { length: tokens * (rounds + 1) },
      (_, i) => of(runs[i % (rounds + 1)]!)[Math.floor(i / (rounds + 1))]!,
    );
  const tokenMacs = runs[0]!.macs / tokens;
  return {
    rounds,
    confidences: [...interleave((run) => run.confidences)],
    losses: interleave((run) => run.losses),
    qualities: interleave((run) => run.qualities),
    scored: runs[0]!.scored,
    tokenMacs,
    roundMacs: runs[1]!.macs / tokens - tokenMacs,
  };
}

/** Every token with so many rounds. */
export function scoreRounds(tokens: RefinedTokens, rounds: number): RefinementScore {
  return score(tokens, () => rounds);
}

/** Every token with as many rounds as a bar lets it have. */
export function scoreBar(tokens: RefinedTokens, gainQ16: number): BarScore {
  return { gainQ16, ...score(tokens, (token) => roundsOf(tokens, token, gainQ16)) };
}

/** As src/gate/anytime.ts does it. */
function roundsOf({ confidences, rounds }: RefinedTokens, token: number, gainQ16: number): number {
  const at = token * (rounds + 1);
  for (let round = 1; round < rounds; round++)
    if (confidences[at + round]! - confidences[at + round - 1]! < gainQ16) return round;
  return rounds;
}

function score(tokens: RefinedTokens, roundsOfToken: (token: number) => number): RefinementScore {
  const { rounds: all, losses, qualities, scored, tokenMacs, roundMacs } = tokens;
  const count = losses.length / (all + 1);
  let [rounds, loss, most, quality] = [0, 0, 0, 0];
  for (let token = 0; token < count; token++) {
    const own = roundsOfToken(token);
    const at = token * (all + 1);
    rounds += own;
    loss += losses[at + own]!;
    most += losses[at + all]!;
    quality += qualities[at + own]!;
  }
  return {
    rounds: rounds / count,
    macsShare: (tokenMacs + (rounds / count) * roundMacs) / (tokenMacs + all * roundMacs),
    loss: loss / scored,
    regret: (loss - most) / scored,
    quality: quality / scored,
  };
}

/** From all rounds to one, through quantiles of what rounds gained; 0 is always among them. */
export function barsOf({ confidences, rounds }: RefinedTokens, count = BARS): number[] {
  const gains = confidences.flatMap((confidence, i) =>
    i % (rounds + 1) === 0 ? [] : confidence - confidences[i - 1]!,
  );
  const sorted = Float64Array.from(gains).sort();
  const quantiles = Array.from(
    { length: count - 1 },
    (_, i) => sorted[Math.floor(((i + 1) / count) * sorted.length)]!,
  );
  const bars = [ALWAYS, 0, ...quantiles, sorted.at(-1)! + 1];
  return [...new Set(bars)].sort((a, b) => a - b);
}

/**
 * The rule with the fewest rounds that keeps at least `share`, 0 to 1, of what all rounds gain in loss; undefined if they
 * gain nothing.
 */
export function fitRefinement(tokens: RefinedTokens, share: number): RefinementRule | undefined {
  const [none, all] = [scoreRounds(tokens, 0), scoreRounds(tokens, tokens.rounds)];
  const gained = none.loss - all.loss;
  if (!(gained > 0)) return undefined;
  const kept = barsOf(tokens)
    .map((bar) => scoreBar(tokens, bar))
    .filter(({ regret }) => regret <= (1 - share) * gained);
  const [best] = kept.sort((a, b) => a.rounds - b.rounds);
  return { gainQ16: best?.gainQ16 ?? ALWAYS };
}

interface Run {
  readonly confidences: number[];
  readonly losses: number[];
  readonly qualities: number[];
  scored: number;
  macs: number;
}

/**
 * The model's own thresholds, every token with so many rounds: a policy that gives some of them less looks at the answers
 * before, which rounds change.
 */
function play(model: Model, series: readonly Series[], rounds: number): Run {
  const engine = withRounds(new Engine(model), rounds);
  const pipeline = new Pipeline(engine, 0, { policy: 'steady', anytime: false, candidates: null });
  const run: Run = { confidences: [], losses: [], qualities: [], scored: 0, macs: 0 };
  const { meaning } = model;
  const channels = meaning.channels.length;
  const frame = { timeMs: 0, values: new Float64Array(channels) };
  for (const one of series) {
    pipeline.reset();
    for (let row = 0; row < one.rows; row++) {
      const elapsed = row === 0 ? 0 : (one.timeMs[row]! - one.timeMs[row - 1]!) / meaning.intervalMs;
      frame.timeMs = one.timeMs[row]!;
      frame.values.set(one.values.subarray(row * channels, (row + 1) * channels));
      if (pipeline.output.kind === 'anomaly')
        scoreReadings(run, pipeline.output, frame.values, elapsed, meaning);
      const { tier, macs } = pipeline.tick(frame);
      if (tier !== 3) {
        run.macs += macs;
        run.confidences.push(confidenceQ16(meaning.task, engine.logits));
        run.losses.push(0);
        run.qualities.push(0);
      }
      const label = one.labels?.[row] ?? -1;
      if (pipeline.output.kind === 'classify' && label >= 0) scoreLabel(run, pipeline.output, label);
    }
  }
  return run;
}

/** Of what stands, which the last token has said. */
function scoreLabel(run: Run, { probabilities, classIndex }: Output, label: number): void {
  add(run, -Math.log(Math.max(probabilities[label]!, Number.MIN_VALUE)), Number(classIndex === label));
}

function scoreReadings(
  run: Run,
  output: Output,
  values: Float64Array,
  elapsed: number,
  { channels }: ModelMeaning,
): void {
  if (!output.hasValue) return;
  const widening = Math.sqrt(Math.max(1, Math.round(output.ageIntervals + elapsed)));
  for (const [channel, value] of values.entries()) {
    if (!Number.isFinite(value)) continue;
    const unit = channels[channel]!.scale;
    const scale = (widening * output.scaleOf(channel)) / unit;
    const error = Math.abs(value - output.values[channel]!) / unit;
    add(run, error / scale + Math.log(2 * scale), -error);
  }
}

function add(run: Run, loss: number, quality: number): void {
  run.losses[run.losses.length - 1]! += loss;
  run.qualities[run.qualities.length - 1]! += quality;
  run.scored++;
}

/** An engine that refines every tier-0 token so many times. */
export function withRounds(engine: Engine, rounds: number): PipelineEngine {
  const stats = { ...engine.stats };
  return {
    plans: engine.plans,
    model: engine.model,
    marks: engine.marks,
    logits: engine.logits,
    stats,
    step(stream: number, features: Int16Array, plan: Plan) {
      engine.step(stream, features, plan);
      Object.assign(stats, engine.stats);
      for (let round = 0; round < rounds && plan.tier === 0; round++) {
        engine.refine();
        stats.macs += engine.stats.macs;
      }
    },
    hold: (stream, ticks) => engine.hold(stream, ticks),
    cost: (plan) => engine.cost(plan),
    reset: (stream) => engine.reset(stream),
  };
}
