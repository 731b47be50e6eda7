/**
 * One lasting connection to a broker, on mqtt.js.
 *
 * mqtt.js is used for the protocol alone: each network connection gets a fresh client, so nothing of an old one lives
 * on, and reconnecting, queueing and sending again are done here, within bounds.
 */
import {
  connect,
  type IClientOptions,
  type IConnackPacket,
  type IPublishPacket,
  type MqttClient,
} from 'mqtt';
import { writeToStream } from 'mqtt-packet';
import type { MqttConfig } from '../config/config.ts';
import type { Outbox, OutgoingMessage } from '../outbox.ts';
import { type Cancel, realTimers, type Timers } from '../timers.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { Backoff } from './backoff.ts';
import { refusedFilters, send } from './client-calls.ts';
import { clientOptions, firstVersion } from './client-options.ts';

/** Otherwise each of the 65,536 two-byte numbers becomes a Buffer that is kept: 7 MB, more than all else together. */
writeToStream.cacheNumbers = false;

export interface ConnectionOptions {
  readonly mqtt: MqttConfig;
  /** Topic filters; none for a mere publisher. */
  readonly filters: readonly string[];
  /** Availability: retained `online` and `offline`, the latter also as last will. */
  readonly statusTopic?: string;
  /** The last will of each connection, asked for when it is made; instead of that of `statusTopic`. */
  readonly will?: () => OutgoingMessage;
  /** False: the broker keeps nothing for us while we are away. Default true. */
  readonly keepSession?: boolean;
  readonly outbox: Outbox;
  /** Most unacknowledged messages that the broker may send (MQTT 5). */
  readonly receiveMaximum: number;
  /** Largest packet that the broker may send (MQTT 5). */
  readonly packetBytes: number;
  readonly events: ConnectionEvents;
  /** Uniform in [0, 1), for the jitter. */
  readonly random?: () => number;
  readonly timers?: Timers;
  /** Asked before each attempt to connect; false: not now, ask again soon. Default: always. */
  readonly mayConnect?: () => boolean;
  /** Makes a client that is not connected yet. Default: that of mqtt.js. */
  readonly makeClient?: (url: string, options: IClientOptions) => MqttClient;
}

export interface ConnectionEvents {
  /**
   * A message came; it must be copied. Call `acknowledge` when the broker may forget it: at once, later, or never;
   * in the order of the messages. It is `nothingToAcknowledge` for what the broker has forgotten already (QoS 0).
   */
  onMessage(topic: string, payload: Buffer, retained: boolean, acknowledge: () => void): void;
  /** Connected, and subscribed to everything. */
  onReady(sessionPresent: boolean): void;
  onLost(reason: string, retryMs: number): void;
  /** Nothing will change by trying again; the connection is closed for good. */
  onFatal(error: Error): void;
  onProblem(text: string): void;
}

export const nothingToAcknowledge = () => {};
/** Tells mqtt.js that acknowledging is not its business. */
const acknowledgedElsewhere = new Error('acknowledged elsewhere');

/** A connection is stable, and its next failure a first one, after so long. */
const stableMs = 60_000;
const askAgainMs = 100;
const protocolRefusals = new Set([1, 132]);
const sessionTakenOver = 142;

