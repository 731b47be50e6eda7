/** Calls at each boundary of a grid, by the clock. */
import type { Clock } from './clock.ts';
import type { Cancel, Timers } from './timers.ts';

export class GridTimer {
  readonly #intervalMs: number;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #call: () => void;
  #cancel: Cancel | undefined;
  #turns = 0;

  constructor(intervalMs: number, clock: Clock, timers: Timers, call: () => void) {
    this.#intervalMs = intervalMs;
    this.#clock = clock;
    this.#timers = timers;
    this.#call = call;
  }

  /** How often it has called so far; undefined before the start. */
  get progress(): { readonly turns: number; readonly intervalMs: number } | undefined {
    if (this.#cancel === undefined) return undefined;
    return { turns: this.#turns, intervalMs: this.#intervalMs };
  }

  start(): void {
    const untilMs = this.#intervalMs - (this.#clock.nowMs() % this.#intervalMs);
    this.#cancel = this.#timers.after(Math.ceil(untilMs), () => {
      this.#call();
      this.#turns++;
      this.start();
    });
  }

  stop(): void {
    this.#cancel?.();
  }
}
