import { describe, expect, test } from 'vitest';
import type { Decoded } from '../../src/gateway/decode.ts';
import { FrameAssembler, type FrameOptions } from '../../src/gateway/frame.ts';

/** What a message of two channels said; undefined: nothing about that channel. */
function said(timeMs: number, ...values: (number | undefined)[]): Decoded {
  return {
    timeMs,
    values: Float64Array.from(values, (value) => value ?? 999),
    present: Uint8Array.from(values, (value) => (value === undefined ? 0 : 1)),
  };
}

function assembler(options: Partial<FrameOptions> = {}) {
  const ticks: [number, ...number[]][] = [];
  const frames = new FrameAssembler({
    channels: 2,
    routes: 2,
    mode: 'message',
    intervalMs: 1000,
    catchUpTicks: 100,
    onFrame: ({ timeMs, values }) => void ticks.push([timeMs, ...values]),
    ...options,
  });
  return { frames, ticks };
}

const noTime = Number.NaN;

describe('a tick per message', () => {
  test('carries the latest value of every channel, NaN where there was none', () => {
    const { frames, ticks } = assembler();
    frames.accept(0, 5, said(noTime, 1, undefined));
    frames.accept(1, 6, said(noTime, undefined, 2));
    frames.accept(0, 7, said(noTime, 3, undefined));
    expect(ticks).toEqual([
      [5, 1, Number.NaN],
      [6, 1, 2],
      [7, 3, 2],
    ]);
  });

  test('an unknown value makes the channel unknown', () => {
    const { frames, ticks } = assembler();
    frames.accept(0, 5, said(noTime, 1, 2));
    frames.accept(0, 6, said(noTime, Number.NaN, 3));
    expect(ticks[1]).toEqual([6, Number.NaN, 3]);
  });

  test('goes by the time in the payload if there is one', () => {
    const { frames, ticks } = assembler();
    frames.accept(0, 5, said(1000, 1, 2));
    expect(ticks).toEqual([[1000, 1, 2]]);
  });

  test('drops what is older than the last frame, and counts it', () => {
    const { frames, ticks } = assembler();
    frames.accept(0, 0, said(1000, 1, undefined));
    frames.accept(1, 0, said(999, undefined, 2));
    expect(ticks).toHaveLength(1);
    expect(frames).toMatchObject({ stale: 1, duplicates: 0 });
  });

  test('drops what comes a second time, and counts it', () => {
    const { frames, ticks } = assembler();
    for (const timeMs of [1000, 1000, 2000, 1000, 2000]) frames.accept(0, 0, said(timeMs, 1, 2));
    expect(ticks.map(([timeMs]) => timeMs)).toEqual([1000, 2000]);
    expect(frames).toMatchObject({ stale: 1, duplicates: 2 });
  });

  test('what another topic says about the moment of the last tick waits for the next', () => {
    const { frames, ticks } = assembler();
    frames.accept(0, 0, said(1000, 1, undefined));
    frames.accept(1, 0, said(1000, undefined, 2));
    expect(ticks).toEqual([[1000, 1, Number.NaN]]);
    frames.accept(0, 0, said(2000, 3, undefined));
    expect(ticks[1]).toEqual([2000, 3, 2]);
    expect(frames).toMatchObject({ merged: 1, stale: 0, duplicates: 0 });
  });

  test('two messages that the clock of receipt does not tell apart are two ticks', () => {
    const { frames, ticks } = assembler();
    const now = 1.7e12;
    frames.accept(0, now, said(noTime, 1, 1));
    frames.accept(0, now, said(noTime, 2, 2));
    expect(ticks).toHaveLength(2);
    expect(ticks[1]![0]).toBeGreaterThan(ticks[0]![0]);
  });
});

describe('retained messages', () => {
  test('fill the state without a tick', () => {
    const { frames, ticks } = assembler();
    frames.seed(said(noTime, undefined, 7));
    expect(ticks).toEqual([]);
    frames.accept(0, 5, said(noTime, 1, undefined));
    expect(ticks).toEqual([[5, 1, 7]]);
  });

  test('older than the last frame, fill only what is unknown', () => {
    const { frames, ticks } = assembler();
    frames.accept(0, 0, said(1000, 1, undefined));
    frames.seed(said(500, 9, 8));
    frames.accept(0, 0, said(2000, 2, undefined));
    expect(ticks[1]).toEqual([2000, 2, 8]);
  });

  test('do not move time', () => {
    const { frames, ticks } = assembler();
    frames.seed(said(5000, 1, 1));
    frames.accept(0, 0, said(1000, 2, undefined));
    expect(ticks).toEqual([[1000, 2, 1]]);
  });
});

describe('a tick per interval, by the time in the payload', () => {
  const grid = { mode: 'grid' as const };

  test('comes at whole intervals and holds what was said until then, that moment included', () => {
    const { frames, ticks } = assembler(grid);
    frames.accept(0, 0, said(1500, 1, undefined));
    frames.accept(1, 0, said(2000, undefined, 2));
    expect(ticks).toEqual([]);
    frames.accept(0, 0, said(2001, 3, undefined));
    expect(ticks).toEqual([[2000, 1, 2]]);
    frames.accept(0, 0, said(4500, 4, undefined));
    expect(ticks).toEqual([
      [2000, 1, 2],
      [3000, 3, 2],
      [4000, 3, 2],
    ]);
  });

  test('drops what comes after its tick', () => {
    const { frames, ticks } = assembler(grid);
    frames.accept(0, 0, said(1000, 1, undefined));
    frames.accept(0, 0, said(1001, 2, undefined));
    frames.accept(1, 0, said(1000, undefined, 5));
    expect(ticks).toEqual([[1000, 1, Number.NaN]]);
    expect(frames.stale).toBe(1);
  });

  test('makes up for a gap only so far', () => {
    const { frames, ticks } = assembler({ ...grid, catchUpTicks: 2 });
    frames.accept(0, 0, said(1000, 1, 1));
    frames.accept(0, 0, said(11_500, 2, 2));
    expect(ticks.map(([timeMs]) => timeMs)).toEqual([10_000, 11_000]);
    expect(frames.skippedTicks).toBe(9);
  });
});

describe('a tick per interval, by the time of receipt', () => {
  const grid = { mode: 'grid' as const };

  test('comes also while nothing is said', () => {
    const { frames, ticks } = assembler(grid);
    frames.accept(0, 100, said(noTime, 1, 2));
    for (const nowMs of [999, 1000, 1500, 3000]) frames.advance(nowMs);
    expect(ticks).toEqual([
      [1000, 1, 2],
      [2000, 1, 2],
      [3000, 1, 2],
    ]);
  });

  test('does not come before anything is known', () => {
    const { frames, ticks } = assembler(grid);
    frames.advance(5000);
    frames.seed(said(noTime, 1, undefined));
    frames.advance(5500);
    frames.advance(6000);
    expect(ticks).toEqual([[6000, 1, Number.NaN]]);
  });

  test('a message received after the boundary is not in the tick, even if the timer is late', () => {
    const { frames, ticks } = assembler(grid);
    frames.accept(0, 100, said(noTime, 1, 1));
    frames.accept(0, 1001, said(noTime, 2, 2));
    frames.advance(1005);
    expect(ticks).toEqual([[1000, 1, 1]]);
  });
});

test('advance does nothing when each message is a tick', () => {
  const { frames, ticks } = assembler();
  frames.accept(0, 1, said(noTime, 1, 1));
  frames.advance(1e9);
  expect(ticks).toHaveLength(1);
});
