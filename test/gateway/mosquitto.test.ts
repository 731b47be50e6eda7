import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { MqttConnection } from '../../src/gateway/mqtt.ts';
import { Outbox } from '../../src/gateway/outbox.ts';
import { type PlayOptions, playMessages, rowsAsMessages } from '../../src/gateway/player.ts';
import type { Gateway } from '../../src/gateway/service.ts';
import { Collector, Fixture, until } from './fixture.ts';
import { findMosquitto, Mosquitto } from './mosquitto.ts';

const program = findMosquitto();
const channels = [{ name: 'temperature' }, { name: 'humidity' }];

describe.skipIf(program === undefined)('against a real Mosquitto', () => {
  const fixture = new Fixture();
  let broker: Mosquitto;
  let gateway: Gateway | undefined;
  let collector: Collector | undefined;

  beforeAll(() => void fixture.writeRecording(400));
  afterAll(() => fixture.remove());
  afterEach(async () => {
    await gateway?.stop();
    await collector?.close();
    await broker.remove();
  });

  async function begin(overrides: Record<string, unknown> = {}) {
    broker = await Mosquitto.start(program!);
    collector = new Collector(broker.url);
    await collector.ready();
    gateway = fixture.gateway(broker.url, overrides);
    gateway.start();
    await until(() => gateway!.connection.ready, 'the gateway is connected');
    return { gateway, collector };
  }

  function play(options: Partial<PlayOptions> = {}) {
    const mqtt = { ...gateway!.config.mqtt, clientId: 'player' };
    const messages = rowsAsMessages(fixture.series(), channels, 'room/climate');
    return playMessages(messages, {
      mqtt,
      rate: Number.POSITIVE_INFINITY,
      inFlight: 8,
      giveUpMs: 5000,
      ...options,
    });
  }

  test.each(['3.1.1', '5'])(
    'MQTT %s: outputs equal, tick for tick, those of the pipeline alone',
    async (version) => {
      const { collector } = await begin({ mqtt: { version } });
      const report = await play();
      expect(report).toMatchObject({ messages: 400, acknowledged: 400, refused: 0, connects: 1 });
      await until(() => collector.results.size === 400, 'all outputs have come');
      expect(collector.sorted()).toEqual(fixture.expectedResults());
      // The walk must have something to skip and something to compute, or this proves little.
      const held = collector.sorted().filter((result) => result.held).length;
      expect(held).toBeGreaterThan(50);
      expect(held).toBeLessThan(350);
    },
  );

  test('killed and restarted in the middle, nothing acknowledged is lost and the end is the same', async () => {
    const { gateway, collector } = await begin();
    // At a pace, so that the broker dies while messages are under way.
    const playing = play({ rate: 400 });
    await until(() => collector.results.size > 100, 'some outputs have come');
    await broker.kill('SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 100));
    await broker.start();
    const report = await playing;
    expect(report).toMatchObject({ messages: 400, acknowledged: 400 });
    expect(report.connects).toBeGreaterThan(1);
    await until(() => collector.results.size === 400, 'all outputs have come');
    expect(collector.sorted()).toEqual(fixture.expectedResults());
    expect(gateway.connection.connects).toBeGreaterThan(1);
    expect(gateway.intake.ring.dropped + gateway.outbox.dropped).toBe(0);
  });

  test('what is published while the gateway is away waits for it in its session', async () => {
    const { gateway: first } = await begin();
    const half = Math.floor(fixture.series().rows / 2);
    const messages = [...rowsAsMessages(fixture.series(), channels, 'room/climate')];
    const mqtt = { ...first.config.mqtt, clientId: 'player' };
    const options = { mqtt, rate: Number.POSITIVE_INFINITY, inFlight: 8, giveUpMs: 5000 };
    await first.stop();
    await playMessages(messages.slice(0, half), options);
    gateway = fixture.gateway(broker.url);
    gateway.start();
    await playMessages(messages.slice(half), options);
    await until(() => collector!.results.size === 400, 'all outputs have come');
    expect(collector!.sorted()).toEqual(fixture.expectedResults());
  });

  test('a payload of 10 MB is counted, and what follows is not hurt', async () => {
    const { gateway, collector } = await begin();
    await collector.client.publishAsync('room/climate', Buffer.alloc(10_000_000, '1'), { qos: 1 });
    await play();
    await until(() => collector.results.size === 400, 'all outputs have come');
    expect(gateway.intake.decoder.counts.tooLarge).toBe(1);
  });

  test('a subscription that the config no longer has is given back', async () => {
    const { gateway: first } = await begin({ source: { topic: 'old/topic', object: true } });
    await first.stop();
    gateway = fixture.gateway(broker.url);
    gateway.start();
    await until(() => gateway!.connection.ready, 'the gateway is connected');
    const publish = () => collector!.client.publishAsync('old/topic', '{"temperature":1}', { qos: 1 });
    await publish();
    await until(() => gateway!.intake.unrouted === 1, 'a message of the old topic has come');
    await new Promise((resolve) => setTimeout(resolve, 200));
    await publish();
    await play();
    expect(gateway.intake.unrouted).toBe(1);
  });

  test('two with one client id throw each other out ever more rarely', async () => {
    await begin();
    const mqtt = { ...gateway!.config.mqtt, clientId: 'twin', reconnectMinMs: 20, reconnectMaxMs: 60_000 };
    const twin = () =>
      new MqttConnection({
        mqtt,
        filters: [],
        outbox: new Outbox(10, 1),
        receiveMaximum: 10,
        packetBytes: 1 << 20,
        events: {
          onMessage: () => {},
          onReady: () => {},
          onLost: () => {},
          onFatal: () => {},
          onProblem: () => {},
        },
        random: () => 0.999,
      });
    const twins = [twin(), twin()];
    for (const connection of twins) connection.start();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    // Waits of 20, 40, 80, 160, 320 and 640 ms: more than seven connections each can't fit.
    for (const connection of twins) expect(connection.connects).toBeLessThanOrEqual(7);
    expect(twins[0]!.connects).toBeGreaterThan(1);
    for (const connection of twins) await connection.stop(200);
  });
});
