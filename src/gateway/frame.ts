/** From messages to ticks: one per message, or one per interval. */
import type { StateCarrier } from '../gate/carrier.ts';
import type { Frame } from '../gate/packets.ts';
import type { FrameConfig } from './config/config.ts';
import type { Decoded } from './decode.ts';
import { Timeline } from './timeline.ts';

export interface FrameOptions {
  readonly channels: number;
  readonly routes: number;
  readonly mode: FrameConfig['mode'];
  readonly intervalMs: number;
  /** Ticks that are made up for at most after a gap; the rest is skipped. */
  readonly catchUpTicks: number;
  /** Called for each tick with the same frame; must be done with it when it returns. */
  readonly onFrame: (frame: Frame) => void;
  /** So far ahead of the time of receipt a message may claim to be without being doubted. Default: any. */
  readonly aheadMs?: number;
  /** Called when time begins anew, before the first frame that may be earlier than the last. */
  readonly onRestart?: () => void;
}

const leastStepMs = 0.001;

/**
 * Keeps the latest value of each channel and says when a tick is due. Ticks have strictly increasing times, but where
 * the senders have set their clocks back: see Timeline.
 */
export class FrameAssembler {
  /** Messages whose time lies before the last frame, or before the last message of their route: dropped. */
  stale = 0;
  /** Messages with the same time as the last of their route, as a broker sends them twice: dropped. */
  duplicates = 0;
  /** Messages of the same moment as the last tick, from another route: taken, for the next tick. */
  merged = 0;
  /** Messages whose time lies too far ahead to be believed: dropped. */
  ahead = 0;
  /** How often time began anew. */
  restarts = 0;
  /** Grid: ticks left out because the gap was too long. */
  skippedTicks = 0;
  /** How often values were taken in, retained ones not counted. */
  revision = 0;
  readonly #options: FrameOptions;
  readonly #frame: Frame;
  readonly #timeline: Timeline;
  /** [routes], payload time of the last accepted message. */
  readonly #routeTimeMs: Float64Array;
  /** Grid: the next tick; NaN before the first message. */
  #nextTickMs = Number.NaN;

