import { describe, expect, it } from 'vitest';
import { makeMeterReading } from '../../src/energy/meter.ts';
import { PlugMeter, parsePlug } from '../../src/energy/plug.ts';
import { fakeClock } from './fixture.ts';

const tasmota =
  '{"Time":"2018-02-15T17:37:10","ENERGY":{"TotalStartTime":"2018-11-14T18:39:40","Total":6.294,"Yesterday":5.340,"Today":0.954,"Period":217,"Power":2635,"ApparentPower":2650,"ReactivePower":282,"Factor":0.99,"Voltage":227,"Current":11.661}}';
const shellyStatus =
  '{"id":0,"source":"WS_in","output":true,"apower":10.7,"voltage":120.7,"current":0.133,"aenergy":{"total":46791.262,"by_minute":[73.921,177.749,177.749],"minute_ts":1682952864},"temperature":{"tC":47.9,"tF":118.3}}';
const shellyNotification =
  '{"src":"shellyplugs-xx","dst":"shellyplugs-xx/events","method":"NotifyStatus","params":{"ts":1682952866.0,"switch:0":{"id":0,"apower":10.7}}}';

describe('parsePlug', () => {
  it.each([
    ['tasmota', tasmota, { watts: 2635, totalWh: 6294 }],
    ['tasmota', `{"StatusSNS":${tasmota}}`, { watts: 2635, totalWh: 6294 }],
    ['tasmota', '{"ENERGY":{"Total":[1.5,2.25],"Power":[3,4]}}', { watts: 7, totalWh: 3750 }],
    ['tasmota', '{"Time":"2019-11-03T19:34:28","BME280":{"Temperature":21.7},"TempUnit":"C"}', {}],
    ['shelly', shellyStatus, { watts: 10.7, totalWh: 46791.262 }],
    ['shelly', shellyNotification, { watts: 10.7 }],
    ['shelly', '{"method":"NotifyStatus","params":{"ts":1682952866.0,"sys":{"unixtime":1682952866}}}', {}],
    ['shelly', '{"id":0,"output":false}', {}],
    [
      'zigbee2mqtt',
      '{"state":"ON","power":4,"energy":12.34,"voltage":231,"current":0.03,"linkquality":120}',
      { watts: 4, totalWh: 12340 },
    ],
    ['zigbee2mqtt', '{"state":"ON","power":null,"energy":12.34}', { totalWh: 12340 }],
  ] as const)('%s: %s', (kind, payload, expected) => {
    const { watts, totalWh } = parsePlug(kind, payload);
    const { watts: w, totalWh: wh } = expected as { watts?: number; totalWh?: number };
    expect(watts).toBe(w);
    if (wh === undefined) expect(totalWh).toBeUndefined();
    else expect(totalWh).toBeCloseTo(wh, 6);
  });

  it.each([
    ['tasmota', 'Online', /tasmota plug: expected a JSON object, got "Online"/],
    ['tasmota', '[1]', /expected a JSON object/],
    ['tasmota', '{"ENERGY":{"Power":"12 W"}}', /power: expected a number from 0 to 10000, got "12 W"/],
    ['tasmota', '{"ENERGY":{"Power":[3,null]}}', /got \[3,null\]/],
    ['shelly', '{"apower":-3}', /power: expected a number from 0/],
    ['zigbee2mqtt', '{"power":1e9}', /got 1000000000/],
    ['zigbee2mqtt', '{"power":', /expected a JSON object/],
  ] as const)('%s refuses %s', (kind, payload, message) => {
    expect(() => parsePlug(kind, payload)).toThrow(message);
  });
});

describe('PlugMeter', () => {
  function make() {
    const { now, clock } = fakeClock();
    const meter = new PlugMeter('zigbee2mqtt', 'zigbee2mqtt/plug', clock.monotonicMs);
    const reading = makeMeterReading();
    const read = (wall: number) => {
      now.wall = wall;
      meter.read(reading);
      return [reading.totalJ, reading.coveredMs];
    };
    const hear = (wall: number, payload: object) => {
      now.wall = wall;
      meter.onMessage(JSON.stringify(payload));
    };
    return { meter, read, hear };
  }

  it('holds a power until the next one comes', () => {
    const { hear, read } = make();
    expect(read(5000)).toEqual([0, 0]);
    hear(10_000, { power: 4 });
    hear(20_000, { power: 6 });
    expect(read(25_000)).toEqual([40 + 30, 15_000]);
  });

  it('does not hold it for ever', () => {
    const { hear, read } = make();
    hear(0, { power: 4 });
    expect(read(3_600_000)).toEqual([4 * 900, 900_000]);
    hear(3_600_000, { power: 4 });
    expect(read(3_601_000)).toEqual([4 * 901, 901_000]);
  });

  it('takes 0 W for less than it can measure, not for nothing', () => {
    const { meter, hear, read } = make();
    hear(0, { power: 0 });
    expect([...read(60_000), meter.failures]).toEqual([0, 0, 1]);
    expect(meter.lastFailure).toMatch(/draws less than the plug can measure/);
  });

  it('counts garbage and goes on', () => {
    const { meter, hear, read } = make();
    hear(0, { power: 4 });
    meter.onMessage('{');
    expect([...read(1000), meter.failures, meter.readings]).toEqual([4, 1000, 1, 1]);
  });
});
