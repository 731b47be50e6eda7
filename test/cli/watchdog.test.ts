import { describe, expect, test } from 'vitest';
import { ProgressCheck } from '../../src/cli/watchdog.ts';
import type { Vitals } from '../../src/gateway/service.ts';

const idle: Vitals = { waiting: 0, workedOff: 5, grid: undefined, silence: undefined };

/** Looks at each of `looks` in turn, `stepMs` apart, after having started at the first. */
function problemsOf(looks: readonly Vitals[], stepMs = 60_000): (string | undefined)[] {
  let index = 0;
  let nowMs = 0;
  const check = new ProgressCheck(
    () => looks[index]!,
    () => nowMs,
  );
  return looks.slice(1).map(() => {
    index++;
    nowMs += stepMs;
    return check.problem();
  });
}

describe('a progress check', () => {
  test('finds nothing wrong with a gateway that has nothing to do', () => {
    expect(problemsOf([idle, idle, idle])).toEqual([undefined, undefined]);
  });

  test('finds messages that wait and are not worked off', () => {
    const stuck = { ...idle, waiting: 3 };
    expect(problemsOf([idle, stuck, stuck])).toEqual([
      undefined,
      'has 3 messages waiting and works on none of them',
    ]);
  });

  test('does not mind that some always wait, as long as others are worked off', () => {
    const busy = (workedOff: number) => ({ ...idle, waiting: 1000, workedOff });
    expect(problemsOf([busy(1), busy(2), busy(900)])).toEqual([undefined, undefined]);
  });

  test('hands on what is wrong with the connection', () => {
    const silence = 'has not heard the broker for 90 s';
    expect(problemsOf([idle, { ...idle, silence }])).toEqual([silence]);
  });

  test('finds a grid whose ticks do not come, but gives each two intervals', () => {
    const grid = (turns: number) => ({ ...idle, grid: { turns, intervalMs: 60_000 } });
    const late = 'makes no ticks though they are due';
    expect(problemsOf([grid(1), grid(2), grid(2), grid(2), grid(2), grid(3)])).toEqual([
      undefined,
      undefined,
      undefined,
      late,
      undefined,
    ]);
  });
});
