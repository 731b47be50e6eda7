/** A model on a recording: gated, dense, and beside the trivial rivals. */
import type { Model } from '../engine/model.ts';
import type { Recording } from '../recording/recording.ts';
import { refuseClockChannels } from '../train/clock-channels.ts';
import { anomalyRivals } from './anomaly-rivals.ts';
import { keptShare, metricIntervals, retentionInterval } from './bootstrap.ts';
import { classifyRivals } from './classify-rivals.ts';
import type { EvaluateOptions, Evaluation, GatedResult, Rival, RunResult } from './evaluation.ts';
import { forecastRivals } from './forecast-rivals.ts';
import { matchRecording } from './match-recording.ts';
import type { Metric } from './metrics.ts';
import { Passes, type ScoredRun } from './passes.ts';
import { loadProtocol, type Protocol } from './protocols.ts';
import type { RunCounts } from './runs.ts';

/** Reads the recording's files and runs everything. Throws EvaluationError or RecordingError. */
export function evaluate(model: Model, recording: Recording, options: EvaluateOptions = {}): Evaluation {
  const protocol = loadProtocol(matchRecording(model, recording));
  const forRivals = rivalsProtocol(protocol, recording);
  if (!options.allowClocks) for (const one of [protocol, forRivals]) refuseOracles(one);
  const evaluation = evaluateProtocol(model, protocol, options, forRivals);
  return { ...evaluation, rivals: { ...evaluation.rivals, ...modelsBeside(recording, options) } };
}

/** The same of a recording that was matched and read, without other models beside. */
export function evaluateProtocol(
  model: Model,
  protocol: Protocol,
  options: EvaluateOptions = {},
  forRivals: Protocol = protocol,
): Evaluation {
  const { task } = protocol.recording;
  const passes = new Passes(model, protocol, options);
  const gated = passes.gated();
  const dense = passes.dense();
  const decimated = passes.decimated(1 - share(gated.counts, 3));
  const compared = (run: ScoredRun) => ({
    ...resultOf(run),
    retention: retention(task, run.metric, dense.metric),
  });
  return {
    task,
    metric: gated.metric,
    dense: resultOf(dense),
    gated: { ...resultOf(gated), skipRate: share(gated.counts, 3), tierShares: tierShares(gated.counts) },
    retention: retention(task, gated.metric, dense.metric),
    retentionInterval: retentionInterval(gated.blocked, dense.blocked),
    computeReduction: keptShare(macsPerTick(dense.counts), macsPerTick(gated.counts)),
    timeReduction: passes.timeReduction(),
    tiers: [compared(passes.forced(0)), compared(passes.forced(1)), compared(passes.forced(2))],
    float: options.float === undefined ? null : passes.float(options.float),
    curve: (options.curveScales ?? []).map((thresholdScale) => {
      const run = passes.scaled(thresholdScale);
      return { thresholdScale, ...compared(run), skipRate: share(run.counts, 3) };
    }),
    rivals: {
      ...trivialRivals(forRivals),
      decimation: resultOf(decimated),
    },
  };
}

/** Neither a model nor a rival is scored on what counts rows: it may have been told at which ones something happens. */
function refuseOracles({ recording, train, tests }: Protocol): void {
  refuseClockChannels(recording, [...train, ...tests.map(({ series }) => series)]);
}

/**
 * A rival classifier sees every channel that there is, though the model may do without some; what is predicted of
 * channels can be compared on the same ones only.
 */
function rivalsProtocol(protocol: Protocol, recording: Recording): Protocol {
  const { task, channels } = protocol.recording;
  return task !== 'classify' || channels.length === recording.channels.length
    ? protocol
    : loadProtocol(recording);
}

function resultOf({ metric, blocked, counts }: ScoredRun): RunResult {
  return { metric, interval: metricIntervals(blocked), macsPerTick: macsPerTick(counts) };
}

function tierShares(counts: RunCounts): GatedResult['tierShares'] {
  return [share(counts, 0), share(counts, 1), share(counts, 2), share(counts, 3)];
}

/** Each as it is: on every tick, at its own tier 0, with the channels that it was trained on. */
function modelsBeside(recording: Recording, { beside }: EvaluateOptions): Record<string, Rival> {
  return Object.fromEntries(
    [...(beside ?? [])].map(([name, model]) => {
      const protocol = loadProtocol(matchRecording(model, recording));
      return [name, resultOf(new Passes(model, protocol, {}).dense())];
    }),
  );
}

function macsPerTick({ macs, ticks }: RunCounts): number {
  return macs / ticks;
}

function share({ tierTicks, ticks }: RunCounts, tier: number): number {
  return tierTicks[tier]! / ticks;
}

/** Accuracy or F1 kept, or the inverse of the error's growth; NaN where the dense model has nothing to keep. */
export function retention(task: Recording['task'], run: Metric, dense: Metric): number {
  if (task === 'anomaly') return keptShare(run.f1!, dense.f1!);
  if (task === 'forecast') return keptShare(1 / run.mse!, 1 / dense.mse!);
  const files = Object.keys(dense).filter((name) => name.startsWith('accuracy:'));
  return Math.min(...files.map((name) => keptShare(run[name]!, dense[name]!)));
}

function trivialRivals(protocol: Protocol): Record<string, Rival> {
  const byTask = { classify: classifyRivals, anomaly: anomalyRivals, forecast: forecastRivals };
  const scored = byTask[protocol.recording.task](protocol);
  return Object.fromEntries(
    Object.entries(scored).map(([name, { metric, blocked }]) => [
      name,
      { metric, interval: metricIntervals(blocked) },
    ]),
  );
}
