/** Schema, discovery, definitions and Sparkplug through a real broker, by whole gateways. */
import { readFileSync, writeFileSync } from 'node:fs';
import { connect, type MqttClient } from 'mqtt';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { saveModel } from '../../src/engine/model-file.ts';
import { parseGatewayConfig } from '../../src/gateway/config/load-config.ts';
import type { Decoder } from '../../src/gateway/decode.ts';
import { makeOutputParts } from '../../src/gateway/output-parts.ts';
import { Gateway } from '../../src/gateway/service.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { Fixture, silentLog, until } from './fixture.ts';
import { schemaProblems } from './json-schema.ts';
import { findMosquitto, Mosquitto } from './mosquitto.ts';
import { get } from './sparkplug/oracle.ts';

const program = findMosquitto();
const definitions = readFileSync(new URL('payloads/fixtures/zigbee2mqtt-devices.json', import.meta.url));

describe.skipIf(program === undefined)('against a real Mosquitto', () => {
  const fixture = new Fixture();
  let broker: Mosquitto;
  let client: MqttClient;
  let gateways: Gateway[];
  let heard: { topic: string; payload: Buffer; retain: boolean }[];
  afterAll(() => fixture.remove());

  beforeEach(async () => {
    gateways = [];
    heard = [];
    broker = await Mosquitto.start(program!);
    client = connect(broker.url);
    client.on('message', (topic, payload, { retain }) => heard.push({ topic, payload, retain }));
    await client.subscribeAsync('#', { qos: 1 });
  });
  afterEach(async () => {
    await Promise.all(gateways.map((gateway) => gateway.stop()));
    await client.endAsync(true);
    await broker.remove();
  });

  const on = (topic: string) => heard.filter((message) => message.topic === topic);
  const json = (topic: string) => on(topic).map(({ payload }) => JSON.parse(payload.toString()));

  /** A gateway with a model of these channels (unit by name), connected. */
  async function start(name: string, units: Record<string, string>, changes: object): Promise<Gateway> {
    const channels = Object.entries(units).map(([channel, unit]) => ({
      name: channel,
      unit,
      center: 20,
      scale: 2,
    }));
    const model = tinyModel({ channels: Object.keys(units), meaning: { channels } });
    writeFileSync(fixture.path(`${name}.safetensors`), saveModel(model));
    const config = {
      gateway: name,
      model: `${name}.safetensors`,
      mqtt: { url: broker.url },
      output: { publish: 'all' },
      ...changes,
    };
    const loaded = parseGatewayConfig(stringify(config), fixture.path(`${name}.yaml`));
    let decoder: Decoder | undefined;
    const parts = makeOutputParts(loaded, () => decoder!, silentLog);
    const gateway = new Gateway(loaded, { log: silentLog, parts });
    decoder = gateway.intake.decoder;
    gateways.push(gateway);
    gateway.start();
    await until(() => gateway.connection.ready, 'it is connected');
    return gateway;
  }

  const kitchen = { source: { preset: 'zigbee2mqtt', device: 'kitchen' }, homeAssistant: true };
  const kitchenUnits = { temperature: 'Fahrenheit', battery: '%' };

  test("Zigbee2MQTT's definitions count, also for the next process with the same session", async () => {
    await client.publishAsync('zigbee2mqtt/bridge/devices', definitions, { retain: true, qos: 1 });
    for (let life = 0; life < 2; life++) {
      const gateway = await start('kitchen', kitchenUnits, kitchen);
      await client.publishAsync('zigbee2mqtt/kitchen', '{"temperature":20,"battery":300}', { qos: 1 });
      await until(() => gateway.intake.decoder.counts.outOfRange === 1, 'the range is known');
      await gateway.stop();
    }
  });

  test('results fulfil the schema that is published with them', async () => {
    await start('kitchen', kitchenUnits, kitchen);
    for (let tick = 0; tick < 5; tick++) {
      await client.publishAsync('zigbee2mqtt/kitchen', JSON.stringify({ temperature: 20 + 5 * tick }), {
        qos: 1,
      });
    }
    await until(() => on('dormouse/kitchen/state').length === 5, 'there are results');
    await until(() => on('dormouse/kitchen/schema').length > 0, 'there is a schema');
    const [schema] = json('dormouse/kitchen/schema');
    for (const result of json('dormouse/kitchen/state')) expect(schemaProblems(schema, result)).toEqual([]);
  });

  test('Home Assistant finds the device, again when it starts; its availability follows', async () => {
    const gateway = await start('kitchen', kitchenUnits, kitchen);
    const topic = 'homeassistant/device/dormouse_kitchen/config';
    await until(() => on(topic).length === 1, 'there is a discovery');
    const [discovery] = json(topic);
    await client.publishAsync('homeassistant/status', 'online', { qos: 1 });
    await until(() => on(topic).length === 2, 'there is another');
    await gateway.stop();
    await until(() => on(discovery.availability[0].topic).length === 2, 'it is gone');
    expect(on(discovery.availability[0].topic).map(({ payload }) => payload.toString())).toEqual([
      'online',
      'offline',
    ]);
    const late = connect(broker.url);
    const config = new Promise((resolve) =>
      late.on('message', (_, payload, { retain }) => resolve([retain, JSON.parse(payload.toString())])),
    );
    await late.subscribeAsync(topic);
    expect(await config).toEqual([true, discovery]);
    await late.endAsync(true);
  });

  test('one gateway feeds another through Sparkplug, which asks for the birth that it has missed', async () => {
    const sparkplug = { source: { topic: 'room' }, sparkplug: { group: 'plant' } };
    const first = await start('first', { temperature: '', humidity: '' }, sparkplug);
    await until(() => on('spBv1.0/plant/NBIRTH/first').length === 1, 'it is born');
    await client.publishAsync('room', '{"temperature":20,"humidity":20}', { qos: 1 });
    await until(() => on('spBv1.0/plant/NDATA/first').length === 1, 'there is data');
    const value = { preset: 'sparkplug', device: 'plant/first' };
    const channels = { empty: { ...value, value: 'probability/empty' }, held: value };
    const second = await start('second', { empty: '', held: '' }, { channels });
    await until(() => on('dormouse/second/state').length === 1, 'the birth is a tick');
    expect(on('spBv1.0/plant/NCMD/first')).toHaveLength(1);
    expect(on('spBv1.0/plant/NBIRTH/first')).toHaveLength(2);
    await first.stop();
    await until(() => second.intake.decoder.counts.offline === 1, 'its death is known');
    await until(() => on('spBv1.0/plant/NDEATH/first').length === 1, 'everyone knows it');
    const kinds = heard
      .filter(({ topic }) => topic.startsWith('spBv1.0'))
      .map(({ topic, payload }) => [topic.split('/')[2], get({ payload }).seq]);
    expect(kinds).toEqual([
      ['NBIRTH', 0],
      ['NDATA', 1],
      ['NCMD', undefined],
      ['NBIRTH', 0],
      ['NDEATH', undefined],
    ]);
  });
});