export class MqttConnection {
  /** Connections that became ready. */
  connects = 0;
  readonly #options: ConnectionOptions;
  readonly #backoff: Backoff;
  readonly #timers: Timers;
  #client: MqttClient | undefined;
  #version: 4 | 5;
  #ready = false;
  #stopping = false;
  #reason = '';
  /** The next attempt is not a repetition, so it need not wait. */
  #retryAtOnce = false;
  #cancelRetry: Cancel = () => {};
  /** By the timers: the last packet from the broker, or the last attempt to connect. */
  #aliveMs: number;
  #cancelStable: Cancel = () => {};
  #isPaused = false;
  #cancelPause: Cancel = () => {};
  /** What mqtt.js waits for while we are paused. */
  #held: (() => void) | undefined;
  /** Filters that the broker may remember from an earlier run. */
  #formerFilters: readonly string[] = [];

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { reconnectMinMs, reconnectMaxMs, version } = options.mqtt;
    this.#backoff = new Backoff(reconnectMinMs, reconnectMaxMs, options.random);
    this.#timers = options.timers ?? realTimers;
    this.#aliveMs = this.#timers.nowMs();
    this.#version = firstVersion(version);
  }

  get ready(): boolean {
    return this.#ready;
  }

  /**
   * What is wrong if neither the broker was heard nor a connection tried for longer than either may take; undefined
   * while all is well. Being without a broker is not wrong.
   */
  silence(): string | undefined {
    const { keepaliveS, connectTimeoutMs, reconnectMaxMs } = this.#options.mqtt;
    const silentMs = this.#timers.nowMs() - this.#aliveMs;
    // A ping after one keep-alive; its answer, or the end of the connection, after another at the latest.
    const limitMs = this.#ready ? 2500 * keepaliveS : 2 * (connectTimeoutMs + reconnectMaxMs);
    if (this.#stopping || silentMs <= limitMs) return undefined;
    const what = this.#ready ? 'not heard the broker' : 'not tried to connect';
    return `has ${what} for ${Math.round(silentMs / 1000)} s`;
  }

  /**
   * Connects, and again and again. Returns at once; a password or TLS file that can't be read is fatal.
   * `formerFilters`: what an earlier run subscribed to; the broker is told to forget what is not wanted any more.
   */
  start(formerFilters: readonly string[] = []): void {
    this.#formerFilters = formerFilters.filter((filter) => !this.#options.filters.includes(filter));
    this.#connect();
  }

  publish(message: OutgoingMessage): void {
    this.#options.outbox.push(message);
  }

  /**
   * Takes nothing more from the network until `resume`, or for a quarter of the keep-alive: longer would hold back the
   * broker's ping responses too. Not every broker keeps to the receive maximum (Mosquitto 2.0.11 does not).
   */
  pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#cancelPause = this.#timers.after(this.#options.mqtt.keepaliveS * 250, () => this.resume());
  }

  resume(): void {
    this.#isPaused = false;
    this.#cancelPause();
    const held = this.#held;
    this.#held = undefined;
    held?.();
  }

  /** Lets the connection go and makes another, within the same session. */
  renew(reason: string): void {
    if (!this.#ready || this.#stopping) return;
    this.#reason = reason;
    this.#client?.end(true);
  }

  /** Tells the broker to forget a topic filter, if it is there to be told. */
  unsubscribe(filter: string): void {
    if (this.#ready) this.#client?.unsubscribe(filter, () => {});
  }

  /**
   * Says goodbye: waits until the outbox is empty, publishes `offline`, disconnects; each only as long as there is
   * time. Resolves within `graceMs`, broker there or not.
   */
  async stop(graceMs: number): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#cancelRetry();
    const client = this.#client;
    if (client === undefined) return;
    if (this.#ready) {
      await this.#within(graceMs / 2, (done) => void this.#options.outbox.fewerThan(1).then(done));
      await this.#sayOffline(client, graceMs / 4);
    }
    this.#detach();
    await this.#disconnect(client, graceMs / 4);
  }

  #connect(): void {
    if (this.#options.mayConnect?.() === false) {
      this.#aliveMs = this.#timers.nowMs();
      this.#cancelRetry = this.#timers.after(askAgainMs, () => this.#connect());
      return;
    }
    let client: MqttClient;
    try {
      const { mqtt, makeClient = connect } = this.#options;
      client = makeClient(mqtt.url, clientOptions(this.#options, this.#version));
    } catch (error) {
      // It could be read once: somebody is changing it.
      if (this.connects > 0) this.#retry((error as Error).message);
      else this.#fail(error as Error);
      return;
    }
    this.#client = client;
    this.#aliveMs = this.#timers.nowMs();
    this.#reason = 'connection closed';
    const acknowledgements = new Acknowledgements(client);
    client.handleMessage = (packet, done) => {
      this.#receive(packet, acknowledgements);
      if (this.#isPaused) this.#held = () => done(acknowledgedElsewhere);
      else done(acknowledgedElsewhere);
    };
    client.on('packetreceive', () => {
      this.#aliveMs = this.#timers.nowMs();
    });
    client.on('connect', (packet) => this.#onConnect(client, packet));
    client.on('error', (error) => this.#onError(client, error));
    client.on('disconnect', (packet) => this.#onServerDisconnect(packet.reasonCode));
    client.on('close', () => this.#onClose(client));
    client.connect();
  }

  #receive(packet: IPublishPacket, acknowledgements: Acknowledgements): void {
    const { qos, topic, retain, messageId } = packet;
    const acknowledge = qos === 0 ? nothingToAcknowledge : () => acknowledgements.give(messageId!);
    // Bytes, since no encoding is configured.
    this.#options.events.onMessage(topic, packet.payload as Buffer, retain, acknowledge);
  }

  #onConnect(client: MqttClient, connack: IConnackPacket): void {
    if (client !== this.#client || this.#stopping) return;
    const { filters } = this.#options;
    if (filters.length === 0) {
      this.#onSubscribed(client, connack.sessionPresent);
      return;
    }
    if (connack.sessionPresent && this.#formerFilters.length > 0) {
      client.unsubscribe([...this.#formerFilters], () => {});
      this.#formerFilters = [];
    }
    // On every connection: a broker that lost our session forgot the subscriptions too.
    const { qos } = this.#options.mqtt;
    // What is retained is our state, which a session that outlived the last process does not bring.
    const rh = this.connects === 0 ? 0 : 1;
    const options = this.#version === 5 ? { qos, rh, rap: false } : { qos };
    client.subscribe([...filters], options, (error, _granted, suback) => {
      if (client !== this.#client || this.#stopping) return;
      const refused = refusedFilters(filters, suback?.granted as number[] | undefined);
      if (refused.length > 0)
        this.#fail(new Error(`the broker refuses to subscribe us to ${refused.join(', ')}`));
      else if (error === null) this.#onSubscribed(client, connack.sessionPresent);
      // Anything else is a connection that was lost meanwhile; `close` follows.
    });
  }

  #onSubscribed(client: MqttClient, sessionPresent: boolean): void {
    this.#ready = true;
    this.connects++;
    this.#cancelStable = this.#timers.after(stableMs, () => this.#backoff.reset());
    const { statusTopic, outbox, events } = this.#options;
    if (statusTopic !== undefined) client.publish(statusTopic, 'online', { qos: 1, retain: true });
    outbox.attach((message, again, done) => send(client, message, again, done));
    events.onReady(sessionPresent);
  }

  #onError(client: MqttClient, error: Error & { code?: number | string }): void {
    if (client !== this.#client) return;
    this.#reason = error.message || String(error.code ?? error.name);
    if (protocolRefusals.has(error.code as number)) this.#tryOlderVersion();
  }

  #tryOlderVersion(): void {
    const { version } = this.#options.mqtt;
    if (version === 'auto' && this.#version === 5) {
      this.#version = 4;
      this.#retryAtOnce = true;
    } else this.#fail(new Error(`the broker does not speak MQTT ${this.#version === 5 ? '5' : '3.1.1'}`));
  }

  #onServerDisconnect(reasonCode: number | undefined): void {
    this.#reason = `the broker disconnected us (reason code ${reasonCode ?? 'none'})`;
    if (reasonCode !== sessionTakenOver) return;
    // Taking it back at once would only play ping-pong.
    this.#backoff.slowDown();
    this.#options.events.onProblem(`another client uses the client id ${this.#options.mqtt.clientId}`);
  }

  #onClose(client: MqttClient): void {
    if (client !== this.#client) return;
    this.#detach();
    if (!this.#stopping) this.#retry(this.#reason);
  }

  #retry(reason: string): void {
    const retryMs = this.#retryAtOnce ? 0 : this.#backoff.nextMs();
    this.#retryAtOnce = false;
    this.#cancelRetry = this.#timers.after(retryMs, () => this.#connect());
    this.#options.events.onLost(reason, retryMs);
  }

  #detach(): void {
    this.#client = undefined;
    this.#ready = false;
    this.#cancelStable();
    this.#held = undefined;
    this.resume();
    this.#options.outbox.detach();
  }

  #fail(error: Error): void {
    const client = this.#client;
    this.#stopping = true;
    this.#detach();
    client?.end(true);
    this.#options.events.onFatal(error);
  }

  #sayOffline(client: MqttClient, withinMs: number): Promise<void> {
    const { statusTopic } = this.#options;
    if (statusTopic === undefined || !this.#ready) return Promise.resolve();
    return this.#within(
      withinMs,
      (done) => void client.publish(statusTopic, 'offline', { qos: 1, retain: true }, done),
    );
  }

  /**
   * Closes the connection in order, or by force when that takes too long. A client that waits for acknowledgements
   * never ends by itself, and ignores a second `end`, so its stream is destroyed.
   */
  async #disconnect(client: MqttClient, withinMs: number): Promise<void> {
    if (client.connected) await this.#within(withinMs, (done) => void client.end(false, {}, done));
    if (client.connected || !client.disconnected) {
      client.end(true);
      client.stream.destroy();
    }
  }

  /** Resolves when `start` calls back, or after so long. */
  #within(timeMs: number, start: (done: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#timers.after(timeMs, resolve);
      start(() => {
        cancel();
        resolve();
      });
    });
  }
}
