/** What waits to be published: bounded, in order, with a window of messages that wait for their PUBACK. */
import type { QoS } from './config/config.ts';
import type { OutboxStore } from './disk/outbox-store.ts';
import { type Cancel, realTimers, type Timers } from './timers.ts';

export interface OutgoingMessage {
  readonly topic: string;
  readonly payload: string | Uint8Array;
  readonly qos: QoS;
  readonly retain: boolean;
  /** Worth keeping on disk while there is no broker, and told as late then. What is said at each connection is not. */
  readonly keep?: boolean;
}

interface Slot {
  readonly message: OutgoingMessage;
  /** The how manieth message it is, from 1; 0: it comes from the disk, and is settled there. */
  readonly number: number;
  /** Its number on the disk; 0: it is not there. */
  sequence: number;
  readonly sinceMs: number;
  /** How often it was handed to a connection. */
  attempts: number;
  acknowledged: boolean;
}

/** Hands one message to the connection; `done` is called once, when it is acknowledged (QoS 0: sent). */
export type Send = (message: OutgoingMessage, again: boolean, done: (error?: Error) => void) => void;

/**
 * A queue of at most `capacity` messages of which the first `inFlight` are under way. When it is full, the oldest
 * message that is not under way goes, and `dropped` counts it. A lost connection puts those under way back, in order.
 * With a store, what waits too long is written to disk too, and what there is no room for waits on the disk alone.
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
  /** Messages that were read back from the disk. */
  late = 0;
  /** Messages ever pushed. */
  pushed = 0;
  /** Called when `settledThrough` may have grown. */
  onSettled: () => void = () => {};
  readonly capacity: number;
  readonly #inFlight: number;
  readonly #timers: Timers;
  readonly #slots: Slot[] = [];
  /** So many of the first slots are under way. */
  #sent = 0;
  #waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  #send: Send | undefined;
  #pumping = false;
  #store: OutboxStore | undefined;
  /** Messages wait on the disk alone: those that are pushed must follow them. */
  #isSpilling = false;
  #isReading = false;
  #isFlushing = false;
  /** Pushed up to this number, all is safe on the disk. */
  #stored = 0;
  /** When the next late message may be sent. */
  #lateFromMs = 0;
  #cancelPace: Cancel = () => {};

  /** Throws RangeError unless capacity > inFlight >= 1. */
  constructor(capacity: number, inFlight: number, timers: Timers = realTimers) {
    if (!(inFlight >= 1 && capacity > inFlight)) {
      throw new RangeError(`capacity: expected more than inFlight (>= 1), got ${capacity} and ${inFlight}`);
    }
    this.capacity = capacity;
    this.#inFlight = inFlight;
    this.#timers = timers;
  }

  /** Before anything is pushed: what an earlier run left on the disk goes first. */
  useStore(store: OutboxStore): void {
    this.#store = store;
    this.#isSpilling = store.queue.unread > 0;
  }

  /** Messages that wait or are under way, those on the disk alone included. */
  get count(): number {
    return this.#slots.length + (this.#store?.queue.unread ?? 0);
  }

  /** Every message up to this number was taken, refused or dropped, or is safe on the disk. */
  get settledThrough(): number {
    const durable = this.#store?.queue.durableThrough ?? 0;
    const first = this.#slots.find(
      ({ number, sequence }) => number > 0 && (sequence === 0 || sequence > durable),
    );
    if (first !== undefined) return first.number - 1;
    return this.#isSpilling ? this.#stored : this.pushed;
  }

  /** Resolves once fewer than `count` messages wait or are under way. */
  fewerThan(count: number): Promise<void> {
    if (this.count < count) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ count, resolve }));
  }

  /** What waits or is under way and is not on the disk, the oldest first. */
  remaining(): OutgoingMessage[] {
    return this.#slots.filter(({ sequence }) => sequence === 0).map(({ message }) => message);
  }

  push(message: OutgoingMessage): void {
    const number = ++this.pushed;
    if (this.#spills(message)) {
      this.#store!.note(message);
      this.onSettled();
      return;
    }
    if (this.#slots.length === this.capacity) {
      this.#remove(this.#sent);
      this.dropped++;
      this.onSettled();
    }
    this.#slots.push(this.#slotOf(message, number, 0));
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
    this.#cancelPace();
  }

  /** Forgets everything: for messages that mean nothing on the next connection. */
  clear(): void {
    this.dropped += this.#slots.length;
    this.#slots.length = 0;
    this.#sent = 0;
    this.#tellWaiting();
    this.onSettled();
  }

  storeCounters(): { readonly [name: string]: number } {
    const store = this.#store;
    return store === undefined ? {} : { expired: store.expired, dropped: store.dropped };
  }

  /** Writes what has waited too long, or at the end everything, to the disk. Never rejects. */
  async flush(isEnd = false): Promise<void> {
    const store = this.#store;
    if (store === undefined || this.#isFlushing) return;
    this.#isFlushing = true;
    const first = this.#slots.find(({ sequence, message }) => sequence === 0 && message.keep);
    const waitedMs = first === undefined ? 0 : this.#timers.nowMs() - first.sinceMs;
    if (isEnd || waitedMs >= store.options.flushMs) this.#noteAll(store);
    const { pushed } = this;
    if (await store.commit()) this.#stored = pushed;
    this.#isFlushing = false;
    this.onSettled();
  }

  /** Writes what waits, for the next run, and closes the files. */
  async close(): Promise<void> {
    this.#cancelPace();
    await this.flush(true);
    await this.#store?.queue.close();
  }

  #slotOf(message: OutgoingMessage, number: number, sequence: number): Slot {
    return { message, number, sequence, sinceMs: this.#timers.nowMs(), attempts: 0, acknowledged: false };
  }

  /** Half of the slots stay free for what comes back from the disk. */
  #spills({ keep }: OutgoingMessage): boolean {
    const store = this.#store;
    if (store === undefined || keep !== true) return false;
    if (!this.#isSpilling && this.#slots.length >= this.capacity / 2) this.#isSpilling = this.#noteAll(store);
    return this.#isSpilling;
  }

  /** Notes all that is only in memory, in order; false when there is no room for that. */
  #noteAll(store: OutboxStore): boolean {
    if (this.#isSpilling) return true;
    for (const slot of this.#slots) {
      if (slot.sequence > 0 || slot.message.keep !== true) continue;
      const sequence = store.note(slot.message);
      if (sequence === undefined) return false;
      slot.sequence = sequence;
    }
    store.queue.skipUnread();
    return true;
  }

  /** Not recursive: a send may settle at once. */
  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.#send !== undefined && this.#sent < Math.min(this.#inFlight, this.#slots.length)) {
      const slot = this.#slots[this.#sent]!;
      if (slot.number === 0 && slot.attempts === 0 && !this.#mayGoLate()) break;
      this.#sent++;
      const send = this.#send;
      slot.attempts++;
      if (slot.attempts > 1) this.resent++;
      send(slot.message, slot.attempts > 1, (error) => this.#settle(slot, send, error));
    }
    this.#pumping = false;
    if (this.#isSpilling && this.#send !== undefined && this.#slots.length <= this.#inFlight)
      void this.#refill();
  }

  /** At most `resendPerS`; otherwise pumping goes on when it is time. */
  #mayGoLate(): boolean {
    const nowMs = this.#timers.nowMs();
    if (nowMs < this.#lateFromMs) {
      this.#cancelPace();
      this.#cancelPace = this.#timers.after(this.#lateFromMs - nowMs, () => this.#pump());
      return false;
    }
    this.#lateFromMs = Math.max(nowMs - 1000, this.#lateFromMs) + 1000 / this.#store!.options.resendPerS;
    return true;
  }

  async #refill(): Promise<void> {
    const store = this.#store;
    if (store === undefined || this.#isReading) return;
    this.#isReading = true;
    const stored = await store.read(this.capacity / 2);
    for (const { message, sequence } of stored) this.#slots.push(this.#slotOf(message, 0, sequence));
    this.late += stored.length;
    if (store.queue.unread === 0) this.#isSpilling = false;
    this.#isReading = false;
    this.#release();
    this.#pump();
    this.#tellWaiting();
    this.onSettled();
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
    if (slot.sequence > 0) this.#release();
    this.#pump();
    this.#tellWaiting();
    this.onSettled();
  }

  /** Everything on the disk before the first that still waits is done with. */
  #release(): void {
    const queue = this.#store!.queue;
    const first = this.#slots.find(({ sequence }) => sequence > 0);
    queue.release(first === undefined ? queue.readThrough : first.sequence - 1);
  }

  #tellWaiting(): void {
    const isMet = ({ count }: { count: number }) => this.count < count;
    for (const { resolve } of this.#waiting.filter(isMet)) resolve();
    this.#waiting = this.#waiting.filter((waiting) => !isMet(waiting));
  }

  /** Mostly the first, which `shift` removes without moving the rest. */
  #remove(index: number): void {
    if (index === 0) this.#slots.shift();
    else this.#slots.splice(index, 1);
  }
}
