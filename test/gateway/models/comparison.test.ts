import { describe, expect, test } from 'vitest';
import type { Task } from '../../../src/engine/model.ts';
import { type Answer, Comparison } from '../../../src/gateway/models/comparison.ts';
import { Output } from '../../../src/gateway/output.ts';
import { tinyModel } from '../../engine/tiny-model.ts';

const thresholds = {
  agreementMin: 0.9,
  alarmsMax: 0.05,
  skipDropMax: 0.25,
  slowerMax: 4,
  stepMsMax: 100,
  forecastTolerance: 0.5,
};

interface Said {
  readonly class?: number;
  readonly anomaly?: boolean;
  readonly values?: readonly number[];
  readonly tier?: 0 | 3;
  readonly tookMs?: number;
}

function compare(task: Task, ticks: number, say: (tick: number) => readonly [Said, Said]): Comparison {
  const { meaning: tiny } = tinyModel();
  const meaning = { ...tiny, task };
  const comparison = new Comparison(meaning, thresholds);
  const outputs = [new Output(meaning), new Output(meaning)] as const;
  const answer = (said: Said, output: Output): Answer => {
    output.classIndex = said.class ?? -1;
    output.anomaly = said.anomaly ?? false;
    output.values.set(said.values ?? []);
    return { witness: { tier: said.tier ?? 0 }, output, tookMs: said.tookMs ?? 1 };
  };
  for (let tick = 0; tick < ticks; tick++) {
    const [trusted, judged] = say(tick);
    comparison.note(answer(trusted, outputs[0]), answer(judged, outputs[1]));
  }
  return comparison;
}

const classify: Task = { kind: 'classify', classes: ['empty', 'occupied'] };
const anomaly: Task = { kind: 'anomaly', threshold: 3 };
const forecast: Task = { kind: 'forecast', horizon: 2 };

describe('agreement', () => {
  test('classes, just enough and just too few', () => {
    const differing = (wrong: number) =>
      compare(classify, 100, (tick) => [{ class: 1 }, { class: tick < wrong ? 0 : 1 }]);
    expect(differing(10).problem()).toBeUndefined();
    expect(differing(11).problem()).toBe('agreement: expected at 90 % of 100 ticks at least, got 89 %');
    expect(differing(11).report()).toMatchObject({ ticks: 100, tokens: 100, agreement: 0.89 });
  });

  test('classes, each counting the same: one that always says the commonest is found out', () => {
    const constant = (rare: number) =>
      compare(classify, 1000, (tick) => [{ class: tick < rare ? 1 : 0 }, { class: 0 }]);
    expect(constant(19).problem()).toBeUndefined();
    expect(constant(19).answers).toBe(1);
    expect(constant(20).answers).toBe(2);
    expect(constant(20).problem()).toBe(
      'agreement, each class counting the same: expected 90 % at least, got 50 %',
    );
    expect(constant(20).report()).toMatchObject({ agreement: 0.98, balancedAgreement: 0.5 });
    expect(compare(anomaly, 5, () => [{}, {}]).report().balancedAgreement).toBeNull();
  });

  test('forecasts, by the scales of their channels (2 each)', () => {
    const off = (by: number) =>
      compare(forecast, 10, () => [{ values: [1, 2, 3, 4] }, { values: [1 + by, 2, 3, 4 - by] }]);
    expect(off(2).problem()).toBeUndefined();
    expect(off(2.1).problem()).toContain('agreement');
  });

  test('lately: the last 256 ticks alone', () => {
    const turning = (wrong: number) =>
      compare(classify, 1000, (tick) => [{ class: 1 }, { class: tick >= 1000 - wrong ? 0 : 1 }]);
    expect(turning(25).recentProblem()).toBeUndefined();
    expect(turning(26).recentProblem()).toContain('of 256 ticks');
    expect(turning(26).problem()).toBeUndefined();
    expect(compare(classify, 255, () => [{ class: 1 }, { class: 0 }]).recentProblem()).toBeUndefined();
  });
});

test('alarms: more, and fewer', () => {
  const raising = (before: number, now: number) =>
    compare(anomaly, 100, (tick) => [{ anomaly: tick < before }, { anomaly: tick < now }]);
  expect(raising(2, 7).problem()).toBeUndefined();
  expect(raising(2, 8).problem()).toBe('alarms: expected within 5 % of 2 % of the ticks, got 8 %');
  expect(raising(8, 2).problem()).toBe('alarms: expected within 5 % of 8 % of the ticks, got 2 %');
});

test('skips: fewer count, more do not', () => {
  const skipping = (before: number, now: number) =>
    compare(classify, 100, (tick) => [{ tier: tick < before ? 3 : 0 }, { tier: tick < now ? 3 : 0 }]);
  expect(skipping(90, 65).problem()).toBeUndefined();
  expect(skipping(90, 64).problem()).toBe(
    'skips: expected at most 25 % fewer than 90 % of the ticks, got 64 %',
  );
  expect(skipping(10, 90).problem()).toBeUndefined();
});

test('steps: medians of those that were computed; times too short to be told are no problem', () => {
  const taking = (before: number, now: number) =>
    compare(classify, 101, (tick) => [
      { tookMs: before },
      { tookMs: tick === 50 ? 1000 : now, tier: tick < 40 ? 3 : 0 },
    ]);
  expect(taking(1, 4).problem()).toBeUndefined();
  expect(taking(1, 4.1).problem()).toBe(
    'steps: expected at most 4 times as long as before (1 ms), got 4.1 ms',
  );
  expect(taking(90, 101).problem()).toBe('steps: expected at most 100 ms, got 101 ms');
  expect(taking(0, 0.0009).problem()).toBeUndefined();
  expect(taking(0, 0).problem()).toBeUndefined();
  expect(compare(classify, 10, () => [{ tier: 3 }, { tier: 3 }]).problem()).toBeUndefined();
});

test('without a tick nothing is said', () => {
  const none = compare(classify, 0, () => [{}, {}]);
  expect(none.problem()).toBeUndefined();
  expect(none.report()).toMatchObject({ ticks: 0, tokens: 0, stepMs: { trusted: null, judged: null } });
});
