/** The bounded queue between the MQTT callback, which only copies, and the pipeline, which runs at its own pace. */
import { assert } from '../engine/limits.ts';
import type { RingPolicy } from './config/config.ts';

/** A message as it came; a view that holds until the next call of `push` or `shift`. */
export interface RingMessage {
  topic: string;
  payload: Buffer;
  /** Clock of receipt. */
  receivedMs: number;
  /** Sent because it was retained: state from before, not an event. */
  retained: boolean;
  /** The how manieth message of this ring it is, from 1. */
  number: number;
  /** Its number in the journal; 0: it is not there. */
  sequence: number;
}

/**
 * A queue of at most `slots` messages whose payloads lie in one ring of bytes, all allocated at once. When there is
 * no room, the oldest messages go, or, with the policy `refuse`, the new one does. With `coalesce`, while more than
 * half of the slots are taken, a message gives way to a later one on its topic.
 */
export class MessageRing {
  /** Messages lost to newer ones. */
  dropped = 0;
  /** Messages that were not taken for want of room. */
  refused = 0;
  /** Messages left out since a later one on their topic waits. */
  coalesced = 0;
  /** Messages ever taken. */
  pushed = 0;
  readonly slots: number;
  readonly #policy: RingPolicy;
  /** With `coalesce`: the number of the latest message of each topic that waits. */
  readonly #latest = new Map<string, number>();
  readonly #bytes: Buffer;
  readonly #topics: string[];
  readonly #offsets: Uint32Array;
  readonly #lengths: Uint32Array;
  readonly #receivedMs: Float64Array;
  readonly #sequences: Float64Array;
  readonly #retained: Uint8Array;
  readonly #message: RingMessage;
  #first = 0;
  #count = 0;
  #usedBytes = 0;
  /** Where the next payload goes. */
  #writeAt = 0;

  /** Throws RangeError unless both are whole numbers >= 1. */
  constructor(slots: number, bytes: number, policy: RingPolicy = 'dropOldest') {
    for (const [name, value] of Object.entries({ slots, bytes })) {
      if (!Number.isInteger(value) || value < 1) throw new RangeError(`${name}: expected >= 1, got ${value}`);
    }
    this.slots = slots;
    this.#policy = policy;
    this.#bytes = Buffer.alloc(bytes);
    this.#topics = new Array(slots).fill('');
    this.#offsets = new Uint32Array(slots);
    this.#lengths = new Uint32Array(slots);
    this.#receivedMs = new Float64Array(slots);
    this.#sequences = new Float64Array(slots);
    this.#retained = new Uint8Array(slots);
    const payload = this.#bytes.subarray(0, 0);
    this.#message = { topic: '', payload, receivedMs: 0, retained: false, number: 0, sequence: 0 };
  }

  get count(): number {
    return this.#count;
  }

  /** Bytes of the payloads that wait. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** When the oldest message came, by the clock of receipt; Infinity when none waits. */
  get oldestMs(): number {
    return this.#count === 0 ? Number.POSITIVE_INFINITY : this.#receivedMs[this.#first]!;
  }

  /** Copies a message in; false when it is refused, or its payload is longer than the whole ring. */
  push(topic: string, payload: Uint8Array, receivedMs: number, retained: boolean, sequence = 0): boolean {
    const { length } = payload;
    if (length > this.#bytes.length) return false;
    if (this.#policy === 'refuse' && !this.hasRoom(length)) {
      this.refused++;
      return false;
    }
    if (this.#count === this.slots) this.#dropOldest();
    const offset = this.#makeRoom(length);
    const slot = (this.#first + this.#count) % this.slots;
    this.#bytes.set(payload, offset);
    this.#topics[slot] = topic;
    this.#offsets[slot] = offset;
    this.#lengths[slot] = length;
    this.#receivedMs[slot] = receivedMs;
    this.#retained[slot] = retained ? 1 : 0;
    this.#sequences[slot] = sequence;
    this.#count++;
    this.pushed++;
    if (this.#policy === 'coalesce') this.#latest.set(topic, this.pushed);
    this.#usedBytes += length;
    this.#writeAt = offset + length;
    return true;
  }

  /** Whether a payload of so many bytes would find room without anything being dropped. */
  hasRoom(length: number): boolean {
    return this.#count < this.slots && this.#freeOffset(length) >= 0;
  }

  /** Takes the oldest message; undefined when there is none. The same object every time. */
  shift(): RingMessage | undefined {
    while (this.#mayCoalesce()) {
      this.#removeFirst();
      this.coalesced++;
    }
    if (this.#count === 0) return undefined;
    const message = this.#read(0);
    this.#removeFirst();
    return message;
  }

  /** Gives each message that waits its sequence, the oldest first; `call` sees the same object every time. */
  noteSequences(call: (message: RingMessage) => number): void {
    for (let index = 0; index < this.#count; index++) {
      this.#sequences[(this.#first + index) % this.slots] = call(this.#read(index));
    }
  }

  #read(index: number): RingMessage {
    const slot = (this.#first + index) % this.slots;
    const offset = this.#offsets[slot]!;
    this.#message.topic = this.#topics[slot]!;
    this.#message.payload = this.#bytes.subarray(offset, offset + this.#lengths[slot]!);
    this.#message.receivedMs = this.#receivedMs[slot]!;
    this.#message.retained = this.#retained[slot] === 1;
    this.#message.number = this.pushed - this.#count + index + 1;
    this.#message.sequence = this.#sequences[slot]!;
    return this.#message;
  }

  #mayCoalesce(): boolean {
    if (this.#policy !== 'coalesce' || this.#count <= this.slots / 2) return false;
    return this.#latest.get(this.#topics[this.#first]!)! > this.pushed - this.#count + 1;
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
    if (this.#policy === 'coalesce') this.#forgetFirst();
    this.#first = (this.#first + 1) % this.slots;
    this.#count--;
  }
  /** Topics without a message are not kept. */
  #forgetFirst(): void {
    const topic = this.#topics[this.#first]!;
    if (this.#latest.get(topic) === this.pushed - this.#count + 1) this.#latest.delete(topic);
  }
}
