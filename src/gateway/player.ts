/** Plays messages to a broker: in time or as fast as it acknowledges, none lost when the connection is. */
import type { RawMessage } from '../recording/messages.ts';
import type { Series } from '../recording/recording.ts';
import type { MqttConfig } from './config/config.ts';
import { MqttConnection } from './mqtt/mqtt.ts';
import { Outbox } from './outbox.ts';

export interface PlayOptions {
  readonly mqtt: MqttConfig;
  /** Times real time; Infinity: as fast as the broker acknowledges. */
  readonly rate: number;
  /** Messages that wait for their acknowledgement at most. */
  readonly inFlight: number;
  /** Without a connection for so long, playing fails. */
  readonly giveUpMs: number;
  /** Told whenever the connection is lost or can't be made. */
  readonly onLost?: (reason: string) => void;
  readonly onProgress?: (sent: number) => void;
}

export interface PlayReport {
  /** Messages that the source gave. */
  readonly messages: number;
  readonly acknowledged: number;
  /** Sent again after a lost connection; the receiver may see them twice. */
  readonly resent: number;
  /** Refused by the broker (MQTT 5 reason codes). */
  readonly refused: number;
  readonly connects: number;
  readonly seconds: number;
}

/** The broker could not be reached, or refuses us. */
export class PlayError extends Error {
  override readonly name = 'PlayError';
}

/** Publishes all messages with QoS 1 and waits for every acknowledgement. Throws PlayError, and what the source throws. */
export async function playMessages(
  source: AsyncIterable<RawMessage> | Iterable<RawMessage>,
  options: PlayOptions,
): Promise<PlayReport> {
  const player = new Player(options);
  try {
    return await player.play(source);
  } finally {
    await player.stop();
  }
}

/** A longer timer of Node fires at once. */
const timerMaxMs = 2 ** 31 - 1;

class Player {
  readonly #options: PlayOptions;
  readonly #outbox: Outbox;
  readonly #connection: MqttConnection;
  /** Rejects when there is no hope left; raced against everything that waits for the broker. */
  readonly #failure: Promise<never>;
  #fail: (error: Error) => void = () => {};
  #giveUpTimer: NodeJS.Timeout | undefined;

  constructor(options: PlayOptions) {
    this.#options = options;
    this.#outbox = new Outbox(options.inFlight + 1, options.inFlight);
    this.#failure = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.#failure.catch(() => {});
    this.#connection = new MqttConnection({
      mqtt: options.mqtt,
      filters: [],
      keepSession: false,
      outbox: this.#outbox,
      receiveMaximum: 1,
      packetBytes: 1 << 20,
      events: {
        onMessage: (_topic, _payload, _retained, proceed) => proceed(),
        onReady: () => this.#stopGivingUp(),
        onLost: (reason) => this.#onLost(reason),
        onFatal: (error) => this.#fail(new PlayError(error.message)),
        onProblem: (text) => options.onLost?.(text),
      },
    });
  }

  async play(source: AsyncIterable<RawMessage> | Iterable<RawMessage>): Promise<PlayReport> {
    const startMs = performance.now();
    this.#startGivingUp('no answer');
    this.#connection.start();
    let messages = 0;
    let firstMs = 0;
    for await (const { timeMs, topic, payload } of source) {
      if (messages === 0) firstMs = timeMs;
      await this.#waitUntil(startMs + (timeMs - firstMs) / this.#options.rate);
      await this.#orFailure(this.#outbox.fewerThan(this.#outbox.capacity));
      this.#connection.publish({ topic, payload, qos: 1, retain: false });
      messages++;
      this.#options.onProgress?.(messages);
    }
    await this.#orFailure(this.#outbox.fewerThan(1));
    const { acknowledged, resent, refused } = this.#outbox;
    const seconds = (performance.now() - startMs) / 1000;
    return { messages, acknowledged, resent, refused, connects: this.#connection.connects, seconds };
  }

  async stop(): Promise<void> {
    this.#stopGivingUp();
    await this.#connection.stop(500);
    this.#stopGivingUp();
  }

  #onLost(reason: string): void {
    this.#options.onLost?.(reason);
    if (this.#giveUpTimer === undefined) this.#startGivingUp(reason);
  }

  #startGivingUp(reason: string): void {
    const { giveUpMs, mqtt } = this.#options;
    const error = new PlayError(`no connection to ${mqtt.url} for ${giveUpMs / 1000} s: ${reason}`);
    this.#giveUpTimer = setTimeout(() => this.#fail(error), giveUpMs);
  }

  #stopGivingUp(): void {
    clearTimeout(this.#giveUpTimer);
    this.#giveUpTimer = undefined;
  }

  #orFailure(promise: Promise<void>): Promise<void> {
    return Promise.race([promise, this.#failure]);
  }

  async #waitUntil(timeMs: number): Promise<void> {
    const aheadMs = timeMs - performance.now();
    if (aheadMs < 1) return;
    let timer: NodeJS.Timeout | undefined;
    const waited = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, Math.min(aheadMs, timerMaxMs));
    });
    // A timer left behind would keep the process alive until the next row is due.
    await this.#orFailure(waited).finally(() => clearTimeout(timer));
    await this.#waitUntil(timeMs);
  }
}

/** Each row as one JSON object: `time` in milliseconds, then the channels; null where a value is missing. */
export function* rowsAsMessages(
  series: Series,
  channels: readonly { readonly name: string }[],
  topic: string,
): Generator<RawMessage> {
  for (let row = 0; row < series.rows; row++) {
    const timeMs = series.timeMs[row]!;
    const fields: Record<string, number | null> = { time: timeMs };
    for (const [channel, { name }] of channels.entries()) {
      const value = series.values[row * channels.length + channel]!;
      fields[name] = Number.isNaN(value) ? null : value;
    }
    yield { timeMs, topic, payload: JSON.stringify(fields) };
  }
}
