/** Two-sided cumulative sum: has a number drifted from where it was? (Page, "Continuous inspection schemes", 1954.) */
import type { StateCarrier } from './carrier.ts';

/** Drifts of less than twice this, in standard deviations, are not looked for. */
const ALLOWANCE = 0.5;
/** The sums stop here, so that what ended is not mourned for as long as it lasted. */
const DRIFT_MAX = 16;
/** Samples of which the mean and the deviation are taken, once there are so many: older ones fade. */
const SAMPLES_MAX = 60;
/** From so many samples on, mean and deviation mean something. */
const SAMPLES_MIN = 8;

export class Cusum {
  /** How far the number has drifted upwards and downwards, in its standard deviations summed over time, 0 to 16. */
  readonly sums = new Float64Array(2);
  /** Mean and variance of the ordinary samples. */
  readonly #moments = new Float64Array(2);
  readonly #deviationMin: number;
  #samples = 0;

  /** The standard deviation is taken as at least `deviationMin`. */
  constructor(deviationMin: number) {
    this.#deviationMin = deviationMin;
  }

  /** Hands over what it remembers. */
  carry(state: StateCarrier): void {
    state.array(this.sums);
    state.array(this.#moments);
    this.#samples = state.number(this.#samples);
  }

  reset(): void {
    this.sums.fill(0);
    this.#moments.fill(0);
    this.#samples = 0;
  }

  get ready(): boolean {
    return this.#samples >= SAMPLES_MIN;
  }

  /** Takes an ordinary sample into the mean and the deviation that drift is measured from. */
  learn(value: number): void {
    if (this.#samples < SAMPLES_MAX) this.#samples++;
    const share = 1 / this.#samples;
    const deviation = value - this.#moments[0]!;
    this.#moments[0]! += share * deviation;
    this.#moments[1] = (1 - share) * (this.#moments[1]! + share * deviation * deviation);
  }

  /**
   * Adds a whole number that stands for `intervals` of the `halfLife` intervals that make an independent sample. Does
   * nothing until ready. Whole numbers only: a double that is passed by itself is allocated.
   */
  add(value: number, intervals: number, halfLife: number): void {
    if (!this.ready) return;
    const share = Math.min(intervals / halfLife, 1);
    const deviation = Math.max(Math.sqrt(this.#moments[1]!), this.#deviationMin);
    const z = (value - this.#moments[0]!) / deviation;
    const { sums } = this;
    sums[0] = Math.max(0, Math.min(DRIFT_MAX, sums[0]! + share * (z - ALLOWANCE)));
    sums[1] = Math.max(0, Math.min(DRIFT_MAX, sums[1]! + share * (-z - ALLOWANCE)));
  }
}
