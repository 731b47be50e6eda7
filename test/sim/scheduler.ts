/** Time that stands still until there is something to do: hours in seconds, and the same each time. */
import type { Cancel, Timers } from '../../src/gateway/timers.ts';

interface Event {
  readonly atMs: number;
  /** Events of one moment keep their order. */
  readonly order: number;
  readonly call: () => void;
}

export class Scheduler {
  nowMs = 0;
  #order = 0;
  readonly #events: Event[] = [];

  /** Calls after so long. */
  at(delayMs: number, call: () => void): Cancel {
    const event = { atMs: this.nowMs + Math.max(0, delayMs), order: this.#order++, call };
    // From the end, since what is new is mostly the latest.
    let index = this.#events.length;
    while (index > 0 && this.#events[index - 1]!.atMs > event.atMs) index--;
    this.#events.splice(index, 0, event);
    return () => {
      const found = this.#events.indexOf(event);
      if (found >= 0) this.#events.splice(found, 1);
    };
  }

  /**
   * Timers of one process: none of them comes any more when `isAlive` is false. `busyMs`: for how long it does not come
   * to its work.
   */
  timersOf(isAlive: () => boolean, busyMs: () => number): Timers {
    const at = (delayMs: number, call: () => void) => this.at(delayMs, () => isAlive() && call());
    return {
      nowMs: () => this.nowMs,
      after: at,
      every: (intervalMs, call) => {
        let cancel: Cancel = () => {};
        const next = () => {
          cancel = at(intervalMs, () => {
            next();
            call();
          });
        };
        next();
        return () => cancel();
      },
      soon: (call) => at(busyMs(), call),
    };
  }

  /** Runs what is due within so long. */
  async run(durationMs: number): Promise<void> {
    const endMs = this.nowMs + durationMs;
    for (;;) {
      // Promises settle between two events, however long their chain is.
      await new Promise((resolve) => setImmediate(resolve));
      const event = this.#events[0];
      if (event === undefined || event.atMs > endMs) break;
      this.#events.shift();
      this.nowMs = event.atMs;
      event.call();
    }
    this.nowMs = endMs;
  }
}
