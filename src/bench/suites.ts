/** The suites by name, in the order in which they run. */
import type { Target } from '../energy/target.ts';
import type { KernelName } from '../engine/kernels/contract.ts';
import { ablation, ablationColumns, verdicts } from './ablation.ts';
import { coherence } from './coherence.ts';
import { deltaLayer } from './delta-layer.ts';
import type { Folders } from './folders.ts';
import { gateway } from './gateway.ts';
import type { BenchResult, Effort } from './harness.ts';
import { latency } from './latency.ts';
import { crossovers, longContext, longContextColumns } from './long-context.ts';
import { policies, policyColumns } from './policies.ts';
import { readings } from './prototype.ts';
import { scaling } from './scaling.ts';
import { speculation } from './speculation.ts';
import { tableColumns, tables } from './tables.ts';
import { training } from './training.ts';
import { claimsRead } from './workload-claims.ts';
import { workloadColumns, workloads } from './workloads.ts';

export interface Suite {
  /** One line for the help. */
  readonly about: string;
  /**
   * `kernels`: default the fastest that runs here. `target`: whose watts modelled energy takes; none: no energy.
   * `folders`: of recordings and models of the user's own, for suites that can play them.
   */
  run(effort: Effort, kernels?: KernelName, target?: Target, folders?: Folders): Promise<BenchResult[]>;
  /** Which details the table shows, since lines are short; default all. JSON has all. */
  readonly columns?: readonly string[];
  /** What the table alone does not say, for the reader; not in JSON. */
  notes?(results: readonly BenchResult[]): string[];
}

export const suites: Readonly<Record<string, Suite>> = Object.freeze({
  tables: {
    about: "both presets, tiers 0 to 3: one step, a whole sequence, a skip; beside the prototype's claims",
    run: tables,
    columns: tableColumns,
    notes: readings,
  },
  latency: { about: 'every step of a long run: p99.9 and the longest, garbage collections', run: latency },
  scaling: { about: 'sequence length windowed and dense, layers, width, 1 to 1024 streams', run: scaling },
  'long-context': {
    about: 'histories of 64 to 8192: dense, three patterns, four bits, and from which length on each pays',
    run: longContext,
    columns: longContextColumns,
    notes: crossovers,
  },
  gateway: { about: 'messages through the gateway without a broker, skipped or a token each', run: gateway },
  coherence: { about: 'correlations and lambda of a tick, by bounds and exactly', run: coherence },
  training: { about: 'tokens per second of the trainer on the micro preset, one core', run: training },
  workloads: {
    about: 'four simulated plants: what the gate saves and keeps of each, against tier 0 on every tick',
    run: workloads,
    columns: workloadColumns,
    notes: claimsRead,
  },
  speculation: {
    about: 'rollouts drafted by the first layers: the most that this can gain',
    run: speculation,
  },
  delta: { about: 'would an exact integer delta layer pay', run: deltaLayer },
  policies: {
    about: 'policies of the gate beside each other, on rows that may choose between them',
    run: (effort, kernels, _target, folders) => policies(effort, kernels, folders),
    columns: policyColumns,
  },
  ablation: {
    about: 'each technique on and off, on the plants and on recordings that have a model; minutes',
    run: (effort, kernels, _target, folders) => ablation(effort, kernels, folders),
    columns: ablationColumns,
    notes: verdicts,
  },
});
