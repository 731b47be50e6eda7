import { describe, expect, it } from 'vitest';
import { type HealthInput, healthOf } from '../../../src/gateway/http/health.ts';

const vitals = { waiting: 0, workedOff: 0, grid: undefined, silence: undefined };
const well: HealthInput = {
  nowMs: 100_000,
  startedMs: 0,
  isConnected: true,
  vitals,
  lastTickMs: 95_000,
  tickWithinMs: 0,
};

describe('healthOf', () => {
  it.each<[string, Partial<HealthInput>, boolean, RegExp]>([
    ['all is well', {}, true, /last tick 5 s ago; ticks come when messages do/],
    [
      'no tick yet, and none is asked for',
      { lastTickMs: undefined },
      true,
      /no tick since the start 100 s ago/,
    ],
    ['a tick in time', { tickWithinMs: 10_000 }, true, /last tick 5 s ago/],
    ['a tick too late', { tickWithinMs: 4000 }, false, /last tick 5 s ago, expected one each 4 s/],
    ['no tick ever', { tickWithinMs: 60_000, lastTickMs: undefined }, false, /no tick since the start/],
    [
      'not so long since the start',
      { tickWithinMs: 200_000, lastTickMs: undefined },
      true,
      /no tick since the start/,
    ],
    [
      'a grid in time',
      { vitals: { ...vitals, grid: { turns: 1, intervalMs: 1000 } } },
      true,
      /last tick 5 s ago/,
    ],
    [
      'a grid that stands still',
      { vitals: { ...vitals, waiting: 7, grid: { turns: 1, intervalMs: 1000 } }, lastTickMs: 1000 },
      false,
      /expected one each 13 s, 7 messages wait/,
    ],
  ])('ticks: %s', (_, changes, ok, why) => {
    const health = healthOf({ ...well, ...changes });
    expect(health.checks.ticks.why).toMatch(why);
    expect([health.ok, health.checks.ticks.ok]).toEqual([ok, ok]);
  });

  it('MQTT: connected, and heard', () => {
    expect(healthOf({ ...well, isConnected: false })).toMatchObject({
      ok: false,
      checks: { mqtt: { ok: false } },
    });
    const silence = 'has not heard the broker for 80 s';
    expect(healthOf({ ...well, vitals: { ...vitals, silence } })).toMatchObject({
      ok: false,
      checks: { mqtt: { ok: false, why: `the gateway ${silence}` } },
    });
  });
});
