/**
 * Hostile payloads and configs, seeded. 10^4 of each kind by default; DORMOUSE_FUZZ=100000 sets another number,
 * DORMOUSE_FUZZ_SEED another seed.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { encode } from 'cborg';
import { afterAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { GatewayConfigError, parseGatewayConfig } from '../../../src/gateway/config/load-config.ts';
import { readDevices } from '../../../src/gateway/payloads/zigbee2mqtt.ts';
import { proposeChannels, proposeConfig } from '../../../src/gateway/proposal.ts';
import { Sniffer } from '../../../src/gateway/sniffer.ts';
import { decodeSparkplug, encodeSparkplug } from '../../../src/gateway/sparkplug/payload.ts';
import { SparkplugSession } from '../../../src/gateway/sparkplug/session.ts';
import { Fixture } from '../fixture.ts';
import { Fuzz, hostile } from './fuzz.ts';
import { bytesOf, Ears, routesOf, type Sample, samplesOf } from './helpers.ts';

const runs = Number(process.env.DORMOUSE_FUZZ ?? 10_000);
const seed = Number(process.env.DORMOUSE_FUZZ_SEED ?? 1);
const timeoutMs = 60_000 + runs * 10;
const heapGrowthMax = 5 << 20;

const fixture = new Fixture();
afterAll(() => fixture.remove());

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heapBytes(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

const channels = {
  json: { topic: 'a/json', value: 'temperature' },
  plain: { topic: 'a/plain', value: 'plain', scale: 1e12 },
  zigbee: { preset: 'zigbee2mqtt', device: 'kitchen', value: 'temperature' },
  tasmota: { preset: 'tasmota', device: 'pow1', value: 'ENERGY.Power' },
  esphome: { preset: 'esphome', device: 'office-air', value: 'co2' },
  shelly: { preset: 'shelly', device: 'shellyplugs-xx', value: 'switch:0.apower' },
  things: { preset: 'things-stack', device: 'dev1', value: 'temperature' },
  csv: { preset: 'csv', topic: 'a/csv', value: 2, separator: ';' },
  binary: { preset: 'binary', topic: 'a/binary', value: 'float64le@1' },
  cbor: { preset: 'cbor', topic: 'a/cbor', value: 'temperature' },
  sparkplug: { preset: 'sparkplug', device: 'plant/office', value: 'held' },
};
const units = Object.fromEntries(Object.keys(channels).map((name) => [name, '']));
/** Where a payload that says nothing must have been counted. */
const strict = ['a/json', 'a/plain', 'a/csv', 'a/binary', 'a/cbor'];

function sparkplugSamples(): Sample[] {
  const session = new SparkplugSession({ group: 'plant', edge: 'office' }, fixture.model.meaning, () => 1);
  return [session.will(), session.birth(), session.death()].map(({ topic, payload }) => ({ topic, payload }));
}

const samples: Sample[] = [
  ...['zigbee2mqtt', 'tasmota', 'shelly', 'esphome', 'things-stack'].flatMap(samplesOf),
  ...sparkplugSamples(),
  { topic: 'a/json', payload: { temperature: 21.5 } },
  { topic: 'a/plain', payload: '21.5' },
  { topic: 'a/csv', payload: '1;21.5;ON' },
  { topic: 'a/binary', payload: Buffer.alloc(9, 7) },
  { topic: 'a/cbor', payload: encode({ temperature: 21.5, list: [1, { b: 2n ** 60n }] }) },
];

function isUnpolluted(): boolean {
  return Object.keys(Object.prototype).length === 0 && ({} as { polluted?: unknown }).polluted === undefined;
}

