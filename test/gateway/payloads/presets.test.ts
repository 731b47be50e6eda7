import { encode } from 'cborg';
import { describe, expect, test } from 'vitest';
import { Ears, routesOf, samplesOf } from './helpers.ts';

const filtersOf = (config: object, units: Record<string, string> = { a: '1' }) =>
  routesOf(config, units).routes.map(({ filter }) => filter);

describe('Zigbee2MQTT', () => {
  test('a device is one short line; its channels need no value where they are called as its keys', () => {
    const ears = new Ears(
      { source: { preset: 'zigbee2mqtt', device: 'kitchen' } },
      { temperature: 'Celsius', humidity: '%' },
    );
    expect(ears.routes.map(({ filter }) => filter)).toEqual([
      'zigbee2mqtt/kitchen',
      'zigbee2mqtt/kitchen/availability',
    ]);
    expect(ears.hearAll(samplesOf('zigbee2mqtt')).last).toEqual({ temperature: 27.34, humidity: 44.72 });
    expect(ears.counts).toEqual({});
  });

  test('friendly names have slashes and spaces, values are booleans', () => {
    const channels = {
      motion: { preset: 'zigbee2mqtt', device: 'hall/motion', value: 'occupancy' },
      door: { preset: 'zigbee2mqtt', device: 'front door', value: 'contact' },
      supply: { preset: 'zigbee2mqtt', device: 'front door', value: 'voltage', unit: 'mV' },
    };
    const ears = new Ears({ channels }, { motion: '1', door: '1', supply: 'V' });
    expect(ears.hearAll(samplesOf('zigbee2mqtt')).last).toEqual({ motion: 1, door: 1, supply: 3.005 });
  });

  test('a key that is missing, null and NaN are three things', () => {
    const ears = new Ears({ source: { preset: 'zigbee2mqtt', device: 'x' } }, { t: 'Celsius', h: '%' });
    ears.hear('zigbee2mqtt/x', { t: 20, h: 50 });
    ears.hear('zigbee2mqtt/x', { t: 21 });
    expect(ears.last).toEqual({ t: 21, h: 50 });
    ears.hear('zigbee2mqtt/x', { t: null, h: 'NaN' });
    expect(ears.last).toEqual({ t: Number.NaN, h: Number.NaN });
    expect(ears.counts).toEqual({ missingKey: 1, null: 1, notANumber: 1 });
  });

  test.each([['{"state":"offline"}'], ['offline'], ['{ "state": "offline" }']])(
    '%s makes the channels unknown',
    (payload) => {
      const ears = new Ears(
        { source: { preset: 'zigbee2mqtt', device: 'kitchen' } },
        { temperature: 'Celsius' },
      );
      ears.hearAll(samplesOf('zigbee2mqtt'));
      expect(ears.hear('zigbee2mqtt/kitchen/availability', payload)).toBe(true);
      expect(ears.last.temperature).toBeNaN();
      expect(ears.counts).toEqual({ offline: 1 });
      expect(ears.hear('zigbee2mqtt/kitchen/availability', '{"state":"online"}')).toBe(false);
    },
  );

  test('another base topic', () => {
    expect(filtersOf({ source: { preset: 'zigbee2mqtt', base: 'z2m', device: 'k' } })[0]).toBe('z2m/k');
  });

  test('availability is not heard where payloads tell their time', () => {
    const config = { source: { preset: 'zigbee2mqtt', device: 'k' } };
    expect(routesOf(config, { a: '1' }, true).routes.map(({ filter }) => filter)).toEqual(['zigbee2mqtt/k']);
  });
});

