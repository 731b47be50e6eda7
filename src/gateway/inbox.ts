/**
 * What has come and is not yet done with. A message waits in the ring, is worked on, and is done with when what came
 * of it is settled; then the broker may forget it. Where there is a journal, whatever waits longer than a moment is
 * written there, and may be forgotten as soon as that is safe; what the ring has no room for waits there alone.
 */

import { assert } from '../engine/limits.ts';
import type { RingPolicy } from './config/config.ts';
import type { DurableQueue } from './disk/durable-queue.ts';
import { decodeMessage, encodeMessage } from './disk/journal-record.ts';
import { nothingToAcknowledge } from './mqtt/mqtt.ts';
import { digestOf, Redeliveries } from './mqtt/redeliveries.ts';
import type { PoisonGuard } from './poison-guard.ts';
import { type Receipt, Receipts } from './receipts.ts';
import { MessageRing, type RingMessage } from './ring.ts';
import { realTimers, type Timers } from './timers.ts';

export interface InboxOptions {
  readonly ringMessages: number;
  readonly ringBytes: number;
  readonly ringPolicy?: RingPolicy;
  readonly timers?: Timers;
}

/** What came of a message, or of several in a row. */
interface Outcome {
  number: number;
  sequence: number;
  readonly output: number;
}

export interface Journal {
  readonly queue: DurableQueue;
  /** Of what an earlier run left. */
  readonly guard?: PoisonGuard | undefined;
  /** A message that waited for so long is written. */
  readonly commitMs: number;
}

/** Results that nobody takes hold back acknowledgements for so long; then the broker must go on. */
const holdMs = 10_000;
/** From the journal into the ring at one go, at most; and a quarter of the ring. */
const readBytesMax = 64 * 1024;

export class Inbox {
  /** Messages that came a second time: dropped. */
  duplicates = 0;
  /** Messages that were acknowledged though what came of them was not settled. */
  acknowledgedEarly = 0;
  /** Messages that were not taken; those of QoS 1 the broker keeps for the next connection. */
  refused = 0;
  /** Of these, those that the broker keeps. */
  keptByBroker = 0;
  readonly ring: MessageRing;
  readonly #timers: Timers;
  readonly #receipts = new Receipts();
  readonly #redeliveries: Redeliveries;
  readonly #outcomes: Outcome[] = [];
  #journal: Journal | undefined;
  /** Messages wait in the journal that are not in the ring: all that come must follow them. */
  #isSpilling = false;
  #isReading = false;
  #isCommitting = false;
  readonly #readBytes: number;
  /** Numbers of the ring up to which messages were worked on, are done with, and are safe in the journal. */
  #worked = 0;
  #done = 0;
  #durable = 0;
  /** The same, noted in the journal but perhaps not yet safe. */
  #noted = 0;
  /** Outputs are settled up to this one. */
  #settled = 0;

  constructor(options: InboxOptions) {
    this.ring = new MessageRing(options.ringMessages, options.ringBytes, options.ringPolicy);
    this.#readBytes = Math.min(readBytesMax, options.ringBytes / 4);
    this.#timers = options.timers ?? realTimers;
    this.#redeliveries = new Redeliveries(options.ringMessages);
  }

