/** The bounded queue between the MQTT callback, which only copies, and the pipeline, which runs at its own pace. */
import { assert } from '../engine/limits.ts';

/** A message as it came; a view that holds until the next call of `push` or `shift`. */
export interface RingMessage {
  topic: string;
  payload: Buffer;
  /** Clock of receipt. */
  receivedMs: number;
  /** Sent because it was retained: state from before, not an event. */
  retained: boolean;
}

/**
 * A queue of at most `slots` messages whose payloads lie in one ring of bytes, all allocated at once. When there is
 * no room, the oldest messages go, and `dropped` counts them.
 */
export class MessageRing {
  /** Messages lost to newer ones. */
  dropped = 0;
  readonly slots: number;
  readonly #bytes: Buffer;
  readonly #topics: string[];
  readonly #offsets: Uint32Array;
  readonly #lengths: Uint32Array;
  readonly #receivedMs: Float64Array;
  readonly #retained: Uint8Array;
  readonly #message: RingMessage;
  #first = 0;
  #count = 0;
  #usedBytes = 0;
  /** Where the next payload goes. */
  #writeAt = 0;

  /** Throws RangeError unless both are whole numbers >= 1. */
  constructor(slots: number, bytes: number) {
    for (const [name, value] of Object.entries({ slots, bytes })) {
      if (!Number.isInteger(value) || value < 1) throw new RangeError(`${name}: expected >= 1, got ${value}`);
    }
    this.slots = slots;
    this.#bytes = Buffer.alloc(bytes);
    this.#topics = new Array(slots).fill('');
    this.#offsets = new Uint32Array(slots);
    this.#lengths = new Uint32Array(slots);
    this.#receivedMs = new Float64Array(slots);
    this.#retained = new Uint8Array(slots);
    this.#message = { topic: '', payload: this.#bytes.subarray(0, 0), receivedMs: 0, retained: false };
  }

  get count(): number {
    return this.#count;
  }

  /** Bytes of the payloads that wait. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Copies a message in; false when its payload is longer than the whole ring. */
  push(topic: string, payload: Uint8Array, receivedMs: number, retained: boolean): boolean {
    const { length } = payload;
    if (length > this.#bytes.length) return false;
    if (this.#count === this.slots) this.#dropOldest();
    const offset = this.#makeRoom(length);
    const slot = (this.#first + this.#count) % this.slots;
    this.#bytes.set(payload, offset);
    this.#topics[slot] = topic;
    this.#offsets[slot] = offset;
    this.#lengths[slot] = length;
    this.#receivedMs[slot] = receivedMs;
    this.#retained[slot] = retained ? 1 : 0;
    this.#count++;
    this.#usedBytes += length;
    this.#writeAt = offset + length;
    return true;
  }

  /** Takes the oldest message; undefined when there is none. The same object every time. */
  shift(): RingMessage | undefined {
    if (this.#count === 0) return undefined;
    const slot = this.#first;
    const offset = this.#offsets[slot]!;
    this.#message.topic = this.#topics[slot]!;
    this.#message.payload = this.#bytes.subarray(offset, offset + this.#lengths[slot]!);
    this.#message.receivedMs = this.#receivedMs[slot]!;
    this.#message.retained = this.#retained[slot] === 1;
    this.#removeFirst();
    return this.#message;
  }

  /** Finds `length` bytes in one piece, dropping the oldest messages that are in the way. */
  #makeRoom(length: number): number {
    for (;;) {
      const offset = this.#freeOffset(length);
      if (offset >= 0) return offset;
      this.#dropOldest();
    }
  }

  /** Payloads lie in order, the free part is behind the last and before the first; -1: not enough in one piece. */
  #freeOffset(length: number): number {
    const { length: size } = this.#bytes;
    if (this.#count === 0) return 0;
    const start = this.#offsets[this.#first]!;
    // Payloads may be empty, so `writeAt === start` alone does not mean full.
    const wrapped = this.#writeAt < start || (this.#writeAt === start && this.#usedBytes > 0);
    if (wrapped) return this.#writeAt + length <= start ? this.#writeAt : -1;
    if (this.#writeAt + length <= size) return this.#writeAt;
    return length <= start ? 0 : -1;
  }

  #dropOldest(): void {
    assert(this.#count > 0, 'an empty ring has room for any payload that fits it');
    this.#removeFirst();
    this.dropped++;
  }

  #removeFirst(): void {
    this.#usedBytes -= this.#lengths[this.#first]!;
    this.#first = (this.#first + 1) % this.slots;
    this.#count--;
  }
}
