import { expect, test } from 'vitest';
import type { TickColumns } from '../../src/page/protocol.ts';
import { duration, joules, numeral, percent, unitText } from '../../src/page/text.ts';
import { Ticks } from '../../src/page/ticks.ts';

/** Ticks of one channel whose value is their number. */
function columns(first: number, times: number[]): TickColumns {
  const each = <T>(value: (index: number) => T) => times.map((_, index) => value(index));
  return {
    first,
    timeMs: times,
    tier: each(() => 3),
    trust: each(() => 0),
    reason: each(() => 0),
    lambda: each(() => null),
    lambdaFloor: each(() => null),
    reference: each(() => null),
    top: each(() => 0),
    score: each(() => null),
    values: [each((index) => first + index)],
    fired: [each(() => 0)],
  };
}

test('what came before is not added again', () => {
  const ticks = new Ticks(100, 1);
  ticks.add(columns(0, [1000, 2000, 3000]));
  ticks.add(columns(1, [2000, 3000, 4000]));
  ticks.add(columns(0, [1000, 2000]));
  expect([ticks.timeS, ticks.values[0], ticks.next]).toEqual([[1, 2, 3, 4], [0, 1, 2, 3], 4]);
});

test('the oldest go', () => {
  const ticks = new Ticks(2, 1);
  ticks.add(columns(0, [1000, 2000, 3000]));
  expect([ticks.timeS, ticks.values, ticks.length]).toEqual([[2, 3], [[1, 2]], 2]);
});

test('time that has gone back begins a new picture, between batches and within one', () => {
  const ticks = new Ticks(100, 1);
  ticks.add(columns(0, [1000, 2000]));
  ticks.add(columns(2, [500, 600]));
  expect(ticks.timeS).toEqual([0.5, 0.6]);
  ticks.add(columns(4, [700, 100, 200]));
  expect([ticks.timeS, ticks.values[0]]).toEqual([
    [0.1, 0.2],
    [5, 6],
  ]);
});

test('numbers as people read them', () => {
  expect([numeral(null), numeral(Number.NaN), numeral(1234.567), numeral(0.00012345)]).toEqual([
    '–',
    '–',
    '1,235',
    '0.0001235',
  ]);
  expect([percent(0.9312), percent(Number.NaN), percent(1, 0)]).toEqual(['93.1 %', '–', '100 %']);
  expect([joules(0.25), joules(12.3), joules(45_600), joules(7.8e6), joules(0), joules(null)]).toEqual([
    '250 mJ',
    '12.3 J',
    '45.6 kJ',
    '7.8 MJ',
    '0 J',
    '–',
  ]);
  expect([duration(0), duration(60), duration(3700), duration(90_000)]).toEqual([
    '0 s',
    '1 min',
    '1 h 1 min',
    '1 d 1 h',
  ]);
  expect([unitText('Celsius'), unitText('1'), unitText('constructor')]).toEqual(['°C', '', 'constructor']);
});