  /** Messages that wait, in the ring or in the journal alone. */
  get waiting(): number {
    return this.ring.count + (this.#journal?.queue.unread ?? 0);
  }

  /** Whether `refill` has something to do. */
  get wantsRefill(): boolean {
    return this.#isSpilling && !this.#isReading && this.ring.count === 0;
  }

  /** It is time to let the network wait. */
  get isCrowded(): boolean {
    return this.#journal === undefined && !this.#hasRoom(0);
  }

  get unacknowledged(): number {
    return this.#receipts.count;
  }

  /** Before anything comes: what an earlier run left in the journal comes first. */
  useJournal(journal: Journal): void {
    this.#journal = journal;
    this.#isSpilling = journal.queue.unread > 0;
  }

  /** An earlier run had this one already. */
  expectAgain(topic: string, payload: Uint8Array): void {
    this.#redeliveries.expect(digestOf(topic, payload));
  }

  /** Copies a message in; false when there was no room for it. */
  receive(
    topic: string,
    payload: Uint8Array,
    retained: boolean,
    receivedMs: number,
    acknowledge: () => void,
  ): boolean {
    const isOwed = acknowledge !== nothingToAcknowledge;
    const digest = isOwed ? digestOf(topic, payload) : 0;
    const nowMs = this.#timers.nowMs();
    if (isOwed && !this.#redeliveries.isEmpty && this.#redeliveries.recognise(digest, nowMs)) {
      this.duplicates++;
      this.#oweLast(acknowledge, digest);
      return true;
    }
    const sequence = this.#put(topic, payload, retained, receivedMs);
    if (sequence === undefined) {
      this.refused++;
      if (isOwed) this.keptByBroker++;
      return false;
    }
    const number = sequence === 0 ? this.ring.pushed : 0;
    if (isOwed) this.#owe({ number, sequence, digest, receivedMs: nowMs, acknowledge });
    return true;
  }

  /** A message that is not wanted: acknowledged in its turn. */
  discard(acknowledge: () => void): void {
    if (acknowledge !== nothingToAcknowledge) this.#oweLast(acknowledge, 0);
  }

  /** The next message to be worked on; the same object every time. */
  shift(): RingMessage | undefined {
    const guard = this.#journal?.guard;
    let message = this.ring.shift();
    if (guard === undefined) return message;
    while (message !== undefined && !guard.mayTry(message.sequence, message)) {
      this.worked(message, this.#outcomes.at(-1)?.output ?? this.#settled);
      message = this.ring.shift();
    }
    return message;
  }

  /** The message that `shift` gave is worked on; what came of it is settled when the outbox has settled `output`. */
  worked({ number, sequence }: RingMessage, output: number): void {
    this.#worked = number;
    const last = this.#outcomes.at(-1);
    if (last !== undefined && last.output === output) {
      last.number = number;
      last.sequence = Math.max(sequence, last.sequence);
    } else this.#outcomes.push({ number, sequence, output });
    if (output <= this.#settled) this.settle(this.#settled);
  }

  /** All outputs up to this one are settled. */
  settle(output: number): void {
    this.#settled = output;
    let count = 0;
    for (const outcome of this.#outcomes) {
      if (outcome.output > output) break;
      this.#done = outcome.number;
      if (outcome.sequence > 0) this.#journal?.queue.release(outcome.sequence);
      count++;
    }
    if (count > 0) this.#outcomes.splice(0, count);
    this.#acknowledge();
  }

  /** To be called now and then: nothing is owed for longer than `holdMs` for what was worked on. */
  relent(): void {
    const oldestMs = this.#timers.nowMs() - holdMs;
    this.#receipts.acknowledgeWhile(
      ({ number, receivedMs }) => receivedMs < oldestMs && number > 0 && number <= this.#worked,
      () => this.acknowledgedEarly++,
    );
  }

  /** The connection is gone. */
  lost(): void {
    const nowMs = this.#timers.nowMs();
    for (const { digest } of this.#receipts.clear()) this.#redeliveries.expect(digest);
    this.#redeliveries.lost(nowMs);
  }

  /** The connection is there again. */
  resumed(sessionPresent: boolean): void {
    this.#redeliveries.resumed(sessionPresent, this.#timers.nowMs());
  }

  /**
   * Writes what has waited too long, by the clock of receipt, and acknowledges what is safe. Never rejects. To be
   * called each `commitMs`.
   */
  async commit(nowMs: number, isEnd = false): Promise<void> {
    const journal = this.#journal;
    if (journal === undefined || this.#isCommitting) return;
    this.#isCommitting = true;
    if (isEnd || nowMs - this.ring.oldestMs >= journal.commitMs) this.#noteRing(journal.queue);
    const noted = this.#noted;
    if (await journal.queue.commit()) this.#durable = noted;
    await journal.queue.tidy();
    this.#isCommitting = false;
    this.#acknowledge();
  }

  /** Brings what waits in the journal alone into the ring, when that is empty. Never rejects. */
  async refill(): Promise<void> {
    const journal = this.#journal;
    if (journal === undefined || !this.wantsRefill) return;
    this.#isReading = true;
    const records = await journal.queue.read(this.#readBytes, this.ring.slots / 2);
    assert(this.ring.count === 0, 'while messages wait in the journal, none comes into the ring');
    for (const { sequence, payload } of records) {
      const { topic, payload: content, receivedMs, retained } = decodeMessage(payload);
      this.ring.push(topic, content, receivedMs, retained, sequence);
    }
    if (journal.queue.unread === 0) this.#isSpilling = false;
    this.#isReading = false;
  }

  /** Writes what waits, for the next run; what is settled until `closeJournal` is still released. Never rejects. */
  close(): Promise<void> {
    return this.commit(0, true);
  }

  async closeJournal(): Promise<void> {
    await this.#journal?.queue.close();
  }

  /** The number in the journal; 0: it is in the ring; undefined: there was no room. */
  #put(topic: string, payload: Uint8Array, retained: boolean, receivedMs: number): number | undefined {
    const queue = this.#journal?.queue;
    if (queue !== undefined && !this.#isSpilling && !this.#hasRoom(payload.length)) {
      this.#isSpilling = this.#noteRing(queue);
    }
    if (queue !== undefined && this.#isSpilling) {
      return queue.append(encodeMessage({ topic, payload, retained, receivedMs }));
    }
    return this.ring.push(topic, payload, receivedMs, retained) ? 0 : undefined;
  }

  /** A quarter stays free for what comes back from the journal. */
  #hasRoom(length: number): boolean {
    return this.ring.count < (3 * this.ring.slots) / 4 && this.ring.hasRoom(length);
  }

  /** Notes in the journal what of the ring it does not have yet; false when it is full before that is all. */
  #noteRing(queue: DurableQueue): boolean {
    if (this.#isSpilling) return true;
    let isFull = false;
    this.ring.noteSequences(({ topic, payload, retained, receivedMs, number, sequence }) => {
      if (isFull) return sequence;
      const noted = sequence || queue.append(encodeMessage({ topic, payload, retained, receivedMs }));
      if (noted === undefined) isFull = true;
      else this.#noted = number;
      return noted ?? 0;
    });
    // They are in the ring already.
    queue.skipUnread();
    return !isFull;
  }

  /** An acknowledgement that is due when that of the last message is. */
  #oweLast(acknowledge: () => void, digest: number): void {
    const sequence = this.#isSpilling ? this.#journal!.queue.last : 0;
    const number = sequence === 0 ? this.ring.pushed : 0;
    this.#owe({ number, sequence, digest, receivedMs: this.#timers.nowMs(), acknowledge });
  }

  #owe(receipt: Receipt): void {
    this.#receipts.add(receipt);
    this.#acknowledge();
  }

  #acknowledge(): void {
    const safe = Math.max(this.#done, this.#durable);
    const queue = this.#journal?.queue;
    const durable = Math.max(queue?.durableThrough ?? 0, queue?.releasedThrough ?? 0);
    this.#receipts.acknowledgeWhile(
      ({ number, sequence }) => (sequence > 0 ? sequence <= durable : number <= safe),
      ({ digest }) => this.#redeliveries.acknowledged(digest, this.#timers.nowMs()),
    );
  }
}
