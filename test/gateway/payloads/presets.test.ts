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

  test('repetitions are known of so many devices at most', () => {
    const any = { preset: 'things-stack', topic: 'v3/+/devices/+/up', value: 'temperature' };
    const ears = new Ears({ channels: { temperature: any } }, { temperature: 'Celsius' });
    const hear = (device: number) => ears.hear(`v3/app1@ttn/devices/${device}/up`, uplink.payload);
    hear(0);
    expect(hear(0)).toBe(false);
    for (let device = 1; device <= 1000; device++) hear(device);
    expect(hear(0)).toBe(true);
    expect(hear(1000)).toBe(false);
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
