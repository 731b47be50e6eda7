/** From readings of power now and then to joules: each value holds until the next one, but not for ever. */
import type { MeterReading } from './meter.ts';

export interface IntegratorOptions {
  /** Without a new value after so long, what was drawn since then is not known. */
  readonly holdMaxMs: number;
  /** Steps of the readings, watts. */
  readonly resolutionWatts: number;
  /** Error that all readings share, as a share of them. */
  readonly accuracyShare: number;
}

export class PowerIntegrator {
  readonly #options: IntegratorOptions;
  readonly #sums: MeterReading = { totalJ: 0, coveredMs: 0, varianceJ2: 0, systematicJ: 0 };
  #watts = Number.NaN;
  #sinceMs = Number.NaN;

  constructor(options: IntegratorOptions) {
    this.#options = options;
  }

  /** The last value; NaN before the first. */
  get watts(): number {
    return this.#watts;
  }

  /**
   * A value at a time (monotonic). How far it lies from the one before tells the noise: half the squared difference
   * estimates the variance also where the power itself moves slowly (von Neumann 1941).
   */
  add(nowMs: number, watts: number): void {
    const spanS = this.#heldMs(nowMs) / 1000;
    const difference = watts - this.#watts;
    this.#advance(nowMs, this.#sums);
    if (spanS > 0) this.#sums.varianceJ2 += (spanS * difference) ** 2 / 2;
    this.#watts = watts;
    this.#sinceMs = nowMs;
  }

  /** The sums up to now, the last value held. */
  read(nowMs: number, reading: MeterReading): void {
    Object.assign(reading, this.#sums);
    this.#advance(nowMs, reading);
  }

  #advance(nowMs: number, sums: MeterReading): void {
    const heldMs = this.#heldMs(nowMs);
    if (heldMs <= 0) return;
    const { resolutionWatts, accuracyShare } = this.#options;
    sums.totalJ += (this.#watts * heldMs) / 1000;
    sums.coveredMs += heldMs;
    sums.systematicJ += ((resolutionWatts / 2 + accuracyShare * Math.abs(this.#watts)) * heldMs) / 1000;
  }

  #heldMs(nowMs: number): number {
    return Number.isNaN(this.#watts) ? 0 : Math.min(nowMs - this.#sinceMs, this.#options.holdMaxMs);
  }
}
