import { describe, expect, test } from 'vitest';
import { routesOf } from './helpers.ts';

describe('each mistake in the config is told with its path', () => {
  test.each([
    [
      'tasmotta',
      { channels: { a: { preset: 'tasmotta', device: 'x', value: 'y' } } },
      /^channels\.a\.preset: expected one of json, .*, got "tasmotta"; did you mean "tasmota"\?$/,
    ],
    [
      'an unknown key',
      { channels: { a: { preset: 'tasmota', device: 'x', valeu: 'y' } } },
      /^channels\.a\.valeu: .*did you mean "value"\?$/,
    ],
    [
      "another preset's key",
      { channels: { a: { preset: 'tasmota', device: 'x', value: 'y', separator: ';' } } },
      /^channels\.a\.separator: expected one of the keys/,
    ],
    [
      'no device',
      { channels: { a: { preset: 'zigbee2mqtt' } } },
      /^channels\.a\.device: expected a device \(the friendly name\), or a topic, got nothing$/,
    ],
    [
      'a device and a topic',
      { channels: { a: { preset: 'esphome', device: 'x', topic: 'y' } } },
      /^channels\.a\.topic: expected either 'topic' or 'device', got both$/,
    ],
    [
      'a device of JSON',
      { channels: { a: { device: 'x' } } },
      /^channels\.a\.device: expected a topic: json has no devices, got "x"$/,
    ],
    [
      'a wildcard in a device',
      { channels: { a: { preset: 'zigbee2mqtt', device: '#' } } },
      /^channels\.a\.device: expected a friendly name, without wildcards, got "#"$/,
    ],
    [
      'a broken path',
      { channels: { a: { preset: 'tasmota', device: 'x', value: 'a..b' } } },
      /^channels\.a\.value: expected a path such as ENERGY\.Power, got "a\.\.b"$/,
    ],
    [
      'an unknown type',
      { channels: { a: { preset: 'binary', topic: 'x', value: 'int16l@0' } } },
      /^channels\.a\.value: .*got "int16l@0"; did you mean "int16le"\?$/,
    ],
    [
      'no type',
      { channels: { a: { preset: 'binary', topic: 'x' } } },
      /^channels\.a\.value: expected a type and where it begins, such as int16le@0, got nothing$/,
    ],
    [
      'column 0',
      { channels: { a: { preset: 'csv', topic: 'x', value: 0 } } },
      /^channels\.a\.value: expected a column's number from 1 on, got "0"$/,
    ],
    [
      'a column without a name',
      { source: { preset: 'csv', topic: 'x', columns: ['b', 'c'] } },
      /^source\.value: expected a column's number from 1 on, or one of b, c, got "a"$/,
    ],
    [
      'a Sparkplug device without a group',
      { channels: { a: { preset: 'sparkplug', device: 'edge' } } },
      /^channels\.a\.device: expected a <group>\/<edge node>/,
    ],
    [
      'a Sparkplug topic',
      { channels: { a: { preset: 'sparkplug', topic: 'spBv1.0/#' } } },
      /^channels\.a\.topic: expected .* as 'device' instead, got a topic$/,
    ],
    [
      'a unit of another kind',
      { channels: { a: { topic: 'x', unit: 'W' } } },
      /^channels\.a\.unit: expected a unit that can be converted to the model's, "Celsius", got "W"$/,
    ],
    [
      'an unknown unit',
      { channels: { a: { topic: 'x', unit: 'Sekel' } } },
      /^channels\.a\.unit: .*got the unknown unit "Sekel"$/,
    ],
    [
      'a scale that is no number',
      { channels: { a: { topic: 'x', scale: '2' } } },
      /^channels\.a\.scale: expected a number/,
    ],
    [
      'a state that is no number',
      { channels: { a: { topic: 'x', states: { open: 'yes' } } } },
      /^channels\.a\.states\.open: expected a number/,
    ],
    [
      'a Shelly value without a component',
      { channels: { a: { preset: 'shelly', device: 'x', value: 'apower' } } },
      /^channels\.a\.value: expected a path such as switch:0\.apower, got "apower"$/,
    ],
  ])('%s', (_, config, expected) => {
    const { problems } = routesOf(config, { a: 'Celsius' });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(expected);
  });

  test.each([
    [{ a: { topic: 'x' }, b: { preset: 'cbor', topic: 'x' } }],
    [{ a: { preset: 'sparkplug', device: 'g/e' }, b: { topic: 'spBv1.0/g/+/e/#' } }],
  ])('two encodings on one topic: %j', (channels) => {
    const { problems } = routesOf({ channels }, { a: '', b: '' });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(
      /^channels\.b\.preset: expected the encoding that a has on ".*" too, got another$/,
    );
  });

  test('what is wrong with a source is told once, not for each channel', () => {
    expect(routesOf({ source: { preset: 'zigbee2mqtt' } }, { a: '1', b: '1', c: '1' }).problems).toHaveLength(
      1,
    );
  });
});