test(`${runs} payloads: none throws, each refused one is counted, nothing is left behind`, {
  timeout: timeoutMs,
}, () => {
  const fuzz = new Fuzz(1000 * seed + 1);
  const ears = new Ears({ channels }, units);
  const sum = () => Object.values(ears.decoder.counts).reduce((total, count) => total + count, 0);
  let heapBefore = 0;
  const silent: string[] = [];
  let [refused, taken, infinite] = [0, 0, 0];
  for (let run = 0; run < runs; run++) {
    if (run === Math.floor(runs / 10)) heapBefore = heapBytes();
    const sample = fuzz.of(samples);
    const topic = fuzz.below(8) === 0 ? fuzz.of(samples).topic : sample.topic;
    const kind = fuzz.below(20);
    const payload =
      kind === 0
        ? bytesOf(fuzz.of(hostile))
        : kind === 1
          ? fuzz.bytes(fuzz.below(64))
          : fuzz.mutate(bytesOf(sample.payload));
    const before = sum();
    const used = ears.hear(topic, payload);
    if (used) taken++;
    else if (strict.includes(topic)) {
      refused++;
      if (sum() <= before) silent.push(`${topic} ${payload.toString('hex').slice(0, 200)}`);
    }
    if (Object.values(ears.last).some((value) => Math.abs(value ?? 0) === Number.POSITIVE_INFINITY))
      infinite++;
  }
  expect(silent).toEqual([]);
  expect(infinite).toBe(0);
  expect(taken).toBeGreaterThan(runs / 20);
  expect(refused).toBeGreaterThan(runs / 20);
  expect(isUnpolluted()).toBe(true);
  expect(heapBytes() - heapBefore).toBeLessThan(heapGrowthMax);
});

test(`${runs / 5} messages on any topics: sniff is bounded and proposes what is valid`, {
  timeout: timeoutMs,
}, () => {
  const fuzz = new Fuzz(1000 * seed + 2);
  const sniffer = new Sniffer();
  for (let run = 0; run < runs / 5; run++) {
    const sample = fuzz.of(samples);
    const payload = fuzz.below(10) === 0 ? bytesOf(fuzz.of(hostile)) : fuzz.mutate(bytesOf(sample.payload));
    const topic =
      fuzz.below(3) === 0 ? fuzz.mutate(Buffer.from(sample.topic)).toString('utf8') : sample.topic;
    sniffer.hear(topic.slice(0, 200), payload.subarray(0, 5000), fuzz.below(4) === 0);
  }
  expect(sniffer.messages).toBe(runs / 5);
  expect(sniffer.topics.size).toBeLessThanOrEqual(5000);
  expect(sniffer.values.size).toBeLessThanOrEqual(5000);
  const proposed = proposeChannels(sniffer.described(), 1000);
  const config = proposeConfig(proposed, { mqtt: { url: 'mqtt://h' }, seconds: 1 });
  expect(() => parseGatewayConfig(config, fixture.path('proposed.yaml'))).toThrow(/channels\./);
  for (const { value } of proposed) {
    const { source } = value;
    expect(routesOf({ channels: { a: source } }, { a: '' }).problems, JSON.stringify(source)).toEqual([]);
  }
  expect(isUnpolluted()).toBe(true);
});

test('what a Sparkplug decoder may allocate is bounded by what came', () => {
  const metric = encodeSparkplug({ metrics: [{ alias: 1 }] });
  expect(() => decodeSparkplug(Buffer.concat(Array(66_000).fill(metric)))).toThrow(/at most 65536 metrics/);
});

const words = [
  'channels',
  'source',
  'topic',
  'device',
  'preset',
  'value',
  'unit',
  'scale',
  'states',
  'columns',
  'tasmota',
  'zigbee2mqtt',
  'sparkplug',
  'csv',
  'binary',
  'int16le@0',
  '../../etc',
  '__proto__',
  'constructor',
  'null',
  'true',
  '-1',
  '1e999',
  '.nan',
  '[1, 2]',
  '{a: 1}',
  '&a',
  '*a',
  '!!binary aGk=',
  '|',
  '>',
  '"',
  "'",
  '#',
  '+',
  '$',
  '$.a',
  '\u0000',
  '\t',
  '%',
  '---',
  '? ',
  ': ',
  '\n  ',
  '\n',
];

