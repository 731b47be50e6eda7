/** Asks Shellies for everything, since by themselves they tell only what changes. */
import type { GatewayConfig } from './config/config.ts';
import type { OutgoingMessage } from './outbox.ts';
import type { GatewayPart } from './part.ts';
import { onlineTopic, repliesOf, replySource } from './payloads/shelly.ts';

export class ShellyStatus implements GatewayPart {
  /** Where devices say that they are back; what they tell may have changed while they were away. */
  readonly filters: readonly string[];
  readonly #devices: readonly string[];
  readonly #topicPrefix: string;
  #publish: (message: OutgoingMessage) => void = () => {};

  constructor({ routes, topicPrefix }: Pick<GatewayConfig, 'routes' | 'topicPrefix'>) {
    this.#topicPrefix = topicPrefix;
    this.#devices = routes.flatMap(({ filter }) => repliesOf(topicPrefix, filter) ?? []);
    this.filters = this.#devices.map(onlineTopic);
  }

  onReady(publish: (message: OutgoingMessage) => void): void {
    this.#publish = publish;
    for (const device of this.#devices) this.#ask(device);
  }

  onMessage(topic: string, payload: Uint8Array, retained: boolean): void {
    const device = this.#devices[this.filters.indexOf(topic)];
    if (device === undefined || retained || payload.length !== 4) return;
    if (Buffer.from(payload).toString() === 'true') this.#ask(device);
  }

  #ask(device: string): void {
    const src = replySource(this.#topicPrefix, device);
    const payload = JSON.stringify({ id: 1, src, method: 'Shelly.GetStatus' });
    this.#publish({ topic: `${device}/rpc`, payload, qos: 1, retain: false });
  }
}
