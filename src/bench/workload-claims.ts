/** What the prototype's documents promise for each workload, how that reads once it is counted again, and what is asked. */
import { type WorkloadName, workloadNames, workloads } from '../workloads/physics.ts';
import type { BenchResult } from './harness.ts';

export interface WorkloadClaim {
  /** "Expected" speed-up and cut in memory traffic of its documents. */
  readonly speedup: string;
  readonly traffic: string;
  /**
   * Its own formula, 1 / (sum of share x cost of the tier), without the halving by "sparse attention", which is not
   * there: attention is a hundredth of the work. Before any cost of a gate, and with shares that were assumed.
   */
  readonly corrected: number;
  /** What this project asks of itself. */
  readonly askedSpeedup: number;
  readonly askedRetention: number;
}

export const workloadClaims: Readonly<Record<WorkloadName, WorkloadClaim>> = {
  streaming: {
    speedup: '10-15',
    traffic: '60-80 %',
    corrected: 5.65,
    askedSpeedup: 15,
    askedRetention: 0.99,
  },
  interactive: {
    speedup: '4-6',
    traffic: '40-60 %',
    corrected: 2.91,
    askedSpeedup: 5,
    askedRetention: 0.98,
  },
  continuous: {
    speedup: '2-3',
    traffic: '30-50 %',
    corrected: 1.74,
    askedSpeedup: 2.5,
    askedRetention: 0.98,
  },
  'safety-critical': {
    speedup: '1.5-2',
    traffic: '20-30 %',
    corrected: 1.32,
    askedSpeedup: 1.5,
    askedRetention: 0.98,
  },
};

/** What was measured beside what the prototype predicted, for people. */
export function claimsRead(results: readonly BenchResult[]): string[] {
  return [
    "Mean time per tick against tier 0 on every tick with its KV cache, gate included; beside it the prototype's band,",
    'that band without its halving by "sparse attention" (before any gate), and what is asked here:',
    ...workloadNames.flatMap((name) => lineOf(name, results)),
    'Its "p99 reduced by 50 to 70 %" is a mean of p99s: while more than 1 % of ticks run tier 0, the p99 of a tick is',
    'that of tier 0, as the table shows. What falls is the queue: see openLoopP99Us. Its cut in memory traffic counts',
    'keys and values alone, but weights are most of what moves: traffic falls as compute does. Its mixes of tiers were',
    'assumed; here they come from how often something happens in each plant (docs/workloads.md), so that another',
    'plant gives other factors.',
  ];
}

function lineOf(name: WorkloadName, results: readonly BenchResult[]): string[] {
  const line = results.find((one) => one.case.startsWith(`${name}, gated`));
  if (line === undefined) return [];
  const claim = workloadClaims[name];
  return [
    `- ${name} (${workloads[name].plant}): / ${line.speedup}, keeps ${line.kept} (at least ${line.keptAtLeast}); ` +
      `predicted ${claim.speedup}, corrected ${claim.corrected}, asked ${claim.askedSpeedup} at ` +
      `${claim.askedRetention}: ${line.reached ? 'reached' : 'NOT reached'}. Traffic -${line.trafficCut}, predicted ${claim.traffic}.`,
  ];
}