test(`${runs / 20} configs as texts: accepted, or refused with problems`, {
  timeout: timeoutMs,
}, () => {
  const fuzz = new Fuzz(1000 * seed + 3);
  const valid = [
    { source: { topic: 'room' } },
    { channels: { temperature: channels.tasmota, humidity: channels.csv } },
    { source: { preset: 'sparkplug', device: 'a/b' }, homeAssistant: true, sparkplug: { group: 'g' } },
    { channels: { temperature: channels.binary, humidity: { topic: 'x', states: { open: 1 }, unit: '%' } } },
  ].map((part) =>
    stringify({ gateway: 'g', model: 'model.safetensors', mqtt: { url: 'mqtt://h' }, ...part }),
  );
  let [accepted, refused] = [0, 0];
  for (let run = 0; run < runs / 20; run++) {
    let text = fuzz.of(valid);
    for (let left = 1 + fuzz.below(3); left > 0; left--) {
      const at = fuzz.below(text.length);
      const upTo = at + fuzz.below(10);
      text =
        text.slice(0, at) +
        (fuzz.below(3) === 0 ? '' : fuzz.of(words)) +
        text.slice(fuzz.below(2) === 0 ? at : upTo);
    }
    try {
      parseGatewayConfig(text, fixture.path('gateway.yaml'));
      accepted++;
    } catch (error) {
      expect(error, text).toBeInstanceOf(GatewayConfigError);
      expect((error as GatewayConfigError).problems.length).toBeGreaterThan(0);
      refused++;
    }
  }
  expect(accepted).toBeGreaterThan(0);
  expect(refused).toBeGreaterThan(runs / 80);
  expect(isUnpolluted()).toBe(true);
});

test(`${runs} channel entries of any shape: accepted, or refused with problems`, {
  timeout: timeoutMs,
}, () => {
  const fuzz = new Fuzz(1000 * seed + 4);
  const scalars = [
    'x',
    '',
    '#',
    'a/b',
    'a/b/c',
    '__proto__',
    'int8@0',
    'int8@99999999',
    'a[0].b',
    "$['a']",
    5,
    -1,
    1e308,
    Number.NaN,
    true,
    null,
    [],
    {},
    ['a'],
    { a: 1 },
    '\0',
    'a'.repeat(70_000),
  ];
  const keys = [
    'preset',
    'topic',
    'device',
    'value',
    'unit',
    'scale',
    'offset',
    'states',
    'separator',
    'columns',
    'base',
    '__proto__',
    'constructor',
    'object',
  ];
  const presetValues = [
    'json',
    'zigbee2mqtt',
    'tasmota',
    'esphome',
    'shelly',
    'sparkplug',
    'things-stack',
    'csv',
    'binary',
    'cbor',
    'nonsense',
    'constructor',
  ];
  let accepted = 0;
  for (let run = 0; run < runs; run++) {
    const entry: Record<string, unknown> = {
      preset: fuzz.of(presetValues),
      [fuzz.of(['topic', 'device'])]: 'x',
    };
    for (let left = fuzz.below(4); left > 0; left--) {
      Object.defineProperty(entry, fuzz.of(keys), {
        value: fuzz.of(scalars),
        enumerable: true,
        configurable: true,
        writable: true,
      });
    }
    const config = fuzz.below(4) === 0 ? { source: entry } : { channels: { a: entry } };
    const { routes, problems } = routesOf(config, { a: 'W' });
    for (const problem of problems)
      expect(problem).toMatch(/^(source|channels\.a)(\.\S+)?: expected .*, got /);
    if (problems.length > 0) continue;
    accepted++;
    expect(routes.length).toBeGreaterThan(0);
  }
  expect(accepted).toBeGreaterThan(runs / 50);
  expect(isUnpolluted()).toBe(true);
});

test(`${runs / 20} device lists of Zigbee2MQTT`, { timeout: timeoutMs }, () => {
  const fuzz = new Fuzz(1000 * seed + 5);
  const list = bytesOf(samplesOf('zigbee2mqtt-devices'));
  for (let run = 0; run < runs / 20; run++) {
    try {
      readDevices(JSON.parse(fuzz.mutate(list).toString('utf8')));
    } catch (error) {
      expect(error).toBeInstanceOf(SyntaxError);
    }
  }
  expect(isUnpolluted()).toBe(true);
});

test('names that would climb out of their place have no effect', () => {
  const load = (changes: object) =>
    parseGatewayConfig(
      stringify({
        gateway: 'g',
        model: 'model.safetensors',
        mqtt: { url: 'mqtt://h' },
        source: { topic: 'room' },
        ...changes,
      }),
      fixture.path('gateway.yaml'),
    ).config;
  expect(() => load({ gateway: '../../etc' })).toThrow(/gateway.*at most 64 letters/);
  expect(() => load({ output: { topic: 'a/#' } })).toThrow(/with a wildcard/);
  const { routes } = load({ source: { preset: 'zigbee2mqtt', device: '../../etc/passwd' } });
  expect(routes[0]!.filter).toBe('zigbee2mqtt/../../etc/passwd');
});
