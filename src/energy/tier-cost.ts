/** What one step of each tier costs on this machine, measured, not derived from counts of operations. */
import type { Engine } from '../engine/engine.ts';
import { makeProcessClock, type ProcessClock } from './cpu-time.ts';

/** Of one step of a tier with a full context. */
export interface TierCost {
  /** CPU time, nanoseconds. */
  readonly cpuNs: number;
  /** Bytes of weights, keys and values that are read and written. */
  readonly bytes: number;
}

/** Tiers 0 to 2. Tier 3 runs no engine and costs nothing of it. */
export type TierCosts = readonly [TierCost, TierCost, TierCost];

/** A step that takes no time at all must end too. */
const stepsMax = 1_000_000;

/**
 * Runs stream 0 of the engine at each tier until `minCpuMs` of CPU time have passed, after a tenth of that to warm up
 * and fill the context. Leaves the stream empty.
 */
export function measureTierCosts(
  engine: Engine,
  clock: Pick<ProcessClock, 'cpuMs'> = makeProcessClock(),
  minCpuMs = 30,
): TierCosts {
  const features = new Int16Array(engine.config.features);
  const costs = ([0, 1, 2] as const).map((tier) => {
    const plan = engine.plans[tier]!.write;
    const cpuNs = measureCpuNs(() => engine.step(0, features, plan), clock, minCpuMs);
    const { weightBytes, kvReadBytes, kvWriteBytes } = engine.stats;
    return { cpuNs, bytes: weightBytes + kvReadBytes + kvWriteBytes };
  });
  engine.reset(0);
  return costs as unknown as TierCosts;
}

/** CPU time of one call, nanoseconds. */
export function measureCpuNs(step: () => void, clock: Pick<ProcessClock, 'cpuMs'>, minCpuMs: number): number {
  runFor(step, clock, minCpuMs / 10);
  const { steps, cpuMs } = runFor(step, clock, minCpuMs);
  return (cpuMs * 1e6) / steps;
}

function runFor(
  step: () => void,
  clock: Pick<ProcessClock, 'cpuMs'>,
  minCpuMs: number,
): { steps: number; cpuMs: number } {
  const startMs = clock.cpuMs();
  let steps = 0;
  let cpuMs = 0;
  while (cpuMs < minCpuMs && steps < stepsMax) {
    step();
    steps++;
    cpuMs = clock.cpuMs() - startMs;
  }
  return { steps, cpuMs };
}
