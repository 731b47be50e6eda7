import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RunningMedian } from '../../src/gate/running-median.ts';
import { SEED } from './fixtures.ts';

describe('RunningMedian', () => {
  it('is the lower median of the last values, whatever came before', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.array(fc.integer({ min: 0, max: 20 })),
        (size, values) => {
          const running = new RunningMedian(size);
          expect(running.median).toBe(0);
          values.forEach((value, index) => {
            running.push(value);
            const recent = values.slice(Math.max(0, index + 1 - size), index + 1).sort((a, b) => a - b);
            expect(running.count).toBe(recent.length);
            expect(running.median).toBe(recent[(recent.length - 1) >> 1]);
          });
        },
      ),
      { seed: SEED },
    );
  });

  it('starts anew at reset', () => {
    const running = new RunningMedian(3);
    for (const value of [9, 9, 9]) running.push(value);
    running.reset();
    running.push(1);
    expect([running.count, running.median]).toEqual([1, 1]);
  });
});
