/** What a device learns of its own plant in its first minutes: where its channels rest, how far they swing, what goes together. */
import type { Channel } from '../../engine/model.ts';
import { calibrateChannels } from '../../gate/calibrate-channels.ts';
import type { StateCarrier } from '../../gate/carrier.ts';
import type { Frame } from '../../gate/packets.ts';
import type { ChartState } from './control-chart.ts';

/** A finished calibration, as it is kept and published. */
export interface Calibration {
  /** Of the tick that finished it. */
  readonly timeMs: number;
  readonly ticks: number;
  /** In the model's order, with the device's own centres and scales. */
  readonly channels: readonly Channel[];
  readonly chart: ChartState;
}

/** Keeps the frames that a device calibrates itself by. All memory is taken here. */
export class Calibrator {
  readonly #channels: readonly Channel[];
  readonly #ticks: number;
  readonly #values: Float64Array;
  readonly #timesMs: Float64Array;
  #count = 0;

  /** `channels`: as the model was shipped. Throws RangeError unless `ticks` is a whole number from 2 on. */
  constructor(channels: readonly Channel[], ticks: number) {
    if (!Number.isInteger(ticks) || ticks < 2) {
      throw new RangeError(`calibration: expected a whole number of ticks, at least 2, got ${ticks}`);
    }
    this.#channels = channels;
    this.#ticks = ticks;
    this.#values = new Float64Array(ticks * channels.length);
    this.#timesMs = new Float64Array(ticks);
  }

  /** Ticks that it wants, and that it has. */
  get ticks(): number {
    return this.#ticks;
  }

  get count(): number {
    return this.#count;
  }

  get isComplete(): boolean {
    return this.#count === this.#ticks;
  }

  reset(): void {
    this.#count = 0;
  }

  /** Hands over the frames that it has. */
  carry(state: StateCarrier): void {
    this.#count = state.number(this.#count);
    state.array(this.#values);
    state.array(this.#timesMs);
  }

  /** Not once it is complete. */
  add(frame: Frame): void {
    this.#timesMs[this.#count] = frame.timeMs;
    this.#values.set(frame.values, this.#count * this.#channels.length);
    this.#count++;
  }

  /** Calls with each frame in order; the frame is reused. */
  replay(call: (frame: Frame) => void): void {
    const width = this.#channels.length;
    const frame = { timeMs: 0, values: new Float64Array(width) };
    for (let tick = 0; tick < this.#count; tick++) {
      frame.timeMs = this.#timesMs[tick]!;
      frame.values.set(this.#values.subarray(tick * width, (tick + 1) * width));
      call(frame);
    }
  }

  /** The model's channels with the mean and the standard deviation of what was seen; as shipped where nothing was. */
  channels(): Channel[] {
    return calibrateChannels(this.#channels, this.#values.subarray(0, this.#count * this.#channels.length));
  }
}

/**
 * What was kept, if it is a calibration of this model, named by `modelSha256`, with these channels; otherwise what is wrong
 * with it, as text.
 */
export function parseCalibration(
  text: string,
  modelSha256: string,
  channels: readonly Channel[],
): Calibration | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'expected JSON, got something else';
  }
  const { model, timeMs, ticks, channels: own, chart } = asObject(value);
  if (model !== modelSha256) return 'expected one of the model at work, got one of another';
  // The unit had this name when it could be nothing else.
  const { mean, covariance, strangest, unitT2 = strangest } = asObject(chart);
  const count = 2 * channels.length;
  if (!isNumber(timeMs) || !isNumber(ticks) || ticks < 2)
    return 'expected timeMs and ticks, got no such numbers';
  const isChart = isNumber(unitT2) && unitT2 > 0;
  if (!isChart || !isNumbers(mean, count) || !isNumbers(covariance, count * count))
    return `expected a chart of ${channels.length} channels, got another`;
  const calibrated = channels.map((channel, index) =>
    withOwn(channel, Array.isArray(own) ? own[index] : null),
  );
  if (calibrated.includes(null))
    return `expected a centre and a scale of ${channels.map(({ name }) => name).join(', ')}, got others`;
  return { timeMs, ticks, channels: calibrated as Channel[], chart: { mean, covariance, unitT2 } };
}

function withOwn(channel: Channel, own: unknown): Channel | null {
  const { name, center, scale } = asObject(own);
  const fits = name === channel.name && isNumber(center) && isNumber(scale) && scale > 0;
  return fits ? { ...channel, center, scale } : null;
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isNumbers(value: unknown, length: number): value is number[] {
  return Array.isArray(value) && value.length === length && value.every(isNumber);
}
