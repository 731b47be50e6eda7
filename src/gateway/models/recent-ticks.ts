/** The latest ticks, so that a model which comes later has seen them too. */
import type { Frame } from '../../gate/packets.ts';

const ticksMax = 1024;
const bytesMax = 256 * 1024;

export class RecentTicks {
  /** Ticks that were noted since the start. */
  total = 0;
  readonly #capacity: number;
  readonly #channels: number;
  /** [capacity] */
  readonly #timesMs: Float64Array;
  /** [capacity x channels] */
  readonly #values: Float64Array;
  /** Ticks before this one belong to another time. */
  #first = 0;
  readonly #frame: Frame;

  /** Allocates all its memory. */
  constructor(channels: number) {
    this.#channels = channels;
    this.#capacity = Math.min(ticksMax, Math.floor(bytesMax / (8 * (channels + 1))));
    this.#timesMs = new Float64Array(this.#capacity);
    this.#values = new Float64Array(this.#capacity * channels);
    this.#frame = { timeMs: 0, values: new Float64Array(channels) };
  }

  /** The number of the oldest tick that is still known. */
  get oldest(): number {
    return Math.max(this.#first, this.total - this.#capacity);
  }

  note({ timeMs, values }: Frame): void {
    const at = this.total++ % this.#capacity;
    this.#timesMs[at] = timeMs;
    this.#values.set(values, at * this.#channels);
  }

  /** Time begins anew: nobody could follow from what was to what comes. */
  forget(): void {
    this.#first = this.total;
  }

  /** Plays up to `count` ticks from number `from` on, or the oldest that is known; gives the number of the next. */
  replay(from: number, count: number, onFrame: (frame: Frame) => void): number {
    const start = Math.max(from, this.oldest);
    const end = Math.max(start, Math.min(this.total, start + count));
    for (let tick = start; tick < end; tick++) {
      const at = tick % this.#capacity;
      this.#frame.timeMs = this.#timesMs[at]!;
      this.#frame.values.set(this.#values.subarray(at * this.#channels, (at + 1) * this.#channels));
      onFrame(this.#frame);
    }
    return end;
  }
}
