/** One interface before everything that can tell energy. A number never travels without its source. */

/** `model`: computed from CPU time and watts, not measured. The others are measured. */
export type MeterSource = 'hwmon' | 'pmic' | 'plug' | 'rapl' | 'model';

/** What the joules are of: all that the board draws, all that the plug gives, or the processor's package alone. */
export type MeterScope = 'board' | 'plug' | 'package';

/** Sums from the meter's start. What lies between two readings is their difference. */
export interface MeterReading {
  /** Joules over `coveredMs`. */
  totalJ: number;
  /** Time that the joules are of. Where the source could not be read it stands still: missing is never zero. */
  coveredMs: number;
  /** Variance of `totalJ` by errors that are independent of each other, joules squared. */
  varianceJ2: number;
  /** Half width of `totalJ` by errors that all readings share, such as a resistor that is off by a percent. */
  systematicJ: number;
}

export interface Meter {
  readonly source: MeterSource;
  readonly scope: MeterScope;
  /** Which one it is, for people. */
  readonly title: string;
  /** What it told last, for people; absent where there is nothing to show. */
  readonly lastText?: string | undefined;
  /** Reads that failed, and why the last one did. */
  readonly failures: number;
  readonly lastFailure: string;
  /** The smallest difference, in joules, that means anything over `spanMs`. */
  resolutionJ(spanMs: number): number;
  /** Begins to watch, where reading now and then is not enough. */
  start?(): void;
  stop?(): void;
  /** Fills `reading`. Never throws; what can't be read is counted and not covered. */
  read(reading: MeterReading): void;
}

export function makeMeterReading(): MeterReading {
  return { totalJ: 0, coveredMs: 0, varianceJ2: 0, systematicJ: 0 };
}

/** Why a source can't be read: what it is, what was expected, what was got. */
export class MeterProblem extends Error {
  override readonly name = 'MeterProblem';
}

/** Of a normal distribution 95 % lie within so many deviations. */
export const deviationsOf95 = 1.96;
