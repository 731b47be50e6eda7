/** How far the channels of a plant have gone since a device calibrated itself by them. */
import { factorOfHalfLife } from '../../gate/decay.ts';
import type { Calibration } from './calibration.ts';

/** From so many standard deviations of the calibration on, a channel has drifted. */
export const DRIFT_NOTABLE = 3;
/** The longest half-life that a moving average can have. */
const HALF_LIFE_MAX = 2 ** 20;

export interface ChannelDrift {
  readonly name: string;
  /** Of the calibration. */
  readonly center: number;
  readonly scale: number;
  /** Moving average since, in scales from the centre; null while nothing has come. */
  readonly drift: number | null;
}

/** A moving average per channel, with the calibration's length as its half-life. */
export class Drift {
  readonly #calibration: Calibration;
  readonly #keep: number;
  /** [channels], in scales, NaN until there was a value. */
  readonly #averages: Float64Array;

  constructor(calibration: Calibration) {
    this.#calibration = calibration;
    this.#keep = factorOfHalfLife(Math.min(calibration.ticks, HALF_LIFE_MAX));
    this.#averages = new Float64Array(calibration.channels.length).fill(Number.NaN);
  }

  /** Every tick: float64[channels], NaN where unknown. */
  observe(values: Float64Array): void {
    const { channels } = this.#calibration;
    for (let channel = 0; channel < channels.length; channel++) {
      const level = (values[channel]! - channels[channel]!.center) / channels[channel]!.scale;
      if (!Number.isFinite(level)) continue;
      const before = this.#averages[channel]!;
      this.#averages[channel] = Number.isNaN(before) ? level : this.#keep * before + (1 - this.#keep) * level;
    }
  }

  channels(): ChannelDrift[] {
    return this.#calibration.channels.map(({ name, center, scale }, channel) => {
      const drift = this.#averages[channel]!;
      return { name, center, scale, drift: Number.isNaN(drift) ? null : Number(drift.toPrecision(3)) };
    });
  }
}
