/** How long to wait before connecting again: full jitter, so that a fleet does not return at the same moment. */

/** Waits uniform in [0, ceiling), where the ceiling doubles from `minMs` to `maxMs` with each failure. */
export class Backoff {
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #failures = 0;

  constructor(minMs: number, maxMs: number, random: () => number = Math.random) {
    this.#minMs = minMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  /** The next wait, milliseconds. */
  nextMs(): number {
    const ceiling = Math.min(this.#maxMs, this.#minMs * 2 ** Math.min(this.#failures++, 30));
    return ceiling * this.#random();
  }

  /** The connection held: the next failure is a first one. */
  reset(): void {
    this.#failures = 0;
  }

  /** From now on waits are as long as they get: someone asked us to stay away. */
  slowDown(): void {
    this.#failures = 30;
  }
}
