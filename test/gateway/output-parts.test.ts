import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { parseGatewayConfig } from '../../src/gateway/config/load-config.ts';
import type { OutgoingMessage } from '../../src/gateway/outbox.ts';
import { makeOutputParts } from '../../src/gateway/output-parts.ts';
import type { GatewayPart } from '../../src/gateway/part.ts';
import { SparkplugHost } from '../../src/gateway/sparkplug/host.ts';
import { ZigbeeDefinitions } from '../../src/gateway/zigbee-definitions.ts';
import { Fixture, noteLog, silentLog } from './fixture.ts';
import { channelsOf, Ears } from './payloads/helpers.ts';

const fixture = new Fixture();
afterAll(() => fixture.remove());

function published(part: GatewayPart): OutgoingMessage[] {
  const messages: OutgoingMessage[] = [];
  part.onReady?.((message) => messages.push(message));
  return messages;
}

describe('parts of a config', () => {
  const partsOf = (changes: object) => {
    const config = {
      gateway: 'g',
      model: 'model.safetensors',
      mqtt: { url: 'mqtt://127.0.0.1' },
      source: { topic: 'room' },
      ...changes,
    };
    const loaded = parseGatewayConfig(stringify(config), fixture.path('gateway.yaml'));
    return makeOutputParts(loaded, () => expect.unreachable(), silentLog);
  };

  test('the schema of the results, retained, and nothing else unless asked for', () => {
    const parts = partsOf({});
    expect(parts).toHaveLength(1);
    const [message] = published(parts[0]!);
    expect(message).toMatchObject({ topic: 'dormouse/g/schema', retain: true, qos: 1 });
    expect(JSON.parse(message!.payload as string)).toMatchObject({
      type: 'object',
      properties: { task: { const: 'classify' } },
    });
  });

  test('Home Assistant: at each connection, and when it says that it has started', () => {
    const part = partsOf({ homeAssistant: true }).at(-1)!;
    expect(part.filters).toEqual(['homeassistant/status', 'homeassistant/device/dormouse_g/config']);
    const messages: OutgoingMessage[] = [];
    part.onReady!((message) => messages.push(message));
    part.onMessage!('homeassistant/status', Buffer.from('offline'), false);
    part.onMessage!('homeassistant/status', Buffer.from('online'), true);
    expect(messages).toHaveLength(1);
    part.onMessage!('homeassistant/status', Buffer.from('online'), false);
    expect(messages).toHaveLength(2);
    expect(messages[1]).toEqual(messages[0]);
  });

  test('definitions where channels come from Zigbee2MQTT, requests where they come from Sparkplug', () => {
    const source = { preset: 'zigbee2mqtt', device: 'kitchen' };
    expect(partsOf({ source }).at(-1)!.filters).toEqual(['zigbee2mqtt/bridge/devices']);
    expect(partsOf({ source: { preset: 'sparkplug', device: 'a/b' } }).at(-1)).toBeInstanceOf(SparkplugHost);
  });

  test('Shellies are asked for everything at each connection, and when they are back', () => {
    const channels = { temperature: { preset: 'shelly', device: 'house/plug', value: 'switch:0.apower' } };
    const part = partsOf({ channels }).at(-1)!;
    expect(part.filters).toEqual(['house/plug/online']);
    const messages: OutgoingMessage[] = [];
    part.onReady!((message) => messages.push(message));
    for (const [payload, retained] of [
      ['false', false],
      ['true', true],
      ['true', false],
    ] as const)
      part.onMessage!('house/plug/online', Buffer.from(payload), retained);
    expect(messages.map(({ topic, retain }) => [topic, retain])).toEqual([
      ['house/plug/rpc', false],
      ['house/plug/rpc', false],
    ]);
    expect(JSON.parse(messages[0]!.payload as string)).toEqual({
      id: 1,
      src: 'dormouse/g/shelly/house/plug',
      method: 'Shelly.GetStatus',
    });
  });

  test('output.topic may name the gateway and the model', () => {
    const config = {
      gateway: 'g',
      model: 'model.safetensors',
      mqtt: { url: 'mqtt://h' },
      source: { topic: 'room' },
      output: { topic: 'site/{gateway}/{model}/{other}' },
    };
    const loaded = parseGatewayConfig(stringify(config), fixture.path('gateway.yaml'));
    expect(loaded.config.output.topic).toBe('site/g/model/{other}');
  });
});

