import { expect, test } from 'vitest';
import { RecentTicks } from '../../../src/gateway/models/recent-ticks.ts';

function noted(count: number, channels = 2): RecentTicks {
  const recent = new RecentTicks(channels);
  for (let tick = 0; tick < count; tick++)
    recent.note({ timeMs: 1000 * tick, values: new Float64Array(channels).fill(tick) });
  return recent;
}

function played(recent: RecentTicks, from: number, count: number): number[] {
  const times: number[] = [];
  const next = recent.replay(from, count, ({ timeMs, values }) => {
    expect([...values].every((value) => value === timeMs / 1000)).toBe(true);
    times.push(timeMs / 1000);
  });
  expect(next).toBe(Math.max(from, recent.oldest) + times.length);
  return times;
}

test('plays what was noted, in order, piece by piece', () => {
  const recent = noted(10);
  expect(played(recent, 0, 4)).toEqual([0, 1, 2, 3]);
  expect(played(recent, 4, 100)).toEqual([4, 5, 6, 7, 8, 9]);
  expect(played(recent, 10, 4)).toEqual([]);
});

test('knows the latest 1024 ticks, fewer where there are many channels', () => {
  expect(noted(3000).oldest).toBe(3000 - 1024);
  expect(played(noted(3000), 0, 2)).toEqual([3000 - 1024, 3000 - 1023]);
  expect(noted(3000, 63).oldest).toBe(3000 - 512);
});

test('begins anew with time', () => {
  const recent = noted(10);
  recent.forget();
  expect(played(recent, 0, 100)).toEqual([]);
  recent.note({ timeMs: 7000, values: new Float64Array(2).fill(7) });
  expect(played(recent, 0, 100)).toEqual([7]);
});
