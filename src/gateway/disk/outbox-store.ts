/** Results on disk that wait for the broker: bounded by bytes and by age, and told as late when they go out at last. */

import type { OutgoingMessage } from '../outbox.ts';
import type { DurableQueue } from './durable-queue.ts';
import { decodeMessage, encodeMessage } from './journal-record.ts';

export interface OutboxStoreOptions {
  readonly queue: DurableQueue;
  /** What is older when it could be sent is not sent. */
  readonly maxAgeMs: number;
  /** Of all that the queue may hold. */
  readonly maxBytes: number;
  /** What waits is written at the latest after so long. */
  readonly flushMs: number;
  /** Late results are sent at this rate at most. */
  readonly resendPerS: number;
  /** Milliseconds since 1970. */
  readonly nowMs: () => number;
}

export interface StoredMessage {
  readonly message: OutgoingMessage;
  readonly sequence: number;
}

const readBytes = 64 * 1024;
/** Above this share of `maxBytes` the oldest file goes, before there is no room at all. */
const roomyShare = 0.875;

export class OutboxStore {
  /** Results that got too old. */
  expired = 0;
  /** Results lost for want of room on the disk. */
  dropped = 0;
  readonly options: OutboxStoreOptions;
  readonly queue: DurableQueue;

  constructor(options: OutboxStoreOptions) {
    this.options = options;
    this.queue = options.queue;
  }

  /** The message's number on the disk; undefined when there is no room. */
  note({ topic, payload, retain }: OutgoingMessage): number | undefined {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
    const receivedMs = this.options.nowMs();
    const sequence = this.queue.append(
      encodeMessage({ topic, payload: bytes, retained: retain, receivedMs }),
    );
    if (sequence === undefined) this.dropped++;
    return sequence;
  }

  /** Makes what was noted safe, and room for more. Never rejects. */
  async commit(): Promise<boolean> {
    const isSafe = await this.queue.commit();
    await this.queue.tidy();
    if (this.queue.bytes > roomyShare * this.options.maxBytes) this.dropped += await this.queue.dropOldest();
    return isSafe;
  }

  /** The next that are not too old, marked as late; none when there are no more. */
  async read(messagesMax: number): Promise<StoredMessage[]> {
    const records = await this.queue.read(readBytes, messagesMax);
    const oldestMs = this.options.nowMs() - this.options.maxAgeMs;
    const fresh: StoredMessage[] = [];
    for (const { sequence, payload } of records) {
      const { topic, payload: content, retained, receivedMs } = decodeMessage(payload);
      if (receivedMs < oldestMs) this.expired++;
      else fresh.push({ sequence, message: { topic, payload: asLate(content), qos: 1, retain: retained } });
    }
    return fresh;
  }
}

/** A JSON object says `"late":true` first; anything else stays as it is. */
export function asLate(payload: Buffer): Buffer {
  const isObject = payload.length > 2 && payload[0] === 0x7b && payload[1] === 0x22;
  return isObject ? Buffer.concat([Buffer.from('{"late":true,'), payload.subarray(1)]) : payload;
}
