/**
 * Intel's and AMD's energy counters (RAPL) through Linux' powercap: joules of the processor's packages. Memory, disks,
 * board and power supply are not in them. A package contains its cores: the zones below it are never added.
 */
import { type Meter, MeterProblem, type MeterReading } from './meter.ts';
import { isRefused, readNumber, readText, type SystemFiles, tryText } from './system-files.ts';

const directory = '/sys/class/powercap';
/** More than a package ever draws: what bounds the time in which a counter may come around unseen. */
const wattsMax = 1000;
const pollMs = 60_000;
/** Nobody knows what Intel's estimate is worth on a given board; comparisons with plugs find some percent. */
const accuracyShare = 0.05;
const resolutionJ = 1e-3;

interface Zone {
  readonly path: string;
  readonly rangeJ: number;
}

/**
 * The packages' zones, with the counters' ranges. None: no RAPL here. Throws MeterProblem, for a refusal one that says
 * what to do about it.
 */
export function findRaplZones(files: SystemFiles): readonly Zone[] {
  const zones = files
    .list(directory)
    .filter((entry) => /^(intel|amd)-rapl:\d+$/.test(entry))
    .map((entry) => `${directory}/${entry}`)
    .filter((path) => (tryText(files, `${path}/name`) ?? '').startsWith('package'));
  return zones.map((path) => {
    readCounterJ(files, path, Number.MAX_SAFE_INTEGER);
    return {
      path,
      rangeJ: readNumber(files, `${path}/max_energy_range_uj`, 1, Number.MAX_SAFE_INTEGER) / 1e6,
    };
  });
}

function readCounterJ(files: SystemFiles, path: string, rangeJ: number): number {
  const file = `${path}/energy_uj`;
  try {
    return readNumber(files, file, 0, rangeJ * 1e6) / 1e6;
  } catch (error) {
    if (!isRefused((error as Error).cause)) throw error;
    throw new MeterProblem(
      `${file}: permission denied: since CVE-2020-8694 only root may read it, unless a rule grants it (docs/energy.md has one)`,
      { cause: (error as Error).cause },
    );
  }
}

/** Joules that a counter went on by. It comes around at its range. */
export function counterDeltaJ(beforeJ: number, nowJ: number, rangeJ: number): number {
  return nowJ >= beforeJ ? nowJ - beforeJ : nowJ + rangeJ - beforeJ;
}

export class RaplMeter implements Meter {
  readonly source = 'rapl';
  readonly scope = 'package';
  readonly title: string;
  failures = 0;
  lastFailure = '';
  readonly #files: SystemFiles;
  readonly #zones: readonly Zone[];
  readonly #monotonicMs: () => number;
  readonly #sums: MeterReading = { totalJ: 0, coveredMs: 0, varianceJ2: 0, systematicJ: 0 };
  #beforeJ: readonly number[] | undefined;
  #beforeMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    files: SystemFiles,
    zones: readonly Zone[],
    monotonicMs: () => number = () => performance.now(),
  ) {
    this.#files = files;
    this.#zones = zones;
    this.#monotonicMs = monotonicMs;
    const names = zones.map(({ path }) => readText(files, `${path}/name`));
    this.title = `RAPL ${names.join(' and ')}, processor only`;
    this.#update();
  }

  resolutionJ(): number {
    return resolutionJ;
  }

  /** Reads often enough that no counter comes around unseen. */
  start(): void {
    this.#timer ??= setInterval(() => this.#update(), pollMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  read(reading: MeterReading): void {
    this.#update();
    Object.assign(reading, this.#sums);
  }

  /** All counters or none. A counter that could not be read goes on counting: the next reading makes up for it. */
  #update(): void {
    try {
      const nowJ = this.#zones.map(({ path, rangeJ }) => readCounterJ(this.#files, path, rangeJ));
      this.#advance(nowJ, this.#monotonicMs());
    } catch (error) {
      this.#fail((error as Error).message);
    }
  }

  #advance(nowJ: readonly number[], nowMs: number): void {
    const beforeJ = this.#beforeJ;
    const spanMs = nowMs - this.#beforeMs;
    this.#beforeJ = nowJ;
    this.#beforeMs = nowMs;
    if (beforeJ === undefined) return;
    if (this.#zones.some(({ rangeJ }) => (spanMs / 1000) * wattsMax > rangeJ)) {
      this.#fail(
        `${this.title}: expected a reading at least each ${pollMs / 1000} s, got one after ${Math.round(spanMs / 1000)} s`,
      );
      return;
    }
    const deltas = this.#zones.map(({ rangeJ }, zone) => counterDeltaJ(beforeJ[zone]!, nowJ[zone]!, rangeJ));
    this.#add(
      deltas.reduce((sum, deltaJ) => sum + deltaJ, 0),
      spanMs,
    );
  }

  #add(deltaJ: number, spanMs: number): void {
    if (deltaJ > (spanMs / 1000) * wattsMax * this.#zones.length + 1) {
      this.#fail(`${this.title}: expected at most ${wattsMax} W, got ${deltaJ} J in ${spanMs} ms`);
      return;
    }
    this.#sums.totalJ += deltaJ;
    this.#sums.coveredMs += spanMs;
    this.#sums.systematicJ += accuracyShare * deltaJ;
  }

  #fail(reason: string): void {
    this.failures++;
    this.lastFailure = reason;
  }
}
