/** What `record` does: everything that the gateway would tick on becomes rows, or raw messages, of a recording. */
import { startClock } from './clock.ts';
import type { MqttConfig } from './config/config.ts';
import type { RecorderConfig } from './config/load-config.ts';
import { Intake } from './intake.ts';
import { Labels } from './labels.ts';
import type { Log } from './log.ts';
import { MqttConnection } from './mqtt/mqtt.ts';
import { topicMatches } from './mqtt/topics.ts';
import { Outbox } from './outbox.ts';
import { makeInputParts } from './output-parts.ts';
import { Parts } from './part.ts';

/** Where a recorder writes to. */
export interface RecordingSink {
  /** A tick: what a gateway's pipeline would get, with the label of the moment where there are labels. */
  onTick(timeMs: number, values: Float64Array, label: string | undefined): void;
  /** A message of a channel's topic as it came. */
  onMessage(receivedMs: number, topic: string, payload: Uint8Array): void;
}

export interface RecorderOptions {
  readonly log: Log;
  readonly sink: RecordingSink;
  /** Nothing will change by trying again. */
  readonly onFatal: (error: Error) => void;
}

const retryMs = 20;

/** Listens as a gateway of the same config would, as a client of its own, and makes its ticks without a model. */
export class Recorder {
  /** Ticks that came before anyone had told a label. */
  unlabelled = 0;
  readonly intake: Intake;
  readonly connection: MqttConnection;
  readonly labels: Labels | undefined;
  readonly #loaded: RecorderConfig;
  readonly #options: RecorderOptions;
  readonly #parts: Parts;
  readonly #clock = startClock();
  #timer: NodeJS.Timeout | undefined;
  #isScheduled = false;

  constructor(loaded: RecorderConfig, options: RecorderOptions) {
    const { config, record, channels } = loaded;
    const { log } = options;
    this.#loaded = loaded;
    this.#options = options;
    const warn = (text: string) => log.warning(text);
    this.labels = record.label === undefined ? undefined : new Labels(record.label, record, warn);
    this.#parts = new Parts(makeInputParts(config, channels, () => this.intake.decoder, log));
    this.intake = new Intake({
      config,
      channels: channels.length,
      clock: this.#clock,
      onFrame: ({ timeMs, values }) => this.#record(timeMs, values),
      onProblem: warn,
      onUnrouted: () => {},
    });
    this.connection = this.#makeConnection(mqttOf(config.mqtt));
  }

  start(): void {
    this.#parts.start();
    this.connection.start();
    const { frame } = this.#loaded.config;
    if (frame.mode === 'grid' && frame.timestamp === undefined) this.#awaitGridTick(frame.intervalMs);
  }

  /** Works off what has come, and lets the connection go. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.intake.drain(Number.POSITIVE_INFINITY);
    await Promise.all([this.connection.stop(500), this.#parts.stop()]);
  }

  #makeConnection(mqtt: MqttConfig): MqttConnection {
    const { config, record } = this.#loaded;
    const { log, onFatal } = this.#options;
    const filters = config.routes.map(({ filter }) => filter);
    if (record.label !== undefined) filters.push(record.label.filter);
    return new MqttConnection({
      mqtt,
      filters: [...new Set([...filters, ...this.#parts.filters])],
      keepSession: false,
      outbox: new Outbox(config.limits.outboxMessages, config.limits.inFlight),
      receiveMaximum: Math.ceil(config.limits.ringMessages / 4),
      packetBytes: config.limits.packetBytes,
      events: {
        onMessage: (topic, payload, retained, acknowledge) =>
          this.#receive(topic, payload, retained, acknowledge),
        onReady: () => {
          log.info(`connected to ${mqtt.url}`);
          this.#parts.onReady((message) => this.connection.publish(message));
        },
        onLost: (reason, inMs) =>
          log.warning(`not connected to ${mqtt.url}: ${reason}; trying again in ${Math.ceil(inMs)} ms`),
        onFatal,
        onProblem: (text) => log.warning(text),
      },
    });
  }

  #receive(topic: string, payload: Uint8Array, retained: boolean, acknowledge: () => void): void {
    this.#parts.onMessage(topic, payload, retained);
    const { label } = this.#loaded.record;
    if (label !== undefined && topicMatches(label.filter, topic)) {
      // What came before it belongs to the label before.
      this.intake.drain(Number.POSITIVE_INFINITY);
      this.labels!.hear(payload, retained);
    }
    if (!this.intake.wants(topic)) {
      this.intake.inbox.discard(acknowledge);
      return;
    }
    if (!retained) this.#options.sink.onMessage(this.#clock.nowMs(), topic, payload);
    this.intake.receive(topic, payload, retained, acknowledge);
    if (this.intake.inbox.isCrowded) this.connection.pause();
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      const isDone = this.intake.drain(performance.now() + retryMs);
      if (!this.intake.inbox.isCrowded) this.connection.resume();
      if (!isDone) this.#schedule();
    });
  }

  #record(timeMs: number, values: Float64Array): void {
    const label = this.labels?.current;
    if (this.labels !== undefined && label === undefined) this.unlabelled++;
    else this.#options.sink.onTick(timeMs, values, label);
  }

  #awaitGridTick(intervalMs: number): void {
    const waitMs = Math.ceil(intervalMs - (this.#clock.nowMs() % intervalMs));
    this.#timer = setTimeout(() => {
      this.intake.drain(Number.POSITIVE_INFINITY);
      this.intake.frames.advance(this.#clock.nowMs());
      this.#awaitGridTick(intervalMs);
    }, waitMs);
  }
}

/** A gateway of the same config may be running. */
function mqttOf(mqtt: MqttConfig): MqttConfig {
  return { ...mqtt, clientId: `${mqtt.clientId}-record` };
}
