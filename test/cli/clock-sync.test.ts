import { describe, expect, test } from 'vitest';
import { answerOf, type ClockAnswer, ClockWatch } from '../../src/cli/clock-sync.ts';

const never = new Promise<never>(() => {});

/** A watch over answers in turn, the last of them for ever; quick, for tests. */
function watchOver(answers: readonly ClockAnswer[], waitAtMostMs = 10_000) {
  const told: string[] = [];
  let asked = 0;
  const ask = async () => answers[Math.min(asked++, answers.length - 1)];
  const log = { info: () => {}, warning: (text: string) => void told.push(text), error: () => {} };
  const watch = new ClockWatch(log, { ask, waitAtMostMs, askEachMs: 1, watchEachMs: 1 });
  return { watch, told, asked: () => asked };
}

describe('waiting for the clock', () => {
  test.each([[true], [undefined]])('does not wait when the answer is %s', async (answer) => {
    const { watch, told, asked } = watchOver([answer]);
    await watch.wait(never);
    expect([told, asked()]).toEqual([[], 1]);
  });

  test('waits until it is set, and then has nothing to watch for', async () => {
    const { watch, told, asked } = watchOver([false, false, true]);
    await watch.wait(never);
    expect(told).toEqual(['the clock is not synchronised yet; waiting for it']);
    watch.onSet(() => told.push('set'));
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect([told.length, asked()]).toEqual([1, 3]);
  });

  test('does not wait for ever, and tells once when it is set after all', async () => {
    const { watch, told } = watchOver([false, false, false, true], 0);
    await watch.wait(never);
    expect(told.at(-1)).toContain('times are wrong until it is set');
    const set = new Promise<void>((resolve) => watch.onSet(resolve));
    await set;
  });

  test('ends with the program', async () => {
    const { watch } = watchOver([false]);
    await watch.wait(Promise.resolve());
  });
});

test.each([
  ['yes\n', true],
  ['no\n', false],
  ['', undefined],
  [undefined, undefined],
])('timedatectl answering %j means %s', (text, answer) => expect(answerOf(text)).toBe(answer));
