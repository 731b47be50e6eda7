/**
 * Messages that a broker may send a second time, told by what they say: the DUP flag tells the receiver nothing, since
 * brokers send again without it, and set it on what never arrived (MQTT 5.0, section 4.3.2).
 */
import { crc32 } from '../../engine/crc32.ts';

/** An acknowledgement given so shortly before a connection was lost may not have arrived. */
const mayBeLostMs = 5000;
/** A broker sends again at once; after so long the same words are news. */
const expectedForMs = 60_000;

/** Tells messages apart, all but surely. */
export function digestOf(topic: string, payload: Uint8Array): number {
  let hash = 0;
  for (let index = 0; index < topic.length; index++)
    hash = (Math.imul(hash, 31) + topic.charCodeAt(index)) | 0;
  return (crc32(payload) ^ Math.imul(hash, 0x9e3779b1)) >>> 0;
}

export class Redeliveries {
  /** How often each digest is expected. */
  readonly #expected = new Map<number, number>();
  #untilMs = Number.POSITIVE_INFINITY;
  /** [window] digests that were acknowledged, and when. */
  readonly #digests: Uint32Array;
  readonly #times: Float64Array;
  #next = 0;

  /** `window`: acknowledgements that may be under way at once, at most. */
  constructor(window: number) {
    this.#digests = new Uint32Array(window);
    this.#times = new Float64Array(window).fill(Number.NEGATIVE_INFINITY);
  }

  /** An acknowledgement is on its way. */
  acknowledged(digest: number, nowMs: number): void {
    this.#digests[this.#next] = digest;
    this.#times[this.#next] = nowMs;
    this.#next = (this.#next + 1) % this.#times.length;
  }

  /** This one came, but the broker may not know. */
  expect(digest: number): void {
    if (this.#expected.size < 4 * this.#times.length)
      this.#expected.set(digest, (this.#expected.get(digest) ?? 0) + 1);
  }

  /** The connection is lost; what was just acknowledged may come again too. */
  lost(nowMs: number): void {
    for (const [index, timeMs] of this.#times.entries()) {
      if (nowMs - timeMs <= mayBeLostMs) this.expect(this.#digests[index]!);
    }
    this.#times.fill(Number.NEGATIVE_INFINITY);
    this.#untilMs = Number.POSITIVE_INFINITY;
  }

  /** Connected again: from now on they come, if the broker has kept our session. */
  resumed(sessionPresent: boolean, nowMs: number): void {
    if (!sessionPresent) this.#expected.clear();
    this.#untilMs = nowMs + expectedForMs;
  }

  /** Whether nothing is expected, so that digests need not be looked up. */
  get isEmpty(): boolean {
    return this.#expected.size === 0;
  }

  /** Whether a message is one that came before; each is recognised once. */
  recognise(digest: number, nowMs: number): boolean {
    if (nowMs > this.#untilMs) this.#expected.clear();
    const times = this.#expected.get(digest);
    if (times === undefined) return false;
    if (times === 1) this.#expected.delete(digest);
    else this.#expected.set(digest, times - 1);
    return true;
  }
}
