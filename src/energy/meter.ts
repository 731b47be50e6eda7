/** One interface before everything that can tell energy. A number never travels without its source. */

/** `model`: computed from CPU time and published watts, not measured. The others are measured. */
export type MeterSource = 'model' | 'hwmon' | 'pmic' | 'plug' | 'rapl';

/** Both count up from the meter's start. */
export interface MeterReading {
  /** Joules of the whole board. */
  totalJ: number;
  /** Joules above what the board draws at idle; NaN where idle is not known. */
  aboveIdleJ: number;
}

export interface Meter {
  readonly source: MeterSource;
  /** The smallest difference, in joules, that means anything. */
  readonly resolutionJ: number;
  /** Fills `reading`. A source that cannot be read gives NaN, never a zero that would look measured. */
  read(reading: MeterReading): void;
}

export function makeMeterReading(): MeterReading {
  return { totalJ: 0, aboveIdleJ: 0 };
}
