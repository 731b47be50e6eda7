/**
 * One lasting connection to a broker, on mqtt.js.
 *
 * mqtt.js is used for the protocol alone: each network connection gets a fresh client, so nothing of an old one lives
 * on, and reconnecting, queueing and sending again are done here, within bounds.
 */
import { readFileSync } from 'node:fs';
import {
  connect,
  type IClientOptions,
  type IConnackPacket,
  type IPublishPacket,
  type MqttClient,
} from 'mqtt';
import { Backoff } from './backoff.ts';
import type { MqttConfig, MqttVersion } from './config.ts';
import type { Outbox, OutgoingMessage } from './outbox.ts';

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
}

export interface ConnectionEvents {
  /** A message came; it must be copied. Call `proceed` once it may be acknowledged: at once, or soon. */
  onMessage(topic: string, payload: Buffer, retained: boolean, proceed: () => void): void;
  /** Connected, and subscribed to everything. */
  onReady(sessionPresent: boolean): void;
  onLost(reason: string, retryMs: number): void;
  /** Nothing will change by trying again; the connection is closed for good. */
  onFatal(error: Error): void;
  onProblem(text: string): void;
}

/** A connection is stable, and its next failure a first one, after so long. */
const stableMs = 60_000;
const protocolRefusals = new Set([1, 132]);
const sessionTakenOver = 142;
const refusedFrom = 128;

export class MqttConnection {
  /** Connections that became ready. */
  connects = 0;
  readonly #options: ConnectionOptions;
  readonly #backoff: Backoff;
  #client: MqttClient | undefined;
  #version: 4 | 5;
  #ready = false;
  #stopping = false;
  #reason = '';
  /** The next attempt is not a repetition, so it need not wait. */
  #retryAtOnce = false;
  #retryTimer: NodeJS.Timeout | undefined;
  /** Of performance.now(): the last packet from the broker, or the last attempt to connect. */
  #aliveMs = performance.now();
  #stableTimer: NodeJS.Timeout | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { reconnectMinMs, reconnectMaxMs, version } = options.mqtt;
    this.#backoff = new Backoff(reconnectMinMs, reconnectMaxMs, options.random);
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
    const silentMs = performance.now() - this.#aliveMs;
    // A ping after one keep-alive; its answer, or the end of the connection, after another at the latest.
    const limitMs = this.#ready ? 2500 * keepaliveS : 2 * (connectTimeoutMs + reconnectMaxMs);
    if (this.#stopping || silentMs <= limitMs) return undefined;
    const what = this.#ready ? 'not heard the broker' : 'not tried to connect';
    return `has ${what} for ${Math.round(silentMs / 1000)} s`;
  }

  /** Connects, and again and again. Returns at once; a password or TLS file that can't be read is fatal. */
  start(): void {
    this.#connect();
  }

