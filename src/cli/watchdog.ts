/** Whether a gateway lives: not whether its process does, but whether its work goes on. */
import type { Vitals } from '../gateway/service.ts';

/** Compares the vitals of one look with those of the look before. */
export class ProgressCheck {
  readonly #vitals: () => Vitals;
  readonly #nowMs: () => number;
  #last: Vitals;
  /** When the grid's timer was first seen at its present turn. */
  #gridSinceMs: number;

  constructor(vitals: () => Vitals, nowMs: () => number = () => performance.now()) {
    this.#vitals = vitals;
    this.#nowMs = nowMs;
    this.#last = vitals();
    this.#gridSinceMs = nowMs();
  }

  /** What stands still since the last look, as the rest of a sentence about the gateway; undefined: nothing. */
  problem(): string | undefined {
    const last = this.#last;
    const now = this.#vitals();
    this.#last = now;
    if (last.waiting > 0 && now.workedOff === last.workedOff) {
      return `has ${now.waiting} messages waiting and works on none of them`;
    }
    return this.#gridProblem(last, now) ?? now.silence;
  }

  #gridProblem(last: Vitals, { grid }: Vitals): string | undefined {
    const nowMs = this.#nowMs();
    if (grid === undefined || grid.turns !== last.grid?.turns) {
      this.#gridSinceMs = nowMs;
      return undefined;
    }
    const lateMs = nowMs - this.#gridSinceMs - 2 * grid.intervalMs;
    return lateMs > 0 ? 'makes no ticks though they are due' : undefined;
  }
}
