/** A broker in this process, and what each kind of device says to it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { Aedes } from 'aedes';
import { encode } from 'cborg';
import { get } from 'sparkplug-payload';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { parse } from 'yaml';
import { UsageError } from '../../src/cli/command.ts';
import { command } from '../../src/cli/sniff.ts';
import { saveModel } from '../../src/engine/model-file.ts';
import { parseGatewayConfig } from '../../src/gateway/config/load-config.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { Fixture } from '../gateway/fixture.ts';
import { freePort } from '../gateway/mosquitto.ts';
import { bytesOf, samplesOf } from '../gateway/payloads/helpers.ts';

const fixture = new Fixture();
let server: Server;
let aedes: Aedes;
let url: string;
let address: { port: number; host: string };

beforeAll(async () => {
  aedes = await Aedes.createBroker();
  server = createServer(aedes.handle);
  address = { port: await freePort(), host: '127.0.0.1' };
  await new Promise<void>((resolve) => server.listen(address, resolve));
  url = `mqtt://127.0.0.1:${address.port}`;
});
afterAll(async () => {
  await new Promise<void>((resolve) => aedes.close(() => resolve()));
  server.close();
  fixture.remove();
});
afterEach(() => void vi.restoreAllMocks());

interface Message {
  readonly topic: string;
  readonly payload: unknown;
  readonly retain?: boolean;
}

function say({ topic, payload, retain = false }: Message): Promise<void> {
  const packet = { cmd: 'publish', topic, payload: bytesOf(payload), qos: 0, retain, dup: false } as const;
  return new Promise((resolve) => aedes.publish(packet, () => resolve()));
}

interface Report {
  readonly messages: number;
  readonly seconds: number;
  readonly topics: { topic: string; format: string; messages: number; retained: number }[];
  readonly channels: {
    name: string;
    source: Record<string, unknown>;
    unit: string | null;
    min: number | null;
    max: number | null;
    perMinute: number;
  }[];
  readonly config: string;
}

/** Runs the command; says the messages as soon as it listens. */
async function sniff(messages: readonly Message[], ...args: string[]) {
  let stdout = '';
  vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += text;
    return true;
  });
  const subscribed = new Promise<void>((resolve) => aedes.once('subscribe', () => resolve()));
  const running = command.run([url, '--seconds', '0.4', ...args]);
  await subscribed;
  for (const message of messages) await say(message);
  const code = await running;
  return { code, stdout };
}

async function sniffJson(messages: readonly Message[]): Promise<Report> {
  const { code, stdout } = await sniff(messages, '--json');
  expect(code).toBe(0);
  return JSON.parse(stdout) as Report;
}

/** Whether the proposed config is valid once there is a model of its channels. */
function validate(config: string) {
  const names = Object.keys((parse(config) as { channels: object }).channels);
  writeFileSync(fixture.path('model.safetensors'), saveModel(tinyModel({ channels: names })));
  return parseGatewayConfig(config, fixture.path('proposed.yaml')).config;
}

const sparkplug = get('spBv1.0')!;
const everything: Message[] = [
  {
    topic: 'zigbee2mqtt/bridge/devices',
    payload: JSON.parse(
      readFileSync(new URL('../gateway/payloads/fixtures/zigbee2mqtt-devices.json', import.meta.url), 'utf8'),
    ),
    retain: true,
  },
  ...samplesOf('zigbee2mqtt'),
  { topic: 'zigbee2mqtt/kitchen', payload: { temperature: 25, humidity: 50, linkquality: 90 } },
  {
    topic: 'zigbee2mqtt/lamp',
    payload: { state: 'ON', brightness: 120, color: { x: 0.3, y: 0.3 }, lock: 'LOCK' },
  },
  ...samplesOf('tasmota'),
  ...samplesOf('shelly'),
  ...samplesOf('esphome'),
  ...samplesOf('things-stack'),
  {
    topic: 'spBv1.0/plant/NBIRTH/line1',
    payload: sparkplug.encodePayload({
      timestamp: 1,
      seq: 0,
      metrics: [
        { name: 'bdSeq', type: 'Int64', value: 1 },
        { name: 'Node Control/Rebirth', type: 'Boolean', value: false },
        { name: 'Motor/Speed', alias: 1, type: 'Int16', value: -3 },
      ],
    } as never),
  },
  {
    topic: 'spBv1.0/plant/NDATA/line1',
    payload: sparkplug.encodePayload({
      timestamp: 1,
      seq: 1,
      metrics: [{ alias: 1, type: 'Int16', value: 12 }],
    } as never),
  },
  { topic: 'cellar/meter', payload: { flow: '12.5', nested: { 'odd.key': 3 }, note: 'ok' } },
  { topic: 'cellar/level', payload: '0.75' },
  { topic: 'cellar/line', payload: '1700000000;21.5;on' },
  { topic: 'cellar/cbor', payload: encode({ t: 21.5 }) },
  { topic: 'cellar/raw', payload: Buffer.from([0xff, 0x00, 0x01]) },
  { topic: 'homeassistant/sensor/x/config', payload: { name: 'x' } },
  { topic: 'dormouse/office/state', payload: { time: 1 } },
];