describe('Zigbee2MQTT definitions', () => {
  const devices = readFileSync(new URL('payloads/fixtures/zigbee2mqtt-devices.json', import.meta.url));
  const units = { temperature: 'Fahrenheit', level: '%', lock: '', color: '' };
  const channels = {
    temperature: { preset: 'zigbee2mqtt', device: 'kitchen' },
    level: { preset: 'zigbee2mqtt', topic: 'zigbee2mqtt/lamp', value: 'brightness', unit: '%' },
    lock: { preset: 'zigbee2mqtt', device: 'lamp' },
    color: { preset: 'zigbee2mqtt', device: 'lamp', value: 'color.x' },
  };

  function learn(config: object, wanted: Readonly<Record<string, string>>, payload: Buffer = devices) {
    const ears = new Ears({ channels: config }, wanted);
    const log = noteLog();
    const part = new ZigbeeDefinitions(ears.routes, channelsOf(wanted), () => ears.decoder, log);
    part.onMessage('zigbee2mqtt/bridge/devices', payload);
    part.onMessage('zigbee2mqtt/bridge/devices', payload);
    return { ears, log, part };
  }

  test('give units, words and ranges', () => {
    const { ears, log } = learn(channels, units);
    expect(log.lines).toEqual([]);
    ears.hear('zigbee2mqtt/kitchen', { temperature: 20 });
    ears.hear('zigbee2mqtt/lamp', { brightness: 127, lock: 'LOCK', color: { x: 0.25 } });
    expect(ears.last).toEqual({ temperature: 68, level: 127, lock: 1, color: 0.25 });
    ears.hear('zigbee2mqtt/lamp', { brightness: 300, lock: 'UNLOCK', color: {} });
    expect(ears.last).toEqual({ temperature: 68, level: Number.NaN, lock: 0, color: 0.25 });
    expect(ears.counts).toEqual({ outOfRange: 1, missingKey: 1 });
  });

  test('count less than what the config says', () => {
    const own = {
      temperature: { preset: 'zigbee2mqtt', device: 'kitchen', scale: 2 },
      lock: { preset: 'zigbee2mqtt', device: 'lamp', states: { LOCK: 5 } },
    };
    const { ears } = learn(own, { temperature: 'Fahrenheit', lock: '' });
    ears.hear('zigbee2mqtt/kitchen', { temperature: 20 });
    ears.hear('zigbee2mqtt/lamp', { lock: 'LOCK' });
    expect(ears.last).toEqual({ temperature: 40, lock: 5 });
  });

  test('tell once what a device does not have', () => {
    const wrong = {
      a: { preset: 'zigbee2mqtt', device: 'kichen', value: 'temperature' },
      b: { preset: 'zigbee2mqtt', device: 'kitchen', value: 'temprature' },
      c: { preset: 'zigbee2mqtt', device: 'kitchen', value: 'humidity' },
    };
    const { log } = learn(wrong, { a: 'Celsius', b: 'Celsius', c: 'W' });
    expect(log.lines).toEqual([
      'warning: channel a: Zigbee2MQTT has no device "kichen"; did you mean "kitchen"?',
      'warning: channel b: kitchen (Aqara WSDCGQ01LM) does not tell temprature; did you mean "temperature"?',
      'warning: channel c: the model wants W, Zigbee2MQTT tells %',
    ]);
  });

  test.each([
    ['text', Buffer.from('no list')],
    ['nested too deep', Buffer.from('['.repeat(100_000))],
    ['an object', Buffer.from('{}')],
  ])('%s is told and changes nothing', (_, payload) => {
    const { ears, log } = learn(channels, units, payload);
    expect(log.lines).toEqual(['warning: zigbee2mqtt/bridge/devices: expected a list of devices, got none']);
    ears.hear('zigbee2mqtt/kitchen', { temperature: 20 });
    expect(ears.last.temperature).toBe(20);
  });
});

test('a Sparkplug host asks nodes that it does not know, again when messages are missing, not more often than allowed', () => {
  const ears = new Ears({ channels: { a: { preset: 'sparkplug', device: 'plant/line1' } } }, { a: '' });
  let nowMs = 1_000_000;
  const host = new SparkplugHost(
    ears.routes,
    () => ears.decoder,
    () => nowMs,
  );
  const topics: string[] = [];
  host.onReady(({ topic }) => topics.push(topic));
  expect(topics).toEqual(['spBv1.0/plant/NCMD/line1']);
  const data = Buffer.from('1204100150051805', 'hex');
  for (let count = 0; count < 100; count++) ears.hear('spBv1.0/plant/NDATA/line1', data);
  expect(topics).toHaveLength(1);
  nowMs += 10_000;
  ears.hear('spBv1.0/plant/NDATA/line1', data);
  expect(topics).toHaveLength(2);
  // The clock is set back by two weeks.
  nowMs -= 14 * 86_400_000;
  ears.hear('spBv1.0/plant/NDATA/line1', data);
  expect(host.counters()).toEqual({ rebirthRequests: 3 });
});
