import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { MqttConnection } from '../../src/gateway/mqtt/mqtt.ts';
import { Outbox } from '../../src/gateway/outbox.ts';
import { playMessages, rowsAsMessages } from '../../src/gateway/player.ts';
import type { Gateway } from '../../src/gateway/service.ts';
import { Collector, Fixture, until } from './fixture.ts';
import { findMosquitto, Mosquitto, type Persistence } from './mosquitto.ts';

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

  async function begin(overrides: Record<string, unknown> = {}, options: { persistent?: Persistence } = {}) {
    broker = await Mosquitto.start(program!, options);
    collector = new Collector(broker.url);
    await collector.ready();
    gateway = fixture.gateway(broker.url, overrides);
    gateway.start();
    await until(() => gateway!.connection.ready, 'the gateway is connected');
    return { gateway, collector };
  }

  function messages() {
    return [...rowsAsMessages(fixture.series(), channels, 'room/climate')];
  }

  function play(source: Parameters<typeof playMessages>[0] = messages()) {
    const mqtt = { ...gateway!.config.mqtt, clientId: 'player' };
    return playMessages(source, { mqtt, rate: Number.POSITIVE_INFINITY, inFlight: 8, giveUpMs: 20_000 });
  }

  /**
   * The first messages, with a broker that dies at `crashAt` while the latest are under way. Until then everyone keeps up:
   * what Mosquitto has acknowledged but neither handed on nor saved dies with it, whoever its clients are.
   */
  async function* withCrash(count: number, crashAt: number) {
    for (const [index, message] of messages().slice(0, count).entries()) {
      if (index === crashAt) {
        await until(() => collector!.results.size > crashAt - 10, 'the outputs have come so far');
        await broker.kill('SIGKILL');
        setTimeout(() => void broker.start(), 100);
      }
      yield message;
    }
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
    const { gateway, collector } = await begin({}, { persistent: true });
    const count = 150;
    const report = await play(withCrash(count, 80));
    expect(report).toMatchObject({ messages: count, acknowledged: count, connects: 2 });
    await until(() => collector.results.size === count, 'all outputs have come');
    expect(collector.sorted()).toEqual(fixture.expectedResults().slice(0, count));
    expect(gateway.connection.connects).toBeGreaterThan(1);
    expect(gateway.intake.inbox.ring.dropped + gateway.outbox.dropped).toBe(0);
  });

  test('what is published while the gateway is away waits for it in its session', async () => {
    const { gateway: first } = await begin();
    await first.stop();
    await play(messages().slice(0, 200));
    gateway = fixture.gateway(broker.url);
    gateway.start();
    await play(messages().slice(200));
    await until(() => collector!.results.size === 400, 'all outputs have come');
    expect(collector!.sorted()).toEqual(fixture.expectedResults());
  });

  test('far more than the ring holds comes at once, and nothing is lost', async () => {
    const limits = { ringMessages: 16, inFlight: 4 };
    const { gateway: first } = await begin({ limits });
    await first.stop();
    await play();
    gateway = fixture.gateway(broker.url, { limits });
    gateway.start();
    await until(() => collector!.results.size === 400, 'all outputs have come');
    expect(collector!.sorted()).toEqual(fixture.expectedResults());
    expect(gateway.intake.inbox.ring.dropped).toBe(0);
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
