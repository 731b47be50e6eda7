import { describe, expect, test } from 'vitest';
import { type Judgement, Timeline } from '../../src/gateway/timeline.ts';

const hourMs = 3_600_000;
const weekMs = 168 * hourMs;
const begin = 1_700_000_000_000;

/** Sensors that send each `intervalMs`, whose clocks may be set; what is believed moves the last tick. */
class Senders {
  readonly judgements: Judgement[] = [];
  readonly #timeline: Timeline;
  readonly #intervalMs: number;
  #receivedMs = begin;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(intervalMs = 10_000, aheadMs = 300_000) {
    this.#intervalMs = intervalMs;
    this.#timeline = new Timeline(aheadMs, intervalMs);
  }

  /** Sends so many messages whose clocks are off by `offMs`. */
  send(count: number, offMs = 0): this {
    for (let i = 0; i < count; i++) this.say((this.#receivedMs += this.#intervalMs) + offMs);
    return this;
  }

  say(timeMs: number): this {
    const judgement = this.#timeline.judge(timeMs, this.#receivedMs, this.#lastMs, timeMs < this.#lastMs);
    this.judgements.push(judgement);
    if (judgement === 'on' || judgement === 'new') this.#lastMs = timeMs;
    return this;
  }

  /** Runs of equal judgements, such as `3 on, 1 ahead`. */
  get summary(): string {
    const runs: [Judgement, number][] = [];
    for (const judgement of this.judgements) {
      if (runs.at(-1)?.[0] === judgement) runs.at(-1)![1]++;
      else runs.push([judgement, 1]);
    }
    return runs.map(([judgement, count]) => `${count} ${judgement}`).join(', ');
  }
}

test('a single message from the future is not believed, and hurts nobody', () => {
  expect(
    new Senders()
      .send(3)
      .say(begin + weekMs)
      .send(3).summary,
  ).toBe('3 on, 1 ahead, 3 on');
});

test.each([
  ['two weeks back', -2 * weekMs, '5 on, 3 stale, 1 new, 6 on'],
  ['an hour back', -hourMs, '5 on, 3 stale, 1 new, 6 on'],
  ['an hour forward', hourMs, '5 on, 3 ahead, 1 new, 6 on'],
  ['a minute forward', 60_000, '15 on'],
])('clocks that are set %s are followed within a minute', (_, offMs, expected) => {
  expect(new Senders().send(5).send(10, offMs).summary).toBe(expected);
});

test('senders that were ahead from the beginning are followed when their clocks are set right', () => {
  expect(new Senders().send(5, weekMs).send(10).summary).toBe('5 on, 3 stale, 1 new, 6 on');
});

test('what a broker sends again in a burst is not taken for a new time', () => {
  const senders = new Senders().send(600);
  for (let i = 100; i < 600; i++) senders.say(begin + i * 10_000);
  expect(senders.send(3).summary).toBe('600 on, 500 stale, 3 on');
});

test('simulated time may run ahead of the clock by small steps', () => {
  const senders = new Senders();
  for (let i = 0; i < 1000; i++) senders.say(begin + i * 60_000);
  expect(senders.summary).toBe('1000 on');
});

test('a clock of ours that is two weeks behind does not make sensors that speak once an hour unheard', () => {
  expect(new Senders(hourMs).send(20, 2 * weekMs).summary).toBe('20 on');
});

test('old recordings are as good as new ones', () => {
  expect(new Senders().send(5, -1000 * weekMs).summary).toBe('5 on');
});

describe('a run is not believed', () => {
  test('while something on the timeline comes between', () => {
    const senders = new Senders().send(3);
    for (let i = 0; i < 10; i++) senders.send(1, weekMs).send(1);
    expect(senders.judgements.filter((judgement) => judgement === 'new')).toEqual([]);
  });

  test('when its time does not go on', () => {
    const senders = new Senders().send(3);
    for (let i = 0; i < 10; i++) senders.send(1, -weekMs - i * hourMs);
    expect(senders.summary).toBe('3 on, 10 stale');
  });
});
