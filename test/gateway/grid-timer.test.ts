import { expect, test } from 'vitest';
import { GridTimer } from '../../src/gateway/grid-timer.ts';
import type { Timers } from '../../src/gateway/timers.ts';

/** Time that goes on from one timer to the next when told to, each `lateMs` after it was due. */
function handTurned(startMs: number, lateMs: number) {
  let nowMs = startMs;
  let due: { readonly atMs: number; readonly call: () => void } | undefined;
  const timers = {
    nowMs: () => nowMs,
    after: (delayMs: number, call: () => void) => {
      due = { atMs: nowMs + delayMs, call };
      return () => void (due = undefined);
    },
  } as unknown as Timers;
  const turn = () => {
    if (due === undefined) return false;
    nowMs = due.atMs + lateMs;
    due.call();
    return true;
  };
  return { clock: { nowMs: () => nowMs }, timers, turn };
}

test('calls at the boundaries of the clock, however late the calls before were', () => {
  const { clock, timers, turn } = handTurned(10_300, 250);
  const called: number[] = [];
  const grid = new GridTimer(1000, clock, timers, () => called.push(clock.nowMs()));
  grid.start();
  while (called.length < 3) turn();
  expect(called).toEqual([11_250, 12_250, 13_250]);
  grid.stop();
  expect(turn()).toBe(false);
});

test('tells of its progress by value, and of none before the start', () => {
  const { clock, timers, turn } = handTurned(0, 0);
  const grid = new GridTimer(500, clock, timers, () => {});
  expect(grid.progress).toBeUndefined();
  grid.start();
  const before = grid.progress;
  turn();
  turn();
  expect(before).toEqual({ turns: 0, intervalMs: 500 });
  expect(grid.progress).toEqual({ turns: 2, intervalMs: 500 });
});
