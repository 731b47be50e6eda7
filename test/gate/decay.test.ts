import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Decay, factorOfHalfLife, wholeIntervals, wholePower } from '../../src/gate/decay.ts';
import { SEED } from './fixtures.ts';

function powerOf(base: number, intervals: number): number {
  const out = new Float64Array(1);
  wholePower(base, intervals, out);
  return out[0]!;
}

describe('decay', () => {
  it('halves in one half-life, exactly for 1 and 2', () => {
    expect(factorOfHalfLife(1)).toBe(0.5);
    expect(factorOfHalfLife(2)).toBeCloseTo(Math.SQRT1_2, 15);
    for (const halfLife of [3, 16, 30, 60, 1000]) {
      expect(powerOf(factorOfHalfLife(halfLife), halfLife)).toBeCloseTo(0.5, 12);
    }
  });

  it('powers like repeated multiplication', () => {
    const power = fc.record({ base: fc.double({ min: 0.5, max: 1, noNaN: true }), count: fc.nat(200) });
    fc.assert(
      fc.property(power, ({ base, count }) => {
        let product = 1;
        for (let index = 0; index < count; index++) product *= base;
        expect(powerOf(base, count)).toBeCloseTo(product, 10);
      }),
      { seed: SEED },
    );
  });

  it('forgets half in a half-life and nothing in no time', () => {
    const decay = new Decay(16);
    const left = [0, 16, 32, 2 ** 20].map((intervals) => {
      decay.forget(intervals);
      return decay.left[0]!;
    });
    [1, 0.5, 0.25, 0].forEach((expected, index) => {
      expect(left[index]).toBeCloseTo(expected, 12);
    });
  });

  it('counts the nearest whole interval and never more than it can', () => {
    expect([0, 0.49, 0.5, 59 / 60, 61 / 60, 1.5, 1e300].map(wholeIntervals)).toEqual([
      0,
      0,
      1,
      1,
      1,
      2,
      2 ** 20,
    ]);
  });

  it.each([0, 1.5, -1, Number.NaN, 2 ** 21])('refuses a half-life of %s', (halfLife) => {
    expect(() => factorOfHalfLife(halfLife)).toThrow(RangeError);
  });
});
