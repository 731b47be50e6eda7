/** CPU time and clock of the machine and of this process. */
import { type SystemFiles, systemFiles, tryText } from './system-files.ts';

/** Where time comes from; injected so that a test is its own clock. */
export interface ProcessClock {
  /** Milliseconds that never step back. */
  monotonicMs(): number;
  /** CPU time of this process so far, all threads, user and system, in milliseconds. */
  cpuMs(): number;
  /** CPU time of all processes of the machine so far, milliseconds; NaN or absent where nobody tells. */
  busyMs?(): number;
  /** Mean clock of the processor since the last call, MHz; NaN or absent where nobody tells. */
  clockMHz?(): number;
}

/** Linux tells times of CPUs in hundredths of a second, whatever its own tick is. */
const jiffyMs = 10;
const cpuDirectory = '/sys/devices/system/cpu/cpufreq';

/** This process on this machine. */
export function makeProcessClock(files: SystemFiles = systemFiles()): Required<ProcessClock> {
  const speed = new ClockSpeed(files);
  return {
    monotonicMs: () => performance.now(),
    cpuMs: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1000;
    },
    busyMs: () => parseBusyMs(tryText(files, '/proc/stat') ?? ''),
    clockMHz: () => speed.meanMHz(),
  };
}

/** Busy time of /proc/stat: user, nice, system and both kinds of interrupts; NaN for anything else. */
export function parseBusyMs(text: string): number {
  const [, numbers] = /^cpu +(\d+(?: \d+){6,})/.exec(text) ?? [];
  if (numbers === undefined) return Number.NaN;
  const [user, nice, system, , , interrupts, softInterrupts] = numbers.split(' ').map(Number) as number[];
  return (user! + nice! + system! + interrupts! + softInterrupts!) * jiffyMs;
}

/** Cores of the machine by /proc/stat, 0 when it does not tell. */
export function countCores(files: SystemFiles): number {
  return (tryText(files, '/proc/stat')?.match(/^cpu\d+ /gm) ?? []).length;
}

/** The mean clock between two looks: by the time spent at each step, else as it is now. */
class ClockSpeed {
  readonly #files: SystemFiles;
  #before = new Map<number, number>();

  constructor(files: SystemFiles) {
    this.#files = files;
  }

  meanMHz(): number {
    const policies = this.#policies();
    const now = sumByStep(policies.map((path) => tryText(this.#files, `${path}/stats/time_in_state`) ?? ''));
    const mean = meanStep(this.#before, now);
    this.#before = now;
    return (Number.isNaN(mean) ? this.#currentKHz(policies) : mean) / 1000;
  }

  #currentKHz(policies: readonly string[]): number {
    const steps = policies.map((path) =>
      Number(tryText(this.#files, `${path}/scaling_cur_freq`) || Number.NaN),
    );
    return steps.length === 0 ? Number.NaN : steps.reduce((sum, step) => sum + step, 0) / steps.length;
  }

  #policies(): readonly string[] {
    try {
      return this.#files
        .list(cpuDirectory)
        .filter((entry) => /^policy\d+$/.test(entry))
        .map((entry) => `${cpuDirectory}/${entry}`);
    } catch {
      return [];
    }
  }
}

/** Time per step (kHz), all policies together. */
function sumByStep(texts: readonly string[]): Map<number, number> {
  const times = new Map<number, number>();
  for (const text of texts) {
    for (const [, step, time] of text.matchAll(/^(\d+) (\d+)$/gm))
      times.set(Number(step), (times.get(Number(step)) ?? 0) + Number(time));
  }
  return times;
}

function meanStep(before: ReadonlyMap<number, number>, now: ReadonlyMap<number, number>): number {
  let sum = 0;
  let time = 0;
  for (const [step, until] of now) {
    const spent = until - (before.get(step) ?? until);
    sum += step * spent;
    time += spent;
  }
  return time > 0 ? sum / time : Number.NaN;
}
