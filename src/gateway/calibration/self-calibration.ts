/** How a model with a control chart calibrates itself: its first frames are kept, and run again with what they have shown. */
import type { Channel } from '../../engine/model.ts';
import type { StateCarrier } from '../../gate/carrier.ts';
import type { Frame } from '../../gate/packets.ts';
import { type Calibration, Calibrator } from './calibration.ts';
import type { ControlChart } from './control-chart.ts';

export class SelfCalibration {
  readonly #shipped: readonly Channel[];
  readonly #chart: ControlChart;
  readonly #calibrator: Calibrator;
  #finished: Calibration | undefined;

  /** `channels`: as the model was shipped. Throws RangeError unless `ticks` is a whole number from 2 on. */
  constructor(channels: readonly Channel[], chart: ControlChart, ticks: number) {
    this.#shipped = channels;
    this.#chart = chart;
    this.#calibrator = new Calibrator(channels, ticks);
  }

  get finished(): Calibration | undefined {
    return this.#finished;
  }

  /** Ticks of the calibration that is under way, and those that it wants; 0 of 0 once it is finished. */
  get progress(): { readonly ticks: number; readonly wanted: number } {
    if (this.#finished !== undefined) return { ticks: 0, wanted: 0 };
    return { ticks: this.#calibrator.count, wanted: this.#calibrator.ticks };
  }

  /** Those of the device, once it is finished. */
  get channels(): readonly Channel[] {
    return this.#finished?.channels ?? this.#shipped;
  }

  use(calibration: Calibration): void {
    this.#finished = calibration;
    this.#chart.restore(calibration.chart);
  }

  /** What was calibrated, and what was kept for it. */
  discard(): void {
    this.#finished = undefined;
    this.#chart.forgetCalibration();
    this.#calibrator.reset();
  }

  /** What was kept does not go on. */
  reset(): void {
    this.#calibrator.reset();
  }

  /** Keeps a frame. Gives whether these are all that are wanted. Only while it is not finished. */
  keep(frame: Frame): boolean {
    this.#calibrator.add(frame);
    return this.#calibrator.isComplete;
  }

  /** `begin` is told the device's own channels; `tick` then sees all frames again. */
  run(begin: (channels: readonly Channel[]) => void, tick: (frame: Frame) => void, timeMs: number): void {
    const { ticks } = this.#calibrator;
    const channels = this.#calibrator.channels();
    begin(channels);
    this.#chart.beginCalibration(ticks);
    this.#calibrator.replay(tick);
    this.#chart.calibrate();
    this.#finished = { timeMs, ticks, channels, chart: this.#chart.state! };
  }

  /**
   * Hands over all but the chart. Where another had calibrated what this one had not, `useChannels` is told, and what is
   * given back is to be called once the chart was handed over; where it had not, `restart`.
   */
  carry(
    state: StateCarrier,
    useChannels: (channels: readonly Channel[]) => void,
    restart: () => void,
  ): () => void {
    const before = numbersOf(this.channels);
    const numbers = before.slice();
    const timeMs = state.number(this.#finished?.timeMs ?? Number.NaN);
    const ticks = state.number(this.#finished?.ticks ?? 0);
    state.array(numbers);
    if (ticks === 0 && this.#finished !== undefined) restart();
    this.#calibrator.carry(state);
    if (ticks === 0 || numbers.every((number, index) => number === before[index])) return () => {};
    const channels = withNumbers(this.#shipped, numbers);
    useChannels(channels);
    return () => {
      this.#finished = { timeMs, ticks, channels, chart: this.#chart.state! };
    };
  }
}

function numbersOf(channels: readonly Channel[]): Float64Array {
  return Float64Array.from(channels.flatMap(({ center, scale }) => [center, scale]));
}

function withNumbers(channels: readonly Channel[], numbers: Float64Array): Channel[] {
  return channels.map((channel, i) => ({ ...channel, center: numbers[2 * i]!, scale: numbers[2 * i + 1]! }));
}
