import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { subtract } from '../../../src/cli/simulation/people.ts';
import { Random, Wandering } from '../../../src/cli/simulation/random.ts';
import { minuteMs, OfficeRoom, type RoomTick } from '../../../src/cli/simulation/room.ts';
import { humidityRatio, relativeHumidity } from '../../../src/cli/simulation/sensors.ts';

const week = 7 * 1440;
const [temperature, humidity, light, co2, ratio] = [0, 1, 2, 3, 4];

function simulate(seed: number, minutes = week): RoomTick[] {
  const room = new OfficeRoom(seed);
  return Array.from({ length: minutes }, () => {
    const tick = room.step();
    return { ...tick, values: tick.values.slice() };
  });
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

describe('OfficeRoom', () => {
  it.each([1, 2, 3, 4])('stays within the ranges of a real office for a week, seed %i', (seed) => {
    const ticks = simulate(seed);
    const ranges: [number, number, number][] = [
      [temperature, 18.5, 24.5],
      [humidity, 15, 42],
      [light, 0, 1500],
      [co2, 400, 2000],
      [ratio, 0.0024, 0.0066],
    ];
    for (const [channel, low, high] of ranges) {
      const column = ticks.map(({ values }) => values[channel]!);
      expect(Math.min(...column)).toBeGreaterThanOrEqual(low);
      expect(Math.max(...column)).toBeLessThan(high);
    }
  });

  it('replays from its seed and differs from another seed', () => {
    expect(simulate(7, 2000)).toEqual(simulate(7, 2000));
    expect(simulate(7, 2000)).not.toEqual(simulate(8, 2000));
  });

  it('ticks once a simulated minute', () => {
    const ticks = simulate(1, 100);
    for (let i = 1; i < ticks.length; i++) expect(ticks[i]!.timeMs - ticks[i - 1]!.timeMs).toBe(minuteMs);
  });

  it('has people by day on workdays, and nobody at night or on the weekend', () => {
    const ticks = simulate(1);
    const occupied = ticks.filter((tick) => tick.occupied);
    expect(occupied.length / ticks.length).toBeGreaterThan(0.15);
    expect(occupied.length / ticks.length).toBeLessThan(0.4);
    for (const { timeMs } of occupied) {
      const date = new Date(timeMs);
      expect(date.getUTCDay()).toBeGreaterThanOrEqual(1);
      expect(date.getUTCDay()).toBeLessThanOrEqual(5);
      expect(date.getUTCHours()).toBeGreaterThanOrEqual(6);
      expect(date.getUTCHours()).toBeLessThan(21);
    }
  });

  it('gathers CO2 while people are in and loses it when they left', () => {
    const ticks = simulate(2);
    const withPeople = ticks.filter((tick) => tick.occupied).map(({ values }) => values[co2]!);
    const nights = ticks.filter(({ timeMs }) => new Date(timeMs).getUTCHours() === 4);
    expect(mean(withPeople)).toBeGreaterThan(650);
    expect(mean(nights.map(({ values }) => values[co2]!))).toBeLessThan(480);
  });

  it('is dark at night without people and lit with them', () => {
    for (const { timeMs, values, occupied } of simulate(3)) {
      const hour = new Date(timeMs).getUTCHours();
      if (occupied) expect(values[light]).toBeGreaterThan(400);
      else if (hour < 5) expect(values[light]).toBe(0);
    }
  });

  it('tells numbers in steps, as a sensor does', () => {
    for (const { values } of simulate(4, 3000)) {
      expect(values[temperature]! * 20).toBeCloseTo(Math.round(values[temperature]! * 20), 6);
      expect(values[co2]! * 2).toBe(Math.round(values[co2]! * 2));
    }
  });

  it('falls towards outdoor air with the leak rate of an empty room', () => {
    const room = new OfficeRoom(1);
    room.state.co2 = 1435;
    for (let minute = 0; minute < 60; minute++) room.step();
    // One hour at 0.35 air changes: 435 + 1000 e^-0.35. Nobody comes before six.
    expect(room.state.co2).toBeCloseTo(435 + 1000 * Math.exp(-0.35), 6);
  });
});

describe('humidity', () => {
  it('agrees with a row of a real logger', () => {
    // 23.18 C and 27.272 % were logged beside 0.00479299 kg/kg.
    expect(humidityRatio(27.272, 23.18)).toBeCloseTo(0.004793, 4);
    expect(Math.abs(humidityRatio(27.272, 23.18) / 0.00479299 - 1)).toBeLessThan(0.005);
  });

  it('goes there and back', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.001, max: 0.02, noNaN: true }),
        fc.double({ min: 0, max: 40, noNaN: true }),
        (w, t) => {
          expect(humidityRatio(relativeHumidity(w, t), t)).toBeCloseTo(w, 12);
        },
      ),
      { seed: 20240115 },
    );
  });
});

describe('subtract', () => {
  it('leaves exactly the minutes that no absence covers', () => {
    const span = fc.tuple(fc.nat(60), fc.nat(30)).map(([from, length]) => ({ from, to: from + length }));
    fc.assert(
      fc.property(span, fc.array(span, { maxLength: 6 }), (whole, absences) => {
        const left = subtract(whole, absences);
        for (let minute = 0; minute < 100; minute++) {
          const inside = (each: { from: number; to: number }) => minute >= each.from && minute < each.to;
          expect(left.some(inside)).toBe(inside(whole) && !absences.some(inside));
        }
      }),
      { seed: 20240116 },
    );
  });
});

describe('Random', () => {
  const draw = (next: () => number) => Array.from({ length: 20_000 }, next);

  it('is uniform and normal in its moments', () => {
    const random = new Random(5);
    const uniform = draw(() => random.uniform());
    expect(mean(uniform)).toBeCloseTo(0.5, 1);
    expect(Math.min(...uniform)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...uniform)).toBeLessThan(1);
    const normal = draw(() => random.normal(3, 2));
    expect(mean(normal)).toBeCloseTo(3, 1);
    expect(Math.sqrt(mean(normal.map((x) => (x - 3) ** 2)))).toBeCloseTo(2, 1);
  });

  it('wanders around its mean with the deviation asked for', () => {
    const wandering = new Wandering(new Random(6), 10, 2, 20);
    const path = draw(() => wandering.step());
    expect(Math.abs(mean(path) - 10)).toBeLessThan(0.5);
    expect(Math.abs(Math.sqrt(mean(path.map((x) => (x - 10) ** 2))) - 2)).toBeLessThan(0.4);
  });
});