describe('what a broker carries', () => {
  let report: Report;
  const channelOf = (source: object) =>
    report.channels.find((channel) => JSON.stringify(channel.source) === JSON.stringify(source));
  const formatOf = (topic: string) => report.topics.find((each) => each.topic === topic)?.format;

  test('is listed with its formats', async () => {
    report = await sniffJson(everything);
    expect(report.messages).toBe(everything.length);
    expect(
      Object.fromEntries(
        [
          'zigbee2mqtt/kitchen',
          'zigbee2mqtt/bridge/devices',
          'tele/pow1/SENSOR',
          'shellyplugs-xx/events/rpc',
          'shellyplugs-xx/status/switch:0',
          'office-air/sensor/co2/state',
          'office-air/debug',
          'v3/app1@ttn/devices/dev1/up',
          'spBv1.0/plant/NBIRTH/line1',
          'cellar/meter',
          'cellar/level',
          'cellar/line',
          'cellar/cbor',
          'cellar/raw',
          'homeassistant/sensor/x/config',
          'dormouse/office/state',
        ].map((topic) => [topic, formatOf(topic)]),
      ),
    ).toEqual({
      'zigbee2mqtt/kitchen': 'zigbee2mqtt',
      'zigbee2mqtt/bridge/devices': 'zigbee2mqtt, administration',
      'tele/pow1/SENSOR': 'tasmota',
      'shellyplugs-xx/events/rpc': 'shelly',
      'shellyplugs-xx/status/switch:0': 'shelly',
      'office-air/sensor/co2/state': 'esphome',
      'office-air/debug': 'text',
      'v3/app1@ttn/devices/dev1/up': 'things-stack',
      'spBv1.0/plant/NBIRTH/line1': 'sparkplug',
      'cellar/meter': 'json',
      'cellar/level': 'plain',
      'cellar/line': 'csv',
      'cellar/cbor': 'cbor',
      'cellar/raw': 'binary, 3 bytes',
      'homeassistant/sensor/x/config': 'Home Assistant discovery',
      'dormouse/office/state': 'a Dormouse gateway',
    });
  });

  test('has channels with ranges, units and rates', () => {
    expect(channelOf({ preset: 'zigbee2mqtt', device: 'kitchen', value: 'temperature' })).toMatchObject({
      name: 'kitchen_temperature',
      unit: '°C',
      min: 25,
      max: 27.34,
      perMinute: 120 / report.seconds,
    });
    expect(channelOf({ preset: 'tasmota', device: 'pow1', value: 'ENERGY.Power' })).toMatchObject({
      unit: 'W',
      min: 2635,
    });
    expect(channelOf({ preset: 'tasmota', device: 'attic', value: 'BME280.Pressure' })).toMatchObject({
      unit: 'hPa',
    });
    expect(channelOf({ preset: 'shelly', device: 'shellyplugs-xx', value: 'switch:0.apower' })).toMatchObject(
      { unit: 'W', min: 10.7 },
    );
    expect(
      channelOf({ preset: 'esphome', device: 'office-air', value: 'binary_sensor/motion' }),
    ).toMatchObject({ min: 1 });
    expect(channelOf({ preset: 'things-stack', device: 'app1@ttn/dev1', value: 'luminosity' })).toMatchObject(
      { min: 0.64 },
    );
    expect(channelOf({ preset: 'sparkplug', device: 'plant/line1', value: 'Motor/Speed' })).toMatchObject({
      min: -3,
      max: 12,
    });
    expect(channelOf({ topic: 'cellar/meter', value: "nested['odd.key']" })).toMatchObject({ min: 3 });
    expect(channelOf({ topic: 'cellar/level', value: 'plain' })).toMatchObject({ min: 0.75 });
    expect(channelOf({ preset: 'csv', topic: 'cellar/line', value: 2, separator: ';' })).toMatchObject({
      min: 21.5,
    });
    expect(channelOf({ preset: 'cbor', topic: 'cellar/cbor', value: 't' })).toMatchObject({ min: 21.5 });
  });

  test('leaves out what is about the device, and what is told twice', () => {
    const values = report.channels.map(({ source }) => String(source.value));
    for (const value of ['linkquality', 'battery', 'bdSeq', 'last_seen', 'switch:0.id', 'Time'])
      expect(values).not.toContain(value);
    expect(
      channelOf({ preset: 'shelly', topic: 'shellyplugs-xx/status/switch:0', value: 'apower' }),
    ).toBeUndefined();
  });

  test('makes a config that is valid and subscribes to what was heard', () => {
    const config = validate(report.config);
    expect(config.mqtt.url).toBe(url);
    const filters = config.routes.map(({ filter }) => filter);
    expect(filters).toEqual(
      expect.arrayContaining([
        'zigbee2mqtt/kitchen',
        'tele/pow1/SENSOR',
        'shellyplugs-xx/events/rpc',
        'office-air/sensor/co2/state',
        'v3/app1@ttn/devices/dev1/up',
        'spBv1.0/plant/+/line1/#',
        'cellar/line',
      ]),
    );
    expect(config.frame.mode).toBe('grid');
  });
});

