import { describe, expect, it } from 'vitest';
import { Alarm } from '../../../src/gateway/calibration/alarm.ts';
import { StateMeasure, StateReader, StateWriter } from '../../../src/gateway/state/state-bytes.ts';

const chart = { calibrationTicks: 400, levelHalfLife: 3, surpriseHalfLife: 3, release: 0.5 };
const recovery = { share: 0.4, halfLife: 20, intervals: 5 };

/** Whether it stands after each score; tokens are `intervals` apart. */
function standing(alarm: Alarm, scores: readonly number[], intervals = 1): boolean[] {
  return scores.map((score) => {
    alarm.wait(intervals);
    alarm.judge(Float64Array.of(score));
    return alarm.stands;
  });
}

const times = (count: number, score: number): number[] => Array(count).fill(score);

describe('an alarm', () => {
  it('without a chart stands from the threshold on, and not below it', () => {
    const alarm = new Alarm({ kind: 'anomaly', threshold: 2 });
    expect(standing(alarm, [1.9, 2, 3, 1.9, Number.NaN])).toEqual([false, true, true, false, false]);
  });

  it('with a chart is let go later than it is raised', () => {
    const alarm = new Alarm({ kind: 'anomaly', threshold: 2, chart });
    expect(standing(alarm, [1.9, 2, 1, 0.99, 1])).toEqual([false, true, true, false, false]);
  });

  it('without a recovery stands as long as the score is high, however much higher it was', () => {
    const alarm = new Alarm({ kind: 'anomaly', threshold: 2, chart });
    expect(standing(alarm, [...times(50, 100), ...times(50, 3)]).every(Boolean)).toBe(true);
    expect(alarm.hasRecovered).toBe(false);
  });
});

describe('an alarm of a plant that recovers', () => {
  const make = () => new Alarm({ kind: 'anomaly', threshold: 2, chart: { ...chart, recovery } });

  it('ends when the score has been low beside its average for long enough, and says so once', () => {
    const alarm = make();
    expect(standing(alarm, times(50, 100)).every(Boolean)).toBe(true);
    expect(standing(alarm, times(5, 3))).toEqual([true, true, true, true, false]);
    expect(alarm.hasRecovered).toBe(true);
    alarm.judge(Float64Array.of(0.1));
    expect(alarm.hasRecovered).toBe(false);
  });

  it('does not end by a pause, nor by a score that is not so low', () => {
    const alarm = make();
    standing(alarm, times(50, 100));
    expect(standing(alarm, [...times(4, 3), 100, ...times(4, 3), 100]).every(Boolean)).toBe(true);
    expect(standing(make(), [...times(50, 100), ...times(100, 60)]).every(Boolean)).toBe(true);
  });

  it('forgets how bad it was: what falls slowly goes on', () => {
    const alarm = make();
    const falling = Array.from({ length: 200 }, (_, tick) => 3 + 100 * 2 ** (-tick / 40));
    expect(standing(alarm, falling).every(Boolean)).toBe(true);
  });

  it('counts time, not tokens', () => {
    const alarm = make();
    standing(alarm, times(20, 100), 3);
    expect(standing(alarm, times(2, 3), 3)).toEqual([true, false]);
    const skipped = make();
    standing(skipped, times(50, 100));
    for (let tick = 0; tick < 5; tick++) skipped.wait(1);
    skipped.judge(Float64Array.of(3));
    expect(skipped.stands).toBe(false);
  });

  it('begins a new average with each alarm', () => {
    const alarm = make();
    standing(alarm, [...times(50, 100), 0.1]);
    expect(standing(alarm, times(20, 3)).every(Boolean)).toBe(true);
  });

  it('ends below the release as ever, and has not recovered then', () => {
    const alarm = make();
    expect(standing(alarm, [100, 0.9])).toEqual([true, false]);
    expect(alarm.hasRecovered).toBe(false);
  });

  it('is as new after a reset, and goes on from what was carried', () => {
    const alarm = make();
    standing(alarm, [...times(50, 100), ...times(3, 3)]);
    const measure = new StateMeasure();
    alarm.carry(measure);
    const bytes = Buffer.alloc(measure.bytes);
    alarm.carry(new StateWriter(bytes));
    const other = make();
    other.carry(new StateReader(bytes));
    expect(standing(other, times(2, 3))).toEqual(standing(alarm, times(2, 3)));
    expect(other.hasRecovered).toBe(true);
    alarm.reset();
    expect(standing(alarm, times(30, 3)).every(Boolean)).toBe(true);
  });
});
