/** How much may be written in a day, to spare SD cards: what matters less gives way first. */

/** What is written however little is left, what only while there is more than enough, and what between. */
export type Importance = 'high' | 'medium' | 'low';

/** Of a full budget, what must be left after each for those that matter more. */
const reserveShares: Readonly<Record<Importance, number>> = { high: 0, medium: 0.25, low: 0.5 };
/** A quarter of a day's bytes may come at once; the rest flows in over the day, so that no 24 hours see more than all. */
const burstShare = 0.25;
const dayMs = 86_400_000;

export class WriteBudget {
  /** What was not written. */
  refused = 0;
  readonly #burstBytes: number;
  readonly #bytesPerMs: number;
  readonly #monotonicMs: () => number;
  #bytes: number;
  #nowMs: number;

  /** `bytesPerDay` 0: no bound. */
  constructor(bytesPerDay: number, monotonicMs: () => number = () => performance.now()) {
    const limit = bytesPerDay === 0 ? Number.POSITIVE_INFINITY : bytesPerDay;
    this.#burstBytes = burstShare * limit;
    this.#bytesPerMs = bytesPerDay === 0 ? 0 : ((1 - burstShare) * limit) / dayMs;
    this.#monotonicMs = monotonicMs;
    this.#bytes = this.#burstBytes;
    this.#nowMs = monotonicMs();
  }

  /** Whether so many bytes may be written now; if so they are taken. Allocates nothing. */
  take(bytes: number, importance: Importance): boolean {
    if (this.#burstBytes === Number.POSITIVE_INFINITY) return true;
    const nowMs = this.#monotonicMs();
    this.#bytes = Math.min(this.#burstBytes, this.#bytes + (nowMs - this.#nowMs) * this.#bytesPerMs);
    this.#nowMs = nowMs;
    if (this.#bytes - bytes < reserveShares[importance] * this.#burstBytes) {
      this.refused++;
      return false;
    }
    this.#bytes -= bytes;
    return true;
  }
}