test("words come from the device's definition", async () => {
  await say({ ...everything[0]!, retain: true });
  const { config, topics } = await sniffJson([
    { topic: 'zigbee2mqtt/lamp', payload: { lock: 'LOCK', brightness: 3 } },
  ]);
  expect(topics.find(({ topic }) => topic === 'zigbee2mqtt/bridge/devices')).toMatchObject({ retained: 1 });
  expect((parse(config) as { channels: Record<string, unknown> }).channels.lamp_brightness).toEqual({
    preset: 'zigbee2mqtt',
    device: 'lamp',
    value: 'brightness',
  });
});

test('for people: topics, channels and the config; a file where asked for', async () => {
  const { code, stdout } = await sniff(samplesOf('tasmota'));
  expect(code).toBe(0);
  expect(stdout).toMatch(/tele\/pow1\/SENSOR +tasmota +\d+ a minute/);
  expect(stdout).toMatch(/pow1_energy_power +2635 W/);
  expect(stdout).toContain(
    '  pow1_energy_power: { preset: tasmota, device: pow1, value: ENERGY.Power } # 2635 W',
  );
  const file = fixture.path('out.yaml');
  const written = await sniff(samplesOf('tasmota'), '-o', file);
  expect(written.stdout).not.toContain('preset:');
  validate(readFileSync(file, 'utf8'));
});

test('what is hostile in names and units stays text', async () => {
  const { stdout, code } = await sniff([
    {
      topic: 'evil/\u001b[2J\u202e',
      payload: { 'a\nb: 1': 5, __proto__: 7, "it's": 1, '${x}': 2, '# not: yaml': 3 },
    },
    { topic: 'tele/x/SENSOR', payload: { A: { Temperature: 5 }, TempUnit: 'C\nmodel: evil' } },
    { topic: 'zigbee2mqtt/../../etc/passwd', payload: { temperature: 1 } },
  ]);
  expect(code).toBe(0);
  for (const character of ['\u001b', '\u202e']) expect(stdout).not.toContain(character);
  expect(stdout).toContain('evil/?[2J?');
  const config = stdout.slice(stdout.indexOf('# Proposed'));
  expect(parse(config)).toMatchObject({ model: 'model.safetensors' });
  validate(config);
});

test('nothing heard is a failure; so is no broker', async () => {
  expect(await sniff([], '--topic', 'nobody/says/this')).toMatchObject({ code: 1 });
  const nobody = `mqtt://127.0.0.1:${await freePort()}`;
  vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
  const dead = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => dead.listen(Number(nobody.split(':').at(-1)), '127.0.0.1', resolve));
  await expect(command.run([nobody, '--seconds', '0.1', '--connect-timeout', '0.3'])).rejects.toThrow(
    /not connected to mqtt:\/\/127/,
  );
  dead.close();
});

test.each([
  [[], /expected a broker/],
  [['http://x'], /broker\.url: expected a URL such as/],
  [['mqtt://u:secret@x'], /a user name or password inside it/],
  [['mqtt://x', '--topic', 'a/#/b'], /--topic: expected a topic filter, got one with a '#'/],
  [['mqtt://x', '--seconds', '0'], /--seconds: expected a number/],
])('%j is a usage error', async (args, message) => {
  await expect(command.run(args)).rejects.toThrow(message);
  await expect(command.run(args)).rejects.toThrow(UsageError);
});
