/** Joules from a watt model: what the CPU time of this machine costs, if it draws what the model says. */
import { assert } from '../engine/limits.ts';
import { makeProcessClock, type ProcessClock } from './cpu-time.ts';
import type { Meter, MeterReading } from './meter.ts';
import type { WattModel } from './watt-model.ts';

/** The kernel tells the machine's CPU time in hundredths of a second. */
const busyStepMs = 10;
const cpuStepMs = 1;

/**
 * `P = idle + core x busy cores x clock / full clock`. Where the machine's CPU time is not told, this process stands for
 * all: what others burn is then not in it. Slower cores count in proportion, though with less voltage they draw even less.
 */
export class ModelMeter implements Meter {
  readonly source = 'model';
  readonly scope = 'board';
  readonly title: string;
  readonly failures = 0;
  readonly lastFailure = '';
  readonly watts: WattModel;
  /** As of the last reading: CPU time of all processes since the start, and the mean clock before it, MHz, or NaN. */
  busyMs = 0;
  clockMHz = Number.NaN;
  readonly #clock: ProcessClock;
  readonly #startMs: number;
  /** CPU time at the last reading, of the machine (NaN: not told) and of this process. */
  #machineMs: number;
  #cpuMs: number;
  /** Milliseconds of one core at full clock that would have drawn the same. */
  #fullMs = 0;
  #isMachine: boolean;

  constructor(watts: WattModel, clock: ProcessClock = makeProcessClock()) {
    this.watts = watts;
    this.#clock = clock;
    this.title = `the ${watts.basis} watt model, ${watts.idleWatts} W + ${Number(watts.coreWatts.toPrecision(4))} W a busy core`;
    this.#startMs = clock.monotonicMs();
    this.#cpuMs = clock.cpuMs();
    this.#machineMs = clock.busyMs?.() ?? Number.NaN;
    this.#isMachine = !Number.isNaN(this.#machineMs);
    clock.clockMHz?.();
  }

  /** Whether other processes are in it. */
  get seesMachine(): boolean {
    return this.#isMachine;
  }

  resolutionJ(): number {
    return (this.watts.coreWatts * (this.#isMachine ? busyStepMs : cpuStepMs)) / 1000;
  }

  read(reading: MeterReading): void {
    const wallMs = this.#clock.monotonicMs() - this.#startMs;
    assert(wallMs >= 0, 'a monotonic clock never steps back');
    this.#advance();
    const { idleWatts, coreWatts, idleErrorWatts, coreErrorWatts } = this.watts;
    reading.totalJ = (idleWatts * wallMs + coreWatts * this.#fullMs) / 1000;
    reading.coveredMs = wallMs;
    reading.varianceJ2 = 0;
    reading.systematicJ = (idleErrorWatts * wallMs + coreErrorWatts * this.#fullMs) / 1000;
  }

  /** Slowed as the clock is: what a core's time counts, 0 to 1. */
  get speed(): number {
    const share = this.clockMHz / this.watts.clockMHz;
    return Number.isNaN(share) ? 1 : Math.min(1, share);
  }

  #advance(): void {
    const machineMs = this.#clock.busyMs?.() ?? Number.NaN;
    const cpuMs = this.#clock.cpuMs();
    const ownMs = cpuMs - this.#cpuMs;
    assert(ownMs >= 0, 'CPU time of a process never steps back');
    const allMs = machineMs - this.#machineMs;
    this.clockMHz = this.#clock.clockMHz?.() ?? Number.NaN;
    this.#isMachine = !Number.isNaN(allMs);
    // Both are rounded, and differently: the machine can't have been less busy than we were.
    const busyMs = allMs > ownMs ? allMs : ownMs;
    this.busyMs += busyMs;
    this.#fullMs += busyMs * this.speed;
    this.#machineMs = machineMs;
    this.#cpuMs = cpuMs;
  }
}
