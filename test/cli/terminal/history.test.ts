import { describe, expect, it } from 'vitest';
import { History } from '../../../src/cli/terminal/history.ts';

describe('History', () => {
  it('sums and averages so many ticks per column, oldest first', () => {
    const history = new History(3, 2, 2);
    for (let tick = 1; tick <= 5; tick++) {
      history.nextTick();
      history.add(0, tick);
      history.add(1, 10);
    }
    expect(history.sums(0)).toEqual([3, 7, 5]);
    expect(history.means(0)).toEqual([1.5, 3.5, 5]);
    expect(history.means(1)).toEqual([10, 10, 10]);
  });

  it('forgets the oldest column, and knows nothing of columns without ticks', () => {
    const history = new History(2, 1, 1);
    expect(history.sums(0)).toEqual([Number.NaN, Number.NaN]);
    for (let tick = 1; tick <= 7; tick++) {
      history.nextTick();
      history.add(0, tick);
    }
    expect(history.sums(0)).toEqual([6, 7]);
  });

  it('passes on an unknown value', () => {
    const history = new History(1, 2, 1);
    history.nextTick();
    history.add(0, Number.NaN);
    expect(history.means(0)).toEqual([Number.NaN]);
  });

  it('refuses sizes that hold nothing', () => {
    expect(() => new History(0, 1, 1)).toThrow(RangeError);
    expect(() => new History(1, 0.5, 1)).toThrow(RangeError);
  });
});
