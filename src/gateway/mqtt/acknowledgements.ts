/**
 * PUBACKs apart from mqtt.js's callback. mqtt.js handles one message at a time and acknowledges when its callback is
 * called, so waiting for anything there would also hold back the broker's ping responses; and each would be a write
 * of its own. Here the callback returns at once, and acknowledgements that are given together are written together.
 */
import type { MqttClient } from 'mqtt';

const pubackBytes = 4;
/** PUBACK with success, the same in MQTT 3.1.1 and 5. */
const pubackHeader = [0x40, 2] as const;

export class Acknowledgements {
  readonly #client: Pick<MqttClient, 'connected' | 'stream'>;
  #messageIds: number[] = [];

  /** Of one network connection; when it is over, so are these. */
  constructor(client: Pick<MqttClient, 'connected' | 'stream'>) {
    this.#client = client;
  }

  /** Acknowledges a message of QoS 1. In the order in which they came (MQTT 5.0 section 4.6). */
  give(messageId: number): void {
    if (this.#messageIds.length === 0) queueMicrotask(() => this.#write());
    this.#messageIds.push(messageId);
  }

  #write(): void {
    const messageIds = this.#messageIds;
    this.#messageIds = [];
    const { connected, stream } = this.#client;
    if (!connected || stream.destroyed) return;
    const bytes = Buffer.allocUnsafe(pubackBytes * messageIds.length);
    for (const [index, messageId] of messageIds.entries()) {
      const at = index * pubackBytes;
      bytes.set(pubackHeader, at);
      bytes.writeUInt16BE(messageId, at + 2);
    }
    stream.write(bytes);
  }
}
