/**
 * Whether to believe what a payload says of its time. A message off the timeline (before the last one, or so far ahead
 * of our clock that the clock or the sender must be wrong) is not believed by itself; a run of them that lasts is.
 */

export type Judgement =
  /** On the timeline. */
  | 'on'
  /** Before the last tick. */
  | 'stale'
  /** Too far ahead of the last tick and of our clock. */
  | 'ahead'
  /** Off the timeline, but the senders agree on it for so long that it is a new one. */
  | 'new';

/** A run is believed when it has so many messages, lasts so long, and nothing on the timeline came between. */
const messagesMin = 3;
const lastsMs = 30_000;
/** A jump is small when it is no longer than this: simulated time may run ahead of the clock by small steps. */
const smallJumpMs = 60_000;
const smallJumpIntervals = 10;

export class Timeline {
  readonly #aheadMs: number;
  readonly #jumpMs: number;
  /** How far the senders' clocks were ahead of ours, by the last message that was believed. */
  #offsetMs = 0;
  #runMessages = 0;
  #runSinceMs = 0;
  #runTimeMs = Number.NEGATIVE_INFINITY;

  /** `aheadMs`: so far ahead of our clock a message may be without being doubted; `intervalMs`: between messages. */
  constructor(aheadMs: number, intervalMs: number) {
    this.#aheadMs = aheadMs;
    this.#jumpMs = Math.max(smallJumpMs, smallJumpIntervals * intervalMs);
  }

  /** Of a message that says `timeMs`, came at `receivedMs`, while the last tick was at `lastMs`. */
  judge(timeMs: number, receivedMs: number, lastMs: number, isPast: boolean): Judgement {
    const offsetMs = timeMs - receivedMs;
    const isJump = lastMs !== Number.NEGATIVE_INFINITY && timeMs - lastMs > this.#jumpMs;
    const isAhead = isJump && offsetMs - Math.max(0, this.#offsetMs) > this.#aheadMs;
    if (isPast || isAhead) {
      if (!this.#isBelieved(timeMs, receivedMs)) return isPast ? 'stale' : 'ahead';
    }
    this.#offsetMs = offsetMs;
    this.#runMessages = 0;
    return isPast || isAhead ? 'new' : 'on';
  }

  /** Time must go on within a run: what a broker sends again ends where the timeline goes on. */
  #isBelieved(timeMs: number, receivedMs: number): boolean {
    const goesOn =
      timeMs > this.#runTimeMs && timeMs - this.#runTimeMs <= Math.max(this.#jumpMs, 10 * lastsMs);
    if (this.#runMessages === 0 || !goesOn) {
      this.#runMessages = 0;
      this.#runSinceMs = receivedMs;
    }
    this.#runMessages++;
    this.#runTimeMs = timeMs;
    if (this.#runMessages < messagesMin || receivedMs - this.#runSinceMs < lastsMs) return false;
    this.#runTimeMs = Number.NEGATIVE_INFINITY;
    return true;
  }
}
