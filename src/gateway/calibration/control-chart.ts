/**
 * How far a plant has left its ordinary: Hotelling's T2 of moving averages, by the covariance that they had while the
 * device calibrated itself (a multivariate EWMA chart: Lowry et al., Technometrics 34, 1992).
 *
 * Two averages per channel: its level, and how far it is from what the model predicted, for noise, a stuck sensor and a
 * broken coupling do not move a level. The score has a unit that the device itself gives, so that one threshold suits
 * every device: T2 of the strangest tick of its calibration, or T2 as it is on average.
 */
import type { ChartSettings } from '../../engine/model.ts';
import type { StateCarrier } from '../../gate/carrier.ts';
import { Decay } from '../../gate/decay.ts';
import { cholesky, solveCholesky } from '../../statistics/linear-algebra.ts';
import { addRidge, covariance, fillForward, knownMeans } from '../../statistics/statistics.ts';

/** Readings beyond so many scales, and surprises beyond so many expected ones, count as these: one is no episode. */
const LEVEL_MAX = 8;
const SURPRISE_MAX = 6;
/** Ticks at the start of a calibration, when the averages are still those of a few readings; and after a recovery. */
const SETTLING_TICKS = 20;
/** Of a variance of 1: what stood still while calibrating may tremble. */
const RIDGE = 1e-3;
/**
 * So far couplings are taken for nothing: minutes of moving averages are few independent samples, and T2 magnifies what
 * chance has coupled (shrinkage: Schaefer and Strimmer 2005).
 */
const SHRINKAGE = 0.2;

/** What a chart has calibrated, as plain numbers. */
export interface ChartState {
  /** [2 x channels], levels first. */
  readonly mean: readonly number[];
  /** [2 x channels]^2, row-major. */
  readonly covariance: readonly number[];
  /** T2 that is a score of 1, above 0. */
  readonly unitT2: number;
}

export class ControlChart {
  /** T2 at the last token, in units; NaN until there is one. In its one place: doubles would be allocated. */
  readonly score = new Float64Array(1).fill(Number.NaN);
  /** The channel that contributes most to the score; -1 without one. */
  topChannel = -1;
  /** [2 x channels], NaN until there was a value: levels, then surprises. */
  readonly averages: Float64Array;
  readonly #channels: number;
  readonly #byStrangest: boolean;
  readonly #levelDecay: Decay;
  readonly #surpriseDecay: Decay;
  readonly #covariance: Float64Array;
  readonly #mean: Float64Array;
  /** The mean, but for levels that were taken for ordinary since. */
  readonly #ordinary: Float64Array;
  readonly #precision: Float64Array;
  readonly #departure: Float64Array;
  /** [2 x channels], of T2. */
  readonly #parts: Float64Array;
  /** In its one place, like the score. */
  readonly #t2 = new Float64Array(1);
  /** In its one place: what is averaged next. */
  readonly #seen = new Float64Array(1);
  /** So many more ticks the ordinary levels follow. */
  #settlingTicks = 0;
  /** 0 until calibrated. */
  #unitT2 = 0;
  /** While calibrating: the averages at each tick. */
  #rows: Float64Array | undefined;
  #rowCount = 0;

  constructor(channels: number, settings: ChartSettings) {
    const count = 2 * channels;
    this.#channels = channels;
    this.#byStrangest = settings.unit !== 'average';
    this.#levelDecay = new Decay(settings.levelHalfLife);
    this.#surpriseDecay = new Decay(settings.surpriseHalfLife);
    this.averages = new Float64Array(count).fill(Number.NaN);
    this.#mean = new Float64Array(count);
    this.#ordinary = new Float64Array(count);
    this.#covariance = new Float64Array(count * count);
    this.#precision = new Float64Array(count * count);
    this.#departure = new Float64Array(count);
    this.#parts = new Float64Array(count);
  }

  get isCalibrated(): boolean {
    return this.#unitT2 > 0;
  }

