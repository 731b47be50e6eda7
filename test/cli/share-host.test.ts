/** A member of a group on a real Mosquitto, and what another gateway before or beside it has done. */
import { writeFileSync } from 'node:fs';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { ShareHost } from '../../src/cli/share-host.ts';
import { loadGatewayConfig } from '../../src/gateway/config/load-config.ts';
import { Fixture, silentLog, until } from '../gateway/fixture.ts';
import { findMosquitto, Mosquitto } from '../gateway/mosquitto.ts';

const mosquitto = findMosquitto();
const patienceMs = 30_000;
const startMs = Date.UTC(2026, 0, 1);

describe.skipIf(mosquitto === undefined)('a member of a group', () => {
  let fixture: Fixture;
  let broker: Mosquitto;
  let client: MqttClient;
  let host: ShareHost | undefined;
  let clients: MqttClient[];
  const results: number[] = [];

  beforeEach(async () => {
    fixture = new Fixture();
    broker = await Mosquitto.start(mosquitto!);
    clients = [];
    client = await another('plant');
    results.length = 0;
    client.on('message', (_topic, payload) => {
      results.push((JSON.parse(payload.toString()).time - startMs) / 1000);
    });
    await client.subscribeAsync('dormouse/plant-press/state', { qos: 1 });
  });
  afterEach(async () => {
    await host?.stop();
    host = undefined;
    for (const each of clients) await each.endAsync(true);
    await broker.remove();
    fixture.remove();
  });

  async function another(clientId: string): Promise<MqttClient> {
    const options = { clientId, clean: false, reconnectPeriod: 0, protocolVersion: 5 } as const;
    const properties = { sessionExpiryInterval: 600 };
    const made = await connectAsync(broker.url, { ...options, properties });
    made.on('error', () => {});
    clients.push(made);
    return made;
  }

  function begin(more: object = {}, share: object = {}): ShareHost {
    const config = {
      gateway: 'plant-{device}',
      model: 'model.safetensors',
      mqtt: { url: broker.url, reconnectMinMs: 20, reconnectMaxMs: 200 },
      source: { topic: 'plant/{device}/climate', object: true },
      frame: { timestamp: '$.time' },
      output: { publish: 'all' },
      countersIntervalS: 0,
      share: { group: 'plant', member: 'one', heartbeatS: 0.2, leaseS: 1, ...share },
      ...more,
    };
    const path = fixture.path('share.yaml');
    writeFileSync(path, stringify(config));
    const onFatal = (error: Error) => {
      throw error;
    };
    host = new ShareHost(loadGatewayConfig(path), { log: silentLog, onFatal });
    host.start();
    return host;
  }

  async function say(round: number, device = 'press'): Promise<void> {
    const payload = JSON.stringify({ time: startMs + round * 1000, temperature: 20 + round, humidity: 50 });
    await client.publishAsync(`plant/${device}/climate`, payload, { qos: 1 });
  }

  const serves = (member: ShareHost) => member.gateways.some(({ connection }) => connection.ready);

  test('what the one before has published is not published again, what it has not is', async () => {
    const before = await another('dormouse-plant-press');
    let received = 0;
    // Never acknowledged.
    before.handleMessage = () => void received++;
    await before.subscribeAsync('plant/press/climate', { qos: 1 });
    for (const round of [0, 1, 2, 3]) await say(round);
    await until(() => received > 0, 'the one before has got a message', patienceMs);
    const result = JSON.stringify({ time: startMs + 1000 });
    await client.publishAsync('dormouse/plant-press/state', result, { qos: 1, retain: true });
    before.stream.destroy();

    const member = begin();
    await until(() => member.group.connection.ready, 'it has joined', patienceMs);
    // Makes the device known; its session at the broker has it too.
    await say(4);
    await until(() => results.includes(4), 'the last message has its result', patienceMs);
    // What stands for the result of the one before, and then those that it has not made.
    expect(results).toEqual([1, 2, 3, 4]);
    expect(member.repeated).toBe(2);
  });

  test('whom another replaces at the broker lets the device go, and takes it when that is gone', async () => {
    const member = begin();
    await until(() => member.group.connection.ready, 'it has joined', patienceMs);
    await say(0);
    await until(() => serves(member), 'it serves the device', patienceMs);
    await say(1);
    await until(() => results.includes(1), 'there is a result', patienceMs);
    const other = await another('dormouse-plant-press');
    await until(() => member.fenced === 1, 'it is fenced', patienceMs);
    expect(member.gateways).toEqual([]);
    await other.endAsync(true);
    await say(2);
    await until(() => results.includes(2), 'the device is served again', patienceMs);
    expect(results).toEqual([1, 2]);
  });

  test('a broker that goes and comes back takes nothing from anybody', async () => {
    const member = begin();
    await until(() => member.group.connection.ready, 'it has joined', patienceMs);
    await say(0);
    await until(() => serves(member), 'it serves the device', patienceMs);
    const [gateway] = member.gateways;
    await broker.kill();
    await broker.start();
    client = await another('plant');
    await until(() => serves(member), 'it serves the device again', patienceMs);
    expect(member.gateways).toEqual([gateway]);
    expect(member.fenced).toBe(0);
  });

  test('a device with no usable name, and one too many, are refused and counted', async () => {
    const member = begin({}, { maxDevices: 1 });
    await until(() => member.group.connection.ready, 'it has joined', patienceMs);
    await say(0);
    await until(() => serves(member), 'it serves the device', patienceMs);
    await say(0, 'press 2');
    await say(0, 'press-3');
    await until(() => member.group.refused === 2, 'both are refused', patienceMs);
    expect(member.group.known).toBe(1);
    expect(member.metrics()).toContain('dormouse_share_refused_total{group="plant",member="one"} 2\n');
  });

  test('a device that is forgotten is served no more, until it speaks again', async () => {
    const member = begin();
    await until(() => member.group.connection.ready, 'it has joined', patienceMs);
    await say(0);
    await until(() => serves(member), 'it serves the device', patienceMs);
    await client.publishAsync('dormouse/share/plant/device/press', '', { qos: 1, retain: true });
    await until(() => member.gateways.length === 0, 'it has let go', patienceMs);
    await say(1);
    await until(() => serves(member), 'it serves the device again', patienceMs);
  });
});