  publish(message: OutgoingMessage): void {
    this.#options.outbox.push(message);
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
    clearTimeout(this.#retryTimer);
    const client = this.#client;
    if (client === undefined) return;
    if (this.#ready) {
      await within(graceMs / 2, (done) => void this.#options.outbox.fewerThan(1).then(done));
      await this.#sayOffline(client, graceMs / 4);
    }
    this.#detach();
    await disconnect(client, graceMs / 4);
  }

  #connect(): void {
    let client: MqttClient;
    try {
      client = connect(this.#options.mqtt.url, this.#clientOptions());
    } catch (error) {
      this.#fail(error as Error);
      return;
    }
    this.#client = client;
    this.#aliveMs = performance.now();
    this.#reason = 'connection closed';
    client.handleMessage = (packet, done) => this.#receive(packet, done);
    client.on('packetreceive', () => {
      this.#aliveMs = performance.now();
    });
    client.on('connect', (packet) => this.#onConnect(client, packet));
    client.on('error', (error) => this.#onError(client, error));
    client.on('disconnect', (packet) => this.#onServerDisconnect(packet.reasonCode));
    client.on('close', () => this.#onClose(client));
    client.connect();
  }

  #receive(packet: IPublishPacket, done: () => void): void {
    // Bytes, since no encoding is configured.
    this.#options.events.onMessage(packet.topic, packet.payload as Buffer, packet.retain, done);
  }

  #onConnect(client: MqttClient, connack: IConnackPacket): void {
    if (client !== this.#client || this.#stopping) return;
    const { filters } = this.#options;
    if (filters.length === 0) {
      this.#onSubscribed(client, connack.sessionPresent);
      return;
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
    this.#stableTimer = setTimeout(() => this.#backoff.reset(), stableMs);
    this.#stableTimer.unref();
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
    if (this.#stopping) return;
    const retryMs = this.#retryAtOnce ? 0 : this.#backoff.nextMs();
    this.#retryAtOnce = false;
    this.#retryTimer = setTimeout(() => this.#connect(), retryMs);
    this.#options.events.onLost(this.#reason, retryMs);
  }

  #detach(): void {
    this.#client = undefined;
    this.#ready = false;
    clearTimeout(this.#stableTimer);
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
    return within(withinMs, (done) => client.publish(statusTopic, 'offline', { qos: 1, retain: true }, done));
  }

  #clientOptions(): IClientOptions {
    const { mqtt, keepSession = true, receiveMaximum, packetBytes } = this.#options;
    return {
      manualConnect: true,
      clientId: mqtt.clientId,
      clean: !keepSession,
      protocolVersion: this.#version,
      keepalive: mqtt.keepaliveS,
      connectTimeout: mqtt.connectTimeoutMs,
      reconnectPeriod: 0,
      queueQoSZero: false,
      resubscribe: false,
      ...credentials(mqtt),
      ...tlsOptions(mqtt),
      ...lastWill(this.#options),
      ...(this.#version === 5
        ? {
            properties: {
              sessionExpiryInterval: keepSession ? mqtt.sessionExpiryS : 0,
              receiveMaximum: Math.min(receiveMaximum, 65_535),
              maximumPacketSize: packetBytes,
            },
          }
        : {}),
    };
  }
}

function lastWill({ will, statusTopic }: ConnectionOptions): IClientOptions {
  if (will !== undefined) {
    const { payload, ...message } = will();
    return { will: { ...message, payload: Buffer.from(payload as Uint8Array) } };
  }
  if (statusTopic === undefined) return {};
  return { will: { topic: statusTopic, payload: Buffer.from('offline'), qos: 1, retain: true } };
}

function firstVersion(version: MqttVersion): 4 | 5 {
  return version === '3.1.1' ? 4 : 5;
}

/** Read for each connection: a password may be changed while we run. */
function credentials(mqtt: MqttConfig): IClientOptions {
  const { username, passwordFile, passwordEnv } = mqtt;
  if (username === undefined) return {};
  if (passwordFile !== undefined) return { username, password: readFileSync(passwordFile, 'utf8').trimEnd() };
  if (passwordEnv === undefined) return { username };
  const password = process.env[passwordEnv];
  if (password === undefined) throw new Error(`the environment variable ${passwordEnv} is not set`);
  return { username, password };
}

function tlsOptions({ tls }: MqttConfig): IClientOptions {
  return {
    ...(tls.caFile === undefined ? {} : { ca: readFileSync(tls.caFile) }),
    ...(tls.certFile === undefined ? {} : { cert: readFileSync(tls.certFile) }),
    ...(tls.keyFile === undefined ? {} : { key: readFileSync(tls.keyFile) }),
  };
}

function refusedFilters(
  filters: readonly string[],
  granted: readonly (number | object)[] | undefined,
): string[] {
  return filters.filter((_, index) => {
    const code = granted?.[index];
    return typeof code === 'number' && code >= refusedFrom;
  });
}

function send(
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

/**
 * Closes the connection in order, or by force when that takes too long. A client that waits for acknowledgements
 * never ends by itself, and ignores a second `end`, so its stream is destroyed.
 */
async function disconnect(client: MqttClient, withinMs: number): Promise<void> {
  if (client.connected) await within(withinMs, (done) => client.end(false, {}, done));
  if (client.connected || !client.disconnected) {
    client.end(true);
    client.stream.destroy();
  }
}

/** Resolves when `start` calls back, or after so long. */
function within(timeMs: number, start: (done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, timeMs);
    start(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
