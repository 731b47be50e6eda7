/** Joules from a watt model: what this process costs a board, if the board draws what was published. */
import { assert } from '../engine/limits.ts';
import type { Meter, MeterReading } from './meter.ts';
import type { Target } from './target.ts';

/** Where time comes from; injected so that a test is its own clock. */
export interface ProcessClock {
  /** Milliseconds that never step back. */
  monotonicMs(): number;
  /** CPU time of this process so far, all threads, user and system, in milliseconds. */
  cpuMs(): number;
}

export const processClock: ProcessClock = {
  monotonicMs: () => performance.now(),
  cpuMs: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
};

/** Watts that one busy core adds above idle, by the linear model. */
export function wattsPerCore(target: Target): number {
  return (target.watts.allCores - target.watts.idle) / target.cpu.cores;
}

/**
 * `P = idle + (allCores - idle) x utilisation`, where utilisation is this process's CPU time over wall time and cores.
 * Linear, so energy needs only the two sums: `idle x wall + wattsPerCore x cpu`. What other processes burn is not in it.
 */
export class ModelMeter implements Meter {
  readonly source = 'model';
  /** CPU time is told in microseconds at best, by the kernel's accounting in about a millisecond. */
  readonly resolutionJ: number;
  readonly #clock: ProcessClock;
  readonly #idleWatts: number;
  readonly #coreWatts: number;
  readonly #startMs: number;
  readonly #startCpuMs: number;

  constructor(target: Target, clock: ProcessClock = processClock) {
    this.#clock = clock;
    this.#idleWatts = target.watts.idle;
    this.#coreWatts = wattsPerCore(target);
    this.resolutionJ = this.#coreWatts / 1000;
    this.#startMs = clock.monotonicMs();
    this.#startCpuMs = clock.cpuMs();
  }

  read(reading: MeterReading): void {
    const wallMs = this.#clock.monotonicMs() - this.#startMs;
    const cpuMs = this.#clock.cpuMs() - this.#startCpuMs;
    assert(wallMs >= 0 && cpuMs >= 0, 'clocks of a process never step back');
    reading.aboveIdleJ = (this.#coreWatts * cpuMs) / 1000;
    reading.totalJ = (this.#idleWatts * wallMs) / 1000 + reading.aboveIdleJ;
  }
}
