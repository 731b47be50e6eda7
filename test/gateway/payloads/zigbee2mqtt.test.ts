import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readDevices } from '../../../src/gateway/payloads/zigbee2mqtt.ts';

const document = JSON.parse(
  readFileSync(new URL('fixtures/zigbee2mqtt-devices.json', import.meta.url), 'utf8'),
) as unknown;

test('what devices expose: units, ranges, words; groups are flattened, composites are paths', () => {
  const [kitchen, lamp, ...more] = readDevices(document);
  expect(more).toEqual([]);
  expect(kitchen).toEqual({
    name: 'kitchen',
    model: 'Aqara WSDCGQ01LM',
    exposes: [
      { property: 'battery', kind: 'numeric', unit: '%', min: 0, max: 100 },
      { property: 'temperature', kind: 'numeric', unit: '°C' },
      { property: 'humidity', kind: 'numeric', unit: '%' },
    ],
  });
  expect(lamp!.exposes.map(({ property }) => property)).toEqual([
    'state',
    'brightness',
    'color.x',
    'color.y',
    'power_on_behavior',
    'lock',
  ]);
  expect(lamp!.exposes.at(-1)!.states).toEqual(
    new Map([
      ['unlock', 0],
      ['lock', 1],
    ]),
  );
  expect(lamp!.exposes.at(-2)!.states).toEqual(
    new Map([
      ['off', 0],
      ['previous', 1],
      ['on', 2],
    ]),
  );
});

test.each([
  ['no list', {}],
  ['null', null],
  ['a list of anything', [null, 1, 'x', [], {}, { friendly_name: 5 }, { friendly_name: '', definition: 7 }]],
  [
    'exposes that are none',
    [{ friendly_name: 'x', definition: { exposes: [null, { property: {} }, { property: 'a' }] } }],
  ],
])('%s does no harm', (_, input) => {
  for (const { exposes } of readDevices(input)) expect(exposes).toEqual([]);
});

test('looks only so deep', () => {
  const nested = (depth: number): object =>
    depth === 0
      ? { type: 'numeric', property: 'x' }
      : { type: 'composite', property: 'a', features: [nested(depth - 1)] };
  const propertiesAt = (depth: number) =>
    readDevices([{ friendly_name: 'd', definition: { exposes: [nested(depth)] } }])[0]!.exposes.length;
  expect([0, 1, 6, 7, 100].map(propertiesAt)).toEqual([1, 1, 1, 0, 0]);
});

test('is bounded, however much it is told', () => {
  const features: unknown[] = [];
  let list = features;
  for (let depth = 0; depth < 1000; depth++) {
    const deeper: unknown[] = [];
    list.push({ type: 'composite', property: 'a', features: deeper });
    list = deeper;
  }
  const many = Array.from({ length: 5000 }, (_, i) => ({ type: 'numeric', property: `p${i}` }));
  const devices = Array.from({ length: 2000 }, (_, i) => ({
    friendly_name: `d${i}`,
    definition: { exposes: [...features, ...many] },
  }));
  const read = readDevices(devices);
  expect(read.length).toBeLessThanOrEqual(1000);
  expect(read[0]!.exposes.length).toBeLessThanOrEqual(256);
});
