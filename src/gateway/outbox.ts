/** What waits to be published: bounded, in order, with a window of messages that wait for their PUBACK. */
import type { QoS } from './config.ts';

export interface OutgoingMessage {
  readonly topic: string;
  readonly payload: string | Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
}

interface Slot {
  readonly message: OutgoingMessage;
  /** How often it was handed to a connection. */
  attempts: number;
  acknowledged: boolean;
}

/** Hands one message to the connection; `done` is called once, when it is acknowledged (QoS 0: sent). */
export type Send = (message: OutgoingMessage, again: boolean, done: (error?: Error) => void) => void;

/**
 * A queue of at most `capacity` messages of which the first `inFlight` are under way. When it is full, the oldest
 * message that is not under way goes, and `dropped` counts it. A lost connection puts those under way back, in order.
 */
export class Outbox {
  /** Messages that the broker took. */
  acknowledged = 0;
  /** Messages lost to newer ones. */
  dropped = 0;
  /** Messages that were sent again after a lost connection. */
  resent = 0;
  /** Messages that the broker took but refused (MQTT 5 reason codes): gone. */
  refused = 0;
  readonly capacity: number;
  readonly #inFlight: number;
  readonly #slots: Slot[] = [];
  /** So many of the first slots are under way. */
  #sent = 0;
  #waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  #send: Send | undefined;
  #pumping = false;

  /** Throws RangeError unless capacity > inFlight >= 1. */
  constructor(capacity: number, inFlight: number) {
    if (!(inFlight >= 1 && capacity > inFlight)) {
      throw new RangeError(`capacity: expected more than inFlight (>= 1), got ${capacity} and ${inFlight}`);
    }
    this.capacity = capacity;
    this.#inFlight = inFlight;
  }

  /** Messages that wait or are under way. */
  get count(): number {
    return this.#slots.length;
  }

  /** Resolves once fewer than `count` messages wait or are under way. */
  fewerThan(count: number): Promise<void> {
    if (this.#slots.length < count) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ count, resolve }));
  }

  /** What waits or is under way, the oldest first. */
  remaining(): OutgoingMessage[] {
    return this.#slots.map(({ message }) => message);
  }

  push(message: OutgoingMessage): void {
    if (this.#slots.length === this.capacity) {
      this.#remove(this.#sent);
      this.dropped++;
    }
    this.#slots.push({ message, attempts: 0, acknowledged: false });
    this.#pump();
  }

  /** A connection is there: everything unacknowledged goes out through it, the oldest first. */
  attach(send: Send): void {
    this.#send = send;
    this.#sent = 0;
    this.#pump();
  }

  /** The connection is gone; what was under way waits for the next. */
  detach(): void {
    this.#send = undefined;
    this.#sent = 0;
  }

  /** Forgets everything: for messages that mean nothing on the next connection. */
  clear(): void {
    this.dropped += this.#slots.length;
    this.#slots.length = 0;
    this.#sent = 0;
    this.#tellWaiting();
  }

  /** Not recursive: a send may settle at once. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.#send !== undefined && this.#sent < Math.min(this.#inFlight, this.#slots.length)) {
      const slot = this.#slots[this.#sent++]!;
      const send = this.#send;
      slot.attempts++;
      if (slot.attempts > 1) this.resent++;
      send(slot.message, slot.attempts > 1, (error) => this.#settle(slot, send, error));
    }
    this.#pumping = false;
  }

  /** Acknowledgements of an earlier connection are void: its messages are under way again. */
  #settle(slot: Slot, send: Send, error: Error | undefined): void {
    if (this.#send !== send || slot.acknowledged) return;
    const index = this.#slots.indexOf(slot);
    if (index < 0) return;
    slot.acknowledged = true;
    if (error === undefined) this.acknowledged++;
    else this.refused++;
    this.#remove(index);
    this.#sent--;
    this.#pump();
    this.#tellWaiting();
  }

  #tellWaiting(): void {
    const isMet = ({ count }: { count: number }) => this.#slots.length < count;
    for (const { resolve } of this.#waiting.filter(isMet)) resolve();
    this.#waiting = this.#waiting.filter((waiting) => !isMet(waiting));
  }

  /** Mostly the first, which `shift` removes without moving the rest. */
  #remove(index: number): void {
    if (index === 0) this.#slots.shift();
    else this.#slots.splice(index, 1);
  }
}
