/**
 * The four workloads: what the gate makes of each, against the same model at tier 0 on every tick with its KV cache.
 * The tier mix is an outcome. Both run in turn, a few hundred ticks each, on one engine: the machine's moods hit both.
 */

import type { Target } from '../energy/target.ts';
import { wattsPerCore } from '../energy/watt-model.ts';
import type { KernelName } from '../engine/kernels/contract.ts';
import { retentionInterval } from '../eval/bootstrap.ts';
import type { Metric } from '../eval/metrics.ts';
import { makeRecorder } from '../eval/recorders.ts';
import { runTests } from '../eval/runs.ts';
import type { Scored } from '../eval/scores.ts';
import type { Pipeline } from '../gateway/pipeline.ts';
import { workloads as physics, workloadNames } from '../workloads/physics.ts';
import {
  type BenchResult,
  type Details,
  type Effort,
  result,
  rounded,
  summarise,
  type Timing,
} from './harness.ts';
import { openLoopLatencies } from './open-loop.ts';
import { type Times, timeInTurns } from './turns.ts';
import { type WorkloadClaim, workloadClaims } from './workload-claims.ts';
import { openSubject, type Subject } from './workload-subject.ts';

const ROWS = 30_000;
const QUICK_ROWS = 3_000;
/** Open loop: always-tier-0 would be busy for this share of the time; the gated run gets the same arrivals. */
const DENSE_UTILISATION = 0.7;

export async function workloads(
  effort: Effort,
  kernels?: KernelName,
  target?: Target,
): Promise<BenchResult[]> {
  const rows = effort.quick ? QUICK_ROWS : ROWS;
  const results: BenchResult[] = [];
  for (const name of workloadNames) {
    results.push(...(await measureWorkload(openSubject(physics[name], rows, kernels), effort, target)));
  }
  return results;
}

/** Two lines: tier 0 on every tick, and gated. */
export async function measureWorkload(
  subject: Subject,
  effort: Effort,
  target?: Target,
): Promise<BenchResult[]> {
  const scores = [score(subject, subject.dense, 1), score(subject, subject.gated, 1)] as const;
  const decimated = score(subject, subject.dense, 1 - scores[1].tierShares[3]!);
  const rounds = Math.max(5, effort.rounds);
  const times = await timeInTurns(subject.protocol, [subject.dense, subject.gated], rounds, effort.runMsMax);
  return linesOf(subject, scores, decimated, [times[0]!, times[1]!], target);
}

interface Score {
  readonly scored: Scored;
  readonly tierShares: readonly number[];
  readonly macsPerTick: number;
  readonly bytesPerTick: number;
}

/** One pass for the quality; `rate`: share of the ticks that are shown. */
function score({ protocol, engine }: Subject, pipeline: Pipeline, rate: number): Score {
  const recorder = makeRecorder(protocol, null);
  let bytes = 0;
  const counts = runTests(protocol, pipeline, {
    rate,
    warmUpRows: 0,
    recorder: {
      row(file, row, output, facts) {
        recorder.row(file, row, output, facts);
        if (facts === null || facts.tier === 3) return;
        const { weightBytes, kvReadBytes, kvWriteBytes } = engine.stats;
        bytes += weightBytes + kvReadBytes + kvWriteBytes;
      },
    },
  });
  return {
    scored: recorder.scored(),
    tierShares: counts.tierTicks.map((ticks) => ticks / counts.ticks),
    macsPerTick: counts.macs / counts.ticks,
    bytesPerTick: bytes / counts.ticks,
  };
}