describe('Tasmota', () => {
  test('readings by their paths', () => {
    const channels = {
      power: { preset: 'tasmota', device: 'pow1', value: 'ENERGY.Power' },
      energy: { preset: 'tasmota', device: 'pow1', value: 'ENERGY.Total', unit: 'kWh' },
      attic: { preset: 'tasmota', topic: 'tele/attic/SENSOR', value: 'BME280.Temperature' },
      pressure: { preset: 'tasmota', device: 'attic', value: 'BME280.Pressure' },
    };
    const ears = new Ears({ channels }, { power: 'W', energy: 'Wh', attic: 'Celsius', pressure: 'Pa' });
    ears.hearAll(samplesOf('tasmota'));
    expect(ears.last.power).toBe(2635);
    expect(ears.last.energy).toBeCloseTo(6294, 9);
    expect(ears.last.attic).toBe(21.7);
    expect(ears.last.pressure).toBeCloseTo(98_860, 6);
    expect(ears.counts).toEqual({});
  });

  test('a temperature in the unit that its payload names', () => {
    const channels = { t: { preset: 'tasmota', device: 'x', value: 'DS18B20.Temperature' } };
    const ears = new Ears({ channels }, { t: 'Celsius' });
    ears.hear('tele/x/SENSOR', { DS18B20: { Temperature: 68 }, TempUnit: 'F' });
    expect(ears.last.t).toBeCloseTo(20, 9);
    ears.hear('tele/x/SENSOR', { DS18B20: { Temperature: 21 }, TempUnit: 'C' });
    expect(ears.last.t).toBe(21);
  });

  test('phases are lists', () => {
    const channels = { l2: { preset: 'tasmota', device: 'em', value: 'ENERGY.Current[1]' } };
    const ears = new Ears({ channels }, { l2: 'A' });
    ears.hear('tele/em/SENSOR', { ENERGY: { Current: [1.32, 2.1] } });
    expect(ears.last.l2).toBe(2.1);
  });

  test('the same inside StatusSNS, and two sensors of one kind', () => {
    const channels = { t: { preset: 'tasmota', topic: 'stat/x/STATUS10', value: 'DS18B20-1.Temperature' } };
    const ears = new Ears({ channels }, { t: 'Celsius' });
    ears.hear('stat/x/STATUS10', { StatusSNS: { 'DS18B20-1': { Temperature: 19.5 }, TempUnit: 'C' } });
    expect(ears.last.t).toBe(19.5);
  });

  test('a switch, told when it changes and with the state', () => {
    const channels = { lamp: { preset: 'tasmota', device: 'x', value: 'POWER1' } };
    const ears = new Ears({ channels }, { lamp: '1' });
    ears.hear('stat/x/RESULT', { POWER1: 'ON' });
    expect(ears.last.lamp).toBe(1);
    ears.hear('stat/x/RESULT', { POWER2: 'ON' });
    ears.hear('tele/x/STATE', { POWER1: 'OFF', Wifi: { RSSI: 80 } });
    expect(ears.last.lamp).toBe(0);
    expect(ears.counts).toEqual({});
    ears.hear('tele/x/LWT', 'Offline');
    expect(ears.last.lamp).toBeNaN();
  });
});

describe('ESPHome', () => {
  const channels = {
    co2: { preset: 'esphome', device: 'office-air' },
    motion: { preset: 'esphome', device: 'office-air', value: 'binary_sensor/motion' },
  };
  test('plain values on topics of their own', () => {
    const ears = new Ears({ channels }, { co2: 'ppm', motion: '1' }).hearAll(samplesOf('esphome'));
    expect(ears.last).toEqual({ co2: 612.4, motion: 1 });
    ears.hear('office-air/sensor/co2/state', 'nan');
    expect(ears.last.co2).toBeNaN();
    expect(ears.counts).toEqual({ notANumber: 1 });
  });
});

