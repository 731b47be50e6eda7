import { createServer, type Server, type Socket } from 'node:net';
import { Aedes, type AedesOptions } from 'aedes';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { loadGatewayConfig } from '../../../src/gateway/config/load-config.ts';
import { MqttConnection } from '../../../src/gateway/mqtt/mqtt.ts';
import { Outbox } from '../../../src/gateway/outbox.ts';
import type { Gateway } from '../../../src/gateway/service.ts';
import { Collector, Fixture, noteLog, until } from '../fixture.ts';
import { freePort } from '../mosquitto.ts';

const fixture = new Fixture();
afterAll(() => fixture.remove());

/** The embedded broker: MQTT 3.1.1 alone, with hooks. */
class TestBroker {
  readonly port: number;
  readonly aedes: Aedes;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(port: number, aedes: Aedes) {
    this.port = port;
    this.aedes = aedes;
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      aedes.handle(socket);
    });
  }

  static async start(options: AedesOptions = {}, port?: number): Promise<TestBroker> {
    const broker = new TestBroker(port ?? (await freePort()), await Aedes.createBroker(options));
    await new Promise<void>((resolve) => broker.#server.listen(broker.port, '127.0.0.1', resolve));
    return broker;
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`;
  }

  publish(topic: string, payload: string, retain = false): Promise<void> {
    return new Promise((resolve) => {
      const packet = {
        cmd: 'publish',
        topic,
        payload: Buffer.from(payload),
        qos: 1,
        retain,
        dup: false,
      } as const;
      this.aedes.publish(packet, () => resolve());
    });
  }

  /** Cuts every connection, as a failing network does. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => this.aedes.close(() => resolve()));
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

let broker: TestBroker | undefined;
let gateway: Gateway | undefined;
let collector: Collector | undefined;

afterEach(async () => {
  await gateway?.stop();
  await collector?.close();
  await broker?.stop();
  gateway = collector = broker = undefined;
});

function start(url: string, overrides: Record<string, unknown> = {}) {
  const log = noteLog();
  const fatal: Error[] = [];
  gateway = fixture.gateway(url, overrides, { log, onFatal: (error) => fatal.push(error) });
  gateway.start();
  return { gateway, log, fatal };
}

const ready = () => until(() => gateway!.connection.ready, 'the gateway is connected');
const row = (time: number, temperature = 20) => JSON.stringify({ time, temperature, humidity: 21 });
const frames = (count: number) =>
  until(() => gateway!.pipeline.counters.frames === count, `the pipeline has seen ${count} frames`);

describe('connecting', () => {
  test('falls back to MQTT 3.1.1 when the broker does not speak 5', async () => {
    broker = await TestBroker.start();
    start(broker.url);
    await ready();
    await broker.publish('room/climate', row(1000));
    await frames(1);
  });

  test('a version that was asked for and is not spoken is fatal', async () => {
    broker = await TestBroker.start();
    const { fatal } = start(broker.url, { mqtt: { version: '5' } });
    await until(() => fatal.length > 0, 'the gateway gives up');
    expect(fatal[0]!.message).toBe('the broker does not speak MQTT 5');
  });

  test('goes on after a refused CONNACK', async () => {
    let refusals = 3;
    broker = await TestBroker.start({
      authenticate: (_client, _username, _password, done) => done(null, refusals-- <= 0),
    });
    const { log } = start(broker.url, { mqtt: { version: '3.1.1' } });
    await ready();
    expect(refusals).toBeLessThan(0);
    expect(log.lines.filter((line) => line.includes('Not authorized'))).toHaveLength(3);
  });

  test('a broker that comes later is found', async () => {
    const port = await freePort();
    const { log } = start(`mqtt://127.0.0.1:${port}`);
    await until(() => log.lines.length > 1, 'it was tried twice');
    expect(log.lines[0]).toMatch(/^warning: not connected to .*ECONNREFUSED.*; trying again in \d+ ms$/);
    broker = await TestBroker.start({}, port);
    await ready();
  });

  test('a refused subscription is a config error: named, and not tried again', async () => {
    broker = await TestBroker.start({
      authorizeSubscribe: (_client, subscription, done) =>
        done(null, subscription.topic === 'a' ? null : subscription),
    });
    const { fatal } = start(broker.url, {
      channels: {
        temperature: { topic: 'a', value: '$.t' },
        humidity: { topic: 'b', value: '$.h' },
      },
      source: undefined,
    });
    await until(() => fatal.length > 0, 'the gateway gives up');
    expect(fatal[0]!.message).toBe('the broker refuses to subscribe us to a');
    expect(gateway!.connection.ready).toBe(false);
  });

  test('a password comes from the environment, and its absence is fatal', async () => {
    const seen: string[] = [];
    broker = await TestBroker.start({
      authenticate: (_client, username, password, done) => {
        seen.push(`${username}:${password?.toString()}`);
        done(null, true);
      },
    });
    const mqtt = { version: '3.1.1', username: 'me', passwordEnv: 'DORMOUSE_TEST_PASSWORD' };
    const { fatal, log } = start(broker.url, { mqtt });
    expect(fatal[0]!.message).toBe('the environment variable DORMOUSE_TEST_PASSWORD is not set');
    process.env.DORMOUSE_TEST_PASSWORD = 'hunter2';
    const second = start(broker.url, { mqtt });
    await ready();
    delete process.env.DORMOUSE_TEST_PASSWORD;
    expect(seen).toEqual(['me:hunter2']);
    expect([...log.lines, ...second.log.lines].join()).not.toContain('hunter2');
  });
});