function linesOf(
  subject: Subject,
  [dense, gated]: readonly [Score, Score],
  decimated: Score,
  [denseTimes, gatedTimes]: readonly [Times, Times],
  target: Target | undefined,
): BenchResult[] {
  const { name } = subject.physics;
  const claim = workloadClaims[name];
  const meanGapUs = denseTimes.meanUs / DENSE_UTILISATION;
  const line = (label: string, one: Score, times: Times, more: Details) =>
    result('workloads', `${name}, ${label}`, subject.engine.kernel, timingOf(times), {
      meanUs: rounded(times.meanUs, 4),
      ...costOf(one, times, target),
      ...latencyOf(times, meanGapUs),
      ...more,
    });
  const kept = keptOf(gated, dense);
  const speedup = denseTimes.meanUs / gatedTimes.meanUs;
  return [
    line('tier 0 always', dense, denseTimes, qualityOf(dense.scored.metric)),
    line(`gated (${subject.policy})`, gated, gatedTimes, {
      ...qualityOf(gated.scored.metric),
      ...kept,
      decimationKept: rounded(decimated.scored.metric.accuracy! / dense.scored.metric.accuracy!, 4),
      speedup: rounded(speedup),
      trafficCut: percent(1 - gated.bytesPerTick / dense.bytesPerTick),
      ...verdictOf(claim, speedup, kept.keptAtLeast),
    }),
  ];
}

function timingOf({ everyUs }: Times): Timing {
  return summarise(everyUs.slice());
}

function costOf(
  { tierShares, macsPerTick, bytesPerTick }: Score,
  { meanUs }: Times,
  target: Target | undefined,
): Details {
  return {
    tiers: tierShares.map((share) => percent(share)).join(' '),
    skipRate: rounded(tierShares[3]!, 4),
    macsPerTick: Math.round(macsPerTick),
    bytesPerTick: Math.round(bytesPerTick),
    modelledUj: target === undefined ? null : rounded(meanUs * wattsPerCore(target)),
  };
}

/** From the scheduled time, with the arrivals that keep always-tier-0 busy. */
function latencyOf({ serviceUs }: Times, meanGapUs: number): Details {
  const latencyUs = new Float64Array(serviceUs.length);
  openLoopLatencies(serviceUs, meanGapUs, 1, latencyUs);
  const { medianUs, p99Us, p999Us } = summarise(latencyUs);
  return {
    openLoopP50Us: rounded(medianUs),
    openLoopP99Us: rounded(p99Us),
    openLoopP999Us: rounded(p999Us),
  };
}

function qualityOf({ accuracy, macroF1 }: Metric): Details {
  return { accuracy: rounded(accuracy!, 4), macroF1: rounded(macroF1!, 4) };
}

interface Kept extends Details {
  readonly kept: number;
  readonly keptAtLeast: number;
  readonly macroF1Kept: number;
}

/** Of accuracy with a bootstrap interval, and of the mean F1 of the classes, in which a rare fault counts as much. */
function keptOf({ scored: own }: Score, { scored: base }: Score): Kept {
  const [low, high] = retentionInterval(own.blocked, base.blocked);
  return {
    kept: rounded(own.metric.accuracy! / base.metric.accuracy!, 4),
    keptAtLeast: rounded(low, 4),
    keptAtMost: rounded(high, 4),
    macroF1Kept: rounded(own.metric.macroF1! / base.metric.macroF1!, 4),
  };
}

function verdictOf(claim: WorkloadClaim, speedup: number, keptAtLeast: number): Details {
  const reached = speedup >= claim.askedSpeedup && keptAtLeast >= claim.askedRetention;
  return {
    claimedSpeedup: claim.speedup,
    claimCorrected: claim.corrected,
    claimedTrafficCut: claim.traffic,
    asked: `${claim.askedSpeedup} at ${claim.askedRetention}`,
    reached,
  };
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

export const workloadColumns = [
  'p999',
  'meanUs',
  'speedup',
  'tiers',
  'macsPerTick',
  'bytesPerTick',
  'modelledUj',
  'openLoopP50Us',
  'openLoopP99Us',
  'openLoopP999Us',
  'accuracy',
  'kept',
  'keptAtLeast',
  'macroF1Kept',
  'decimationKept',
];