describe('Shelly', () => {
  test('a notification lays what has changed over what was known', () => {
    const channels = {
      power: { preset: 'shelly', device: 'shellyplugs-xx', value: 'switch:0.apower' },
      voltage: { preset: 'shelly', device: 'shellyplugs-xx', value: 'switch:0.voltage' },
      on: { preset: 'shelly', device: 'shellyplugs-xx', value: 'switch:0.output' },
    };
    const ears = new Ears({ channels }, { power: 'W', voltage: 'V', on: '1' });
    const notify = (params: object) =>
      ears.hear('shellyplugs-xx/events/rpc', { method: 'NotifyStatus', params });
    notify({ ts: 1, 'switch:0': { id: 0, apower: 10.7, voltage: 230.1, output: true } });
    notify({ ts: 2, 'switch:0': { id: 0, apower: 0 } });
    expect(ears.last).toEqual({ power: 0, voltage: 230.1, on: 1 });
    expect(notify({ ts: 3, 'switch:1': { id: 1, apower: 5 } })).toBe(false);
    expect(ears.hear('shellyplugs-xx/events/rpc', { method: 'NotifyEvent', params: { events: [] } })).toBe(
      false,
    );
    expect(ears.counts).toEqual({});
    ears.hear('shellyplugs-xx/online', 'false');
    expect(ears.last).toEqual({ power: Number.NaN, voltage: Number.NaN, on: Number.NaN });
  });

  test('the reply to a request for everything fills what was unknown', () => {
    const channels = { voltage: { preset: 'shelly', device: 'plug', value: 'switch:0.voltage' } };
    const ears = new Ears({ channels }, { voltage: 'V' });
    expect(ears.routes.map(({ filter }) => filter)).toEqual([
      'plug/events/rpc',
      'dormouse/test/shelly/plug/rpc',
      'plug/online',
    ]);
    const result = { 'switch:0': { id: 0, voltage: 229.5 }, sys: { mac: 'A8032AB12345' } };
    ears.hear('dormouse/test/shelly/plug/rpc', {
      id: 1,
      src: 'plug',
      dst: 'dormouse/test/shelly/plug',
      result,
    });
    expect(ears.last.voltage).toBe(229.5);
    expect(ears.hear('dormouse/test/shelly/plug/rpc', { id: 1, error: { code: 404 } })).toBe(false);
    expect(ears.counts).toEqual({});
    expect(routesOf({ channels }, { voltage: 'V' }, true).routes).toHaveLength(1);
  });

  test('a component on its status topic', () => {
    const topic = 'shellyplugs-xx/status/switch:0';
    const channels = {
      energy: { preset: 'shelly', topic, value: 'aenergy.total' },
      minute: { preset: 'shelly', topic, value: 'switch:0.aenergy.by_minute[0]', unit: 'mWh' },
    };
    const ears = new Ears({ channels }, { energy: 'Wh', minute: 'Wh' }).hearAll(samplesOf('shelly'));
    expect(ears.last.energy).toBe(46791.262);
    expect(ears.last.minute).toBeCloseTo(0.073921, 12);
  });
});

describe('The Things Stack', () => {
  const uplink = samplesOf('things-stack')[0]!;
  const channels = {
    temperature: { preset: 'things-stack', device: 'dev1' },
    rssi: { preset: 'things-stack', device: 'app1@ttn/dev1', value: '$.uplink_message.rx_metadata[0].rssi' },
    frequency: { preset: 'things-stack', device: 'dev1', value: '$.uplink_message.settings.frequency' },
    port: { preset: 'things-stack', device: 'dev1', value: '$.uplink_message.f_port' },
  };
  const units = { temperature: 'Celsius', rssi: 'dBm', frequency: 'Hz', port: '1' };

  test('decoded payloads, and what surrounds them', () => {
    const ears = new Ears({ channels }, units).hearAll([uplink]);
    expect(ears.last).toEqual({ temperature: 1, rssi: -35, frequency: 868_300_000, port: 1 });
    expect(ears.decoder.converted).toBe(1);
  });

  test('a field that is left out is 0', () => {
    const message = structuredClone(uplink.payload) as { uplink_message: Record<string, unknown> };
    delete message.uplink_message.f_port;
    const ears = new Ears({ channels }, units);
    ears.hear(uplink.topic, message);
    expect(ears.last.port).toBe(0);
    expect(ears.counts).toEqual({});
    ears.hear(uplink.topic, { end_device_ids: {} });
    expect(ears.counts).toMatchObject({ missingKey: 4 });
  });

  test('the same uplink again is no second reading', () => {
    const ears = new Ears({ channels: { temperature: channels.temperature } }, { temperature: 'Celsius' });
    expect(ears.hear(uplink.topic, uplink.payload)).toBe(true);
    expect(ears.hear(uplink.topic, uplink.payload)).toBe(false);
    const next = structuredClone(uplink.payload) as { uplink_message: Record<string, unknown> };
    next.uplink_message.f_cnt = 2;
    expect(ears.hear(uplink.topic, next)).toBe(true);
    expect(ears.counts).toEqual({ repeated: 1 });
  });
});