  constructor(options: FrameOptions) {
    this.#options = options;
    this.#timeline = new Timeline(options.aheadMs ?? Number.POSITIVE_INFINITY, options.intervalMs);
    this.#frame = {
      timeMs: Number.NEGATIVE_INFINITY,
      values: new Float64Array(options.channels).fill(Number.NaN),
    };
    this.#routeTimeMs = new Float64Array(options.routes).fill(Number.NEGATIVE_INFINITY);
  }

  /** The last frame, with what came since then. */
  get frame(): Frame {
    return this.#frame;
  }

  /** [routes], payload time of the last accepted message. */
  get routeTimesMs(): Float64Array {
    return this.#routeTimeMs;
  }

  /** Grid: the next tick; NaN before the first message. */
  get nextTickMs(): number {
    return this.#nextTickMs;
  }

  /** Hands over what it remembers. */
  carry(state: StateCarrier): void {
    this.#frame.timeMs = state.number(this.#frame.timeMs);
    state.array(this.#frame.values);
    state.array(this.#routeTimeMs);
    this.#nextTickMs = state.number(this.#nextTickMs);
  }

  /** Goes on from there. */
  resume(timeMs: number, values: Float64Array, routeTimesMs: Float64Array, nextTickMs: number): void {
    this.#frame.timeMs = timeMs;
    this.#frame.values.set(values);
    this.#routeTimeMs.set(routeTimesMs);
    this.#nextTickMs = nextTickMs;
  }

  /** Time of the last frame; -Infinity before the first. */
  get timeMs(): number {
    return this.#frame.timeMs;
  }

  /** Takes what a message said. Its own time counts, if it has one, else `receivedMs`. */
  accept(route: number, receivedMs: number, decoded: Decoded): void {
    const ownTime = !Number.isNaN(decoded.timeMs);
    // The clock may not tell two messages apart; ticks must be.
    const timeMs = ownTime ? decoded.timeMs : Math.max(receivedMs, this.#frame.timeMs + leastStepMs);
    if (ownTime && !this.#isNew(route, timeMs, receivedMs)) return;
    if (this.#options.mode === 'grid') this.#acceptOnGrid(timeMs, decoded);
    else this.#acceptAsTick(timeMs, decoded);
  }

  /** Takes a retained message: state from before, which makes no tick. Older than the last frame it only fills gaps. */
  seed(decoded: Decoded): void {
    const old = decoded.timeMs < this.#frame.timeMs;
    const { values } = this.#frame;
    for (let channel = 0; channel < values.length; channel++) {
      if (decoded.present[channel] === 1 && (!old || Number.isNaN(values[channel]!))) {
        values[channel] = decoded.values[channel]!;
      }
    }
  }

  /** Grid by time of receipt: makes the ticks that are due, the one at `nowMs` included. */
  advance(nowMs: number): void {
    if (this.#options.mode !== 'grid') return;
    if (Number.isNaN(this.#nextTickMs)) {
      if (this.#frame.values.every(Number.isNaN)) return;
      this.#nextTickMs = this.#gridAt(nowMs);
    }
    this.#tick(Math.floor((nowMs - this.#nextTickMs) / this.#options.intervalMs) + 1);
  }

  #isNew(route: number, timeMs: number, receivedMs: number): boolean {
    const previousMs = this.#routeTimeMs[route]!;
    if (timeMs === previousMs) {
      this.duplicates++;
      return false;
    }
    const isPast = timeMs < previousMs || this.#isPast(timeMs);
    const judgement = this.#timeline.judge(timeMs, receivedMs, this.#frame.timeMs, isPast);
    if (judgement === 'stale') this.stale++;
    else if (judgement === 'ahead') this.ahead++;
    if (judgement === 'stale' || judgement === 'ahead') return false;
    if (judgement === 'new' && isPast) this.#restart();
    this.#routeTimeMs[route] = timeMs;
    return true;
  }

  #restart(): void {
    this.restarts++;
    this.#routeTimeMs.fill(Number.NEGATIVE_INFINITY);
    this.#frame.timeMs = Number.NEGATIVE_INFINITY;
    this.#nextTickMs = Number.NaN;
    this.#options.onRestart?.();
  }

  /** A grid tick holds everything up to its own time, so a message of just that time comes too late. */
  #isPast(timeMs: number): boolean {
    return this.#options.mode === 'grid' ? timeMs <= this.#frame.timeMs : timeMs < this.#frame.timeMs;
  }

  #acceptAsTick(timeMs: number, decoded: Decoded): void {
    this.#apply(decoded);
    if (timeMs === this.#frame.timeMs) {
      this.merged++;
      return;
    }
    this.#frame.timeMs = timeMs;
    this.#options.onFrame(this.#frame);
  }

  #acceptOnGrid(timeMs: number, decoded: Decoded): void {
    if (Number.isNaN(this.#nextTickMs)) this.#nextTickMs = this.#gridAt(timeMs);
    this.#tick(Math.ceil((timeMs - this.#nextTickMs) / this.#options.intervalMs));
    this.#apply(decoded);
  }

  /** Makes `due` ticks, or the last `catchUpTicks` of them. */
  #tick(due: number): void {
    const { intervalMs, catchUpTicks, onFrame } = this.#options;
    const skipped = Math.max(0, due - catchUpTicks);
    this.skippedTicks += skipped;
    this.#nextTickMs += skipped * intervalMs;
    for (let left = due - skipped; left > 0; left--) {
      this.#frame.timeMs = this.#nextTickMs;
      this.#nextTickMs += intervalMs;
      onFrame(this.#frame);
    }
  }

  /** The first whole multiple of the interval at or after `timeMs`. */
  #gridAt(timeMs: number): number {
    const { intervalMs } = this.#options;
    return Math.ceil(timeMs / intervalMs) * intervalMs;
  }

  #apply(decoded: Decoded): void {
    this.revision++;
    const { values } = this.#frame;
    for (let channel = 0; channel < values.length; channel++) {
      if (decoded.present[channel] === 1) values[channel] = decoded.values[channel]!;
    }
  }
}