  /** Hands over what is calibrated, and the averages; what is noted for a calibration ends before the next tick. */
  carry(state: StateCarrier): void {
    const { averages, score } = this;
    for (const array of [averages, this.#mean, this.#ordinary, this.#covariance, this.#precision, score])
      state.array(array);
    this.topChannel = state.number(this.topChannel);
    this.#settlingTicks = state.number(this.#settlingTicks);
    this.#unitT2 = state.number(this.#unitT2);
  }

  /** The averages begin anew; what was calibrated stays. */
  reset(): void {
    this.averages.fill(Number.NaN);
    this.#ordinary.set(this.#mean);
    this.#settlingTicks = 0;
    this.score[0] = Number.NaN;
    this.topChannel = -1;
  }

  /**
   * The levels as they are now, and as they come to rest in the next ticks, are ordinary ones, until `reset`; how they vary
   * together stays as calibrated.
   */
  acceptLevels(): void {
    this.#settlingTicks = SETTLING_TICKS;
    this.#follow();
  }

  /** Something is wrong: the levels don't come to rest. */
  endSettling(): void {
    this.#settlingTicks = 0;
  }

  #follow(): void {
    for (let channel = 0; channel < this.#channels; channel++) {
      if (!Number.isNaN(this.averages[channel]!)) this.#ordinary[channel] = this.averages[channel]!;
    }
  }

  /** As before any calibration. */
  forgetCalibration(): void {
    this.reset();
    this.#unitT2 = 0;
    this.#rows = undefined;
  }

  /** From here on, at most so many ticks are noted, until `calibrate` is called. */
  beginCalibration(ticks: number): void {
    this.forgetCalibration();
    this.#rows = new Float64Array(ticks * this.averages.length);
    this.#rowCount = 0;
  }

  /**
   * Every tick, whether it is a token or not. `levels` [channels]: normalised. `surprises` [channels]: how far each reading
   * was from the last prediction, in predicted scales. NaN where unknown. `intervals`: whole ones since the last tick.
   */
  observe(levels: Float64Array, surprises: Float64Array, intervals: number): void {
    this.#levelDecay.forget(Math.max(1, intervals));
    this.#surpriseDecay.forget(Math.max(1, intervals));
    for (let channel = 0; channel < this.#channels; channel++) {
      this.#seen[0] = Math.max(-LEVEL_MAX, Math.min(LEVEL_MAX, levels[channel]!));
      this.#average(channel, this.#levelDecay.left);
      this.#seen[0] = Math.min(SURPRISE_MAX, surprises[channel]!);
      this.#average(this.#channels + channel, this.#surpriseDecay.left);
    }
    if (this.#settlingTicks > 0) {
      this.#settlingTicks--;
      this.#follow();
    }
    if (this.#rows !== undefined) this.#note(this.#rows);
  }

  /** A token: sets `score` and `topChannel`. */
  update(): void {
    if (!this.isCalibrated) return;
    this.#measure(this.averages);
    this.score[0] = this.#t2[0]! / this.#unitT2;
  }

  // Values are passed in their array: a double that is passed by itself is allocated.
  #average(index: number, keep: Float64Array): void {
    const value = this.#seen[0]!;
    if (Number.isNaN(value)) return;
    const before = this.averages[index]!;
    this.averages[index] = Number.isNaN(before) ? value : keep[0]! * before + (1 - keep[0]!) * value;
  }

  #note(rows: Float64Array): void {
    const { length } = this.averages;
    if ((this.#rowCount + 1) * length > rows.length) return;
    rows.set(this.averages, this.#rowCount++ * length);
  }

  /** What was noted becomes the ordinary. Where nothing was, averages that vary by 1 are. */
  calibrate(): void {
    const count = this.averages.length;
    const from = Math.min(SETTLING_TICKS, Math.max(0, this.#rowCount - 1)) * count;
    const noted = this.#rows?.subarray(from, this.#rowCount * count) ?? new Float64Array();
    this.#rows = undefined;
    this.#mean.set(knownMeans(noted, count));
    this.#ordinary.set(this.#mean);
    this.#covariance.set(
      noted.length > 0
        ? covariance(fillForward(noted, this.#mean), count)
        : addRidge(new Float64Array(count * count), count, 1),
    );
    this.#precision.set(inverse(trusted(this.#covariance, count), count));
    // T2 of as many averages is their number on average; where nothing moved it must not become an alarm to tremble.
    this.#unitT2 = count;
    for (let at = 0; this.#byStrangest && at < noted.length; at += count) {
      this.#measure(noted.subarray(at, at + count));
      this.#unitT2 = Math.max(this.#unitT2, this.#t2[0]!);
    }
  }

  /** Null before it is calibrated. */
  get state(): ChartState | null {
    if (!this.isCalibrated) return null;
    return { mean: [...this.#mean], covariance: [...this.#covariance], unitT2: this.#unitT2 };
  }

  /** Goes on from an earlier calibration of as many channels. */
  restore({ mean, covariance, unitT2 }: ChartState): void {
    this.forgetCalibration();
    this.#mean.set(mean);
    this.#ordinary.set(mean);
    this.#covariance.set(covariance);
    const count = mean.length;
    this.#precision.set(inverse(trusted(this.#covariance, count), count));
    this.#unitT2 = unitT2;
  }

  /** Sets T2 of `averages`, and which channel has the largest part of it. An average that is unknown departs from nothing. */
  #measure(averages: Float64Array): void {
    for (let i = 0; i < averages.length; i++) {
      const departure = averages[i]! - this.#ordinary[i]!;
      this.#departure[i] = Number.isNaN(departure) ? 0 : departure;
    }
    let most = 0;
    this.#t2[0] = 0;
    this.topChannel = -1;
    for (let channel = 0; channel < this.#channels; channel++) {
      this.#divide(channel);
      this.#divide(this.#channels + channel);
      const part = this.#parts[channel]! + this.#parts[this.#channels + channel]!;
      this.#t2[0] += part;
      if (part <= most) continue;
      most = part;
      this.topChannel = channel;
    }
  }

  /** Sets a part of T2: a departure times its row of the precision times all departures. */
  #divide(row: number): void {
    const count = this.#departure.length;
    let sum = 0;
    for (let i = 0; i < count; i++) sum += this.#precision[row * count + i]! * this.#departure[i]!;
    this.#parts[row] = sum * this.#departure[row]!;
  }
}

/** A covariance [n x n] as far as it is trusted. */
function trusted(measured: Float64Array, n: number): Float64Array {
  return measured.map((value, i) => (i % (n + 1) === 0 ? value + RIDGE : (1 - SHRINKAGE) * value));
}

function inverse(matrix: Float64Array, n: number): Float64Array {
  const lower = cholesky(matrix, n);
  const result = new Float64Array(n * n);
  for (let column = 0; column < n; column++) {
    const unit = result.subarray(column * n, (column + 1) * n);
    unit[column] = 1;
    solveCholesky(lower, n, unit);
  }
  return result;
}