test('a broker that says another has taken over our session (MQTT 5, 0x8E) is left alone for long', async () => {
  const connack = Buffer.from([0x20, 3, 0, 0, 0]);
  const disconnect = Buffer.from([0xe0, 1, 0x8e]);
  const server = createServer((socket) => {
    socket.once('data', () => socket.end(Buffer.concat([connack, disconnect])));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const { config } = loadGatewayConfig(
    fixture.writeConfig(`mqtt://127.0.0.1:${port}`, {
      mqtt: { reconnectMinMs: 10, reconnectMaxMs: 100_000 },
    }),
  );
  const problems: string[] = [];
  const lost: [string, number][] = [];
  const connection = new MqttConnection({
    mqtt: config.mqtt,
    filters: [],
    outbox: new Outbox(10, 1),
    receiveMaximum: 10,
    packetBytes: 1 << 20,
    events: {
      onMessage: () => {},
      onReady: () => {},
      onLost: (reason, retryMs) => void lost.push([reason, retryMs]),
      onFatal: () => {},
      onProblem: (text) => void problems.push(text),
    },
    random: () => 0.5,
  });
  connection.start();
  await until(() => lost.length > 0, 'the connection is lost');
  expect(lost).toEqual([['the broker disconnected us (reason code 142)', 50_000]]);
  expect(problems).toEqual(['another client uses the client id dormouse-test']);
  await connection.stop(100);
  server.close();
});

describe('while connected', () => {
  test('after a cut the outputs go on, none lost', async () => {
    broker = await TestBroker.start();
    collector = new Collector(broker.url);
    await collector.ready();
    start(broker.url);
    await ready();
    await broker.publish('room/climate', row(1000));
    await frames(1);
    broker.cut();
    await until(() => gateway!.connection.connects === 2, 'the gateway is back');
    await broker.publish('room/climate', row(2000, 25));
    await until(() => collector!.results.size === 2, 'both outputs have come');
  });

  test('retained messages seed the state and make no tick', async () => {
    broker = await TestBroker.start();
    await broker.publish('room/climate', row(1000, 30), true);
    start(broker.url, {
      channels: { humidity: { topic: 'room/humidity', value: '$.h' } },
    });
    await ready();
    await until(() => gateway!.intake.retained === 1, 'the retained message has come');
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(gateway!.pipeline.counters.frames).toBe(0);
    await broker.publish('room/humidity', '{"time":2000,"h":40}');
    await frames(1);
    // Both channels are known: the retained temperature and the new humidity.
    expect(gateway!.pipeline.counters.missing).toBe(0);
  });

  test('says online when it is subscribed, and offline when it goes', async () => {
    broker = await TestBroker.start();
    collector = new Collector(broker.url, ['dormouse/test/status']);
    await collector.ready();
    start(broker.url);
    await until(() => collector!.texts('dormouse/test/status').length === 1, 'online has come');
    await gateway!.stop();
    await until(() => collector!.texts('dormouse/test/status').length === 2, 'offline has come');
    expect(collector.texts('dormouse/test/status')).toEqual(['online', 'offline']);
  });

  test('the state is retained for whoever comes later', async () => {
    broker = await TestBroker.start();
    start(broker.url);
    await ready();
    await broker.publish('room/climate', row(1000));
    await until(() => gateway!.outbox.acknowledged === 1, 'the output was taken');
    collector = new Collector(broker.url);
    await until(() => collector!.messages.length === 1, 'the retained output has come');
    expect(collector.messages[0]).toMatchObject({ topic: 'dormouse/test/state', retain: true });
    expect(JSON.parse(collector.messages[0]!.payload)).toMatchObject({ time: 1000, sequence: 0, tier: 0 });
  });

  test('counters are published at intervals', async () => {
    broker = await TestBroker.start();
    collector = new Collector(broker.url, ['dormouse/test/counters']);
    await collector.ready();
    start(broker.url, { countersIntervalS: 0.05 });
    await ready();
    await broker.publish('room/climate', 'no JSON');
    await until(
      () =>
        collector!.texts('dormouse/test/counters').some((text) => JSON.parse(text).payloads.notJson === 1),
      'the broken payload shows',
    );
  });

  test('a broken payload is told once and counted each time', async () => {
    broker = await TestBroker.start();
    const { log } = start(broker.url);
    await ready();
    for (let i = 0; i < 3; i++)
      await broker.publish('room/climate', '{"time":1,"temperature":"warm","humidity":1}');
    await until(() => gateway!.intake.decoder.counts.wrongType === 3, 'all three were counted');
    const told = log.lines.filter((line) => line.includes('warm'));
    expect(told).toEqual([
      'warning: room/climate, channel temperature: expected a number, got "warm" (told once, then only counted)',
    ]);
  });
});

describe('stopping', () => {
  test('is done within a second while the broker is away', async () => {
    const port = await freePort();
    start(`mqtt://127.0.0.1:${port}`);
    const startMs = performance.now();
    await gateway!.stop();
    expect(performance.now() - startMs).toBeLessThan(1000);
  });

  test('is done within a second while the broker answers nothing, with outputs under way', async () => {
    broker = await TestBroker.start({
      authorizePublish: (_client, packet, done) => {
        if (!packet.topic.endsWith('/state')) done(null);
      },
    });
    start(broker.url);
    await ready();
    await broker.publish('room/climate', row(1000));
    await until(() => gateway!.outbox.count === 1, 'an output is under way');
    const startMs = performance.now();
    await gateway!.stop();
    expect(performance.now() - startMs).toBeLessThan(1000);
    expect(gateway!.outbox.count).toBe(1);
  });

  test('works off what has come before it goes', async () => {
    broker = await TestBroker.start();
    collector = new Collector(broker.url);
    await collector.ready();
    start(broker.url);
    await ready();
    for (let i = 1; i <= 50; i++) await broker.publish('room/climate', row(i * 1000, i));
    await until(() => gateway!.intake.received === 50, 'all messages have come');
    await gateway!.stop();
    await until(() => collector!.results.size === 50, 'all outputs have come');
  });
});
