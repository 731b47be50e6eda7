import { describe, expect, it } from 'vitest';
import { Ledger } from '../../src/energy/ledger.ts';
import { PlugMeter } from '../../src/energy/plug.ts';
import { findTarget } from '../../src/energy/target.ts';
import { EnergyPart, PlugPart } from '../../src/gateway/energy-part.ts';
import type { OutgoingMessage } from '../../src/gateway/outbox.ts';
import { fakeClock } from '../energy/fixture.ts';

const tick = { tier: 0 as const, macs: 5, macsDense: 9 };

function make(meter?: PlugMeter) {
  const { now, clock } = fakeClock();
  let ledger: Ledger | undefined;
  const part = new EnergyPart((onRecord) => {
    ledger = new Ledger({
      target: findTarget('pi4'),
      clock,
      onRecord,
      ...(meter === undefined ? {} : { meter }),
    });
    return ledger;
  }, 'dormouse/office/energy');
  const published: OutgoingMessage[] = [];
  const interval = () => {
    now.wall += 60_000;
    part.onTick(tick);
    ledger!.closeInterval();
  };
  return {
    now,
    part,
    published,
    interval,
    connect: () => part.onReady((message) => published.push(message)),
  };
}

describe('EnergyPart', () => {
  it('publishes power and energy after each interval, once connected', () => {
    const { part, published, interval, connect } = make();
    interval();
    connect();
    interval();
    expect(published).toEqual([
      {
        topic: 'dormouse/office/energy',
        payload: JSON.stringify({ powerW: 3, energyWh: 0.1, source: 'model' }),
        qos: 0,
        retain: false,
      },
    ]);
    expect(part.counters().ledger).toMatchObject({ source: 'model', powerW: 3, writeFailures: 0 });
    expect(part.snapshot()).toMatchObject({ source: 'model', scope: 'board', powerWatts: 3 });
    expect(part.snapshot().totals).toMatchObject({ ticks: 2, macs: 10 });
  });

  it('publishes nothing while the meter tells nothing', () => {
    const { part, published, interval, connect } = make(
      new PlugMeter('tasmota', 'tele/plug/SENSOR', () => 0),
    );
    connect();
    interval();
    expect(published).toEqual([]);
    expect(part.counters().ledger).toMatchObject({ source: 'plug', powerW: null });
  });
});

describe('PlugPart', () => {
  it('hears its topic, but nothing that was kept from an unknown time', () => {
    const meter = new PlugMeter('zigbee2mqtt', 'zigbee2mqtt/plug');
    const part = new PlugPart(meter);
    const say = (topic: string, watts: number, retained = false) =>
      part.onMessage(topic, Buffer.from(JSON.stringify({ power: watts })), retained);
    expect(part.filters).toEqual(['zigbee2mqtt/plug']);
    say('zigbee2mqtt/plug', 9, true);
    say('zigbee2mqtt/lamp', 9);
    expect(meter.readings).toBe(0);
    say('zigbee2mqtt/plug', 4);
    expect([meter.readings, meter.watts]).toEqual([1, 4]);
  });
});
