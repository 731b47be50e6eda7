/** What is asked of mqtt.js, and what its answers mean. */
import type { MqttClient } from 'mqtt';
import type { OutgoingMessage } from '../outbox.ts';

const refusedFrom = 128;

/** Filters that a SUBACK refuses. */
export function refusedFilters(
  filters: readonly string[],
  granted: readonly (number | object)[] | undefined,
): string[] {
  return filters.filter((_, index) => {
    const code = granted?.[index];
    return typeof code === 'number' && code >= refusedFrom;
  });
}

/** Publishes; `done` is called when the broker has taken or refused it, not when the connection is lost. */
export function send(
  client: MqttClient,
  message: OutgoingMessage,
  again: boolean,
  done: (error?: Error) => void,
): void {
  const { topic, qos, retain } = message;
  const payload = typeof message.payload === 'string' ? message.payload : Buffer.from(message.payload);
  client.publish(topic, payload, { qos, retain, dup: again && qos > 0 }, (error) => {
    const code = (error as { code?: unknown } | null | undefined)?.code;
    // An error without a reason code is a lost connection: the message stays in the outbox.
    if (!error) done();
    else if (typeof code === 'number') done(error);
  });
}