describe('CSV', () => {
  test('columns by number and by name', () => {
    const channels = { t: { preset: 'csv', topic: 'x', value: 2, separator: ';' } };
    const ears = new Ears({ channels }, { t: 'Celsius' });
    expect(ears.hear('x', ' 1 ; 21.5 ;ON\n')).toBe(true);
    expect(ears.last.t).toBe(21.5);
    const source = { preset: 'csv', topic: 'x', columns: ['time', 't', 'h'] };
    const named = new Ears({ source }, { t: 'Celsius', h: '%' });
    named.hear('x', '99,"20.5",,');
    expect(named.last).toEqual({ t: 20.5, h: Number.NaN });
    named.hear('x', '99,20.6');
    expect(named.counts).toEqual({ null: 1, missingKey: 1 });
  });
});

describe('binary', () => {
  const bytes = Buffer.alloc(16);
  bytes.writeInt16LE(-2150, 0);
  bytes.writeUInt32BE(4_000_000_000, 2);
  bytes.writeFloatLE(0.5, 6);
  bytes.writeUInt8(7, 10);
  test('numbers at their places, scaled', () => {
    const at = (value: string, more = {}) => ({ preset: 'binary', topic: 'x', value, ...more });
    const channels = {
      t: at('int16le@0', { scale: 0.01, offset: 1 }),
      n: at('uint32be@2'),
      f: at('float32le@6', { unit: 'share' }),
      u: at('uint8@10'),
    };
    const ears = new Ears({ channels }, { t: 'Celsius', n: '1', f: '%', u: '1' });
    ears.hear('x', bytes);
    expect(ears.last).toEqual({ t: -20.5, n: 4_000_000_000, f: 50, u: 7 });
    ears.hear('x', bytes.subarray(0, 5));
    expect(ears.counts).toEqual({ tooShort: 3 });
  });

  test('reads as Node writes, for every type', async () => {
    const { binaryTypes, readBinary } = await import('../../../src/gateway/payloads/binary.ts');
    const writers: Record<string, (buffer: Buffer) => void> = {
      int8: (b) => b.writeInt8(-5, 3),
      uint8: (b) => b.writeUInt8(250, 3),
      int64le: (b) => b.writeBigInt64LE(-5n, 3),
      int64be: (b) => b.writeBigInt64BE(-5n, 3),
      uint64le: (b) => b.writeBigUInt64LE(250n, 3),
      uint64be: (b) => b.writeBigUInt64BE(250n, 3),
      float32le: (b) => b.writeFloatLE(-5, 3),
      float32be: (b) => b.writeFloatBE(-5, 3),
      float64le: (b) => b.writeDoubleLE(-5, 3),
      float64be: (b) => b.writeDoubleBE(-5, 3),
      int16le: (b) => b.writeInt16LE(-5, 3),
      int16be: (b) => b.writeInt16BE(-5, 3),
      uint16le: (b) => b.writeUInt16LE(250, 3),
      uint16be: (b) => b.writeUInt16BE(250, 3),
      int32le: (b) => b.writeInt32LE(-5, 3),
      int32be: (b) => b.writeInt32BE(-5, 3),
      uint32le: (b) => b.writeUInt32LE(250, 3),
      uint32be: (b) => b.writeUInt32BE(250, 3),
    };
    expect(Object.keys(writers).sort()).toEqual([...binaryTypes].sort());
    for (const type of binaryTypes) {
      const buffer = Buffer.alloc(12, 0x5a);
      writers[type]!(buffer);
      const expected = type.startsWith('u') ? 250 : -5;
      expect(readBinary({ kind: 'binary', type, offset: 3 }, buffer), type).toBe(expected);
    }
  });
});

describe('CBOR', () => {
  test('paths as in JSON', () => {
    const channels = {
      t: { preset: 'cbor', topic: 'x', value: 'a.b[1]' },
      ok: { preset: 'cbor', topic: 'x' },
    };
    const ears = new Ears({ channels }, { t: 'Celsius', ok: '1' });
    ears.hear('x', encode({ a: { b: [1, 21.5] }, ok: true }));
    expect(ears.last).toEqual({ t: 21.5, ok: 1 });
    ears.hear('x', encode({ a: { b: [1, null] }, ok: 2n ** 60n }));
    expect(ears.last).toEqual({ t: Number.NaN, ok: 2 ** 60 });
  });

  test.each([
    ['no CBOR', Buffer.from('{"ok":1}'), 'notCbor'],
    ['an unknown tag', Buffer.from('d864a1626f6b01', 'hex'), 'notCbor'],
    ['a list of 2^32 - 1 items', Buffer.from('9affffffff00', 'hex'), 'notCbor'],
    ['bytes that are not there', Buffer.from('5bffffffffffffffff', 'hex'), 'notCbor'],
    ['60,000 lists in each other', Buffer.alloc(60_000, 0x81), 'tooDeep'],
    ['60,000 tags in each other', Buffer.alloc(60_000, 0xc0), 'tooDeep'],
  ])('%s', (_, payload, kind) => {
    const ears = new Ears({ channels: { ok: { preset: 'cbor', topic: 'x' } } }, { ok: '1' });
    expect(ears.hear('x', payload)).toBe(false);
    expect(ears.counts).toEqual({ [kind]: 1 });
  });

  test('the self-description tag is read through', () => {
    const ears = new Ears({ channels: { ok: { preset: 'cbor', topic: 'x' } } }, { ok: '1' });
    ears.hear('x', Buffer.from('d9d9f7a1626f6b05', 'hex'));
    expect(ears.last.ok).toBe(5);
  });

  test('depth is that of lists and maps, however they are encoded', () => {
    const limits = { payloadBytes: 1000, jsonDepth: 3 };
    const hear = (hex: string) => {
      const ears = new Ears({ channels: { ok: { preset: 'cbor', topic: 'x' } } }, { ok: '1' }, limits);
      ears.hear('x', Buffer.from(hex, 'hex'));
      return ears.counts;
    };
    expect(hear('a2616182800081808081626f6b01')).not.toMatchObject({ tooDeep: 1 });
    expect(hear('bf616181818080626f6b01ff')).toMatchObject({ tooDeep: 1 });
    expect(hear('bf61619f80ff626f6b01ff')).toEqual({});
  });
});

describe('what words mean', () => {
  test('is said by the config', () => {
    const channels = { door: { topic: 'x', states: { open: 1, closed: 0, ajar: 0.5 } } };
    const ears = new Ears({ channels }, { door: '1' });
    for (const [word, value] of [
      ['Open', 1],
      ['closed', 0],
      ['ajar', 0.5],
      ['ON', 1],
    ] as const) {
      ears.hear('x', { door: word });
      expect(ears.last.door).toBe(value);
    }
    ears.hear('x', { door: 'jammed' });
    ears.hear('x', { door: '__proto__' });
    expect(ears.counts).toEqual({ wrongType: 2 });
  });
});

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

  test('what is wrong with a source is told once, not for each channel', () => {
    expect(routesOf({ source: { preset: 'zigbee2mqtt' } }, { a: '1', b: '1', c: '1' }).problems).toHaveLength(
      1,
    );
  });
});
