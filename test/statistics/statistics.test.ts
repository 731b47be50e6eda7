import { describe, expect, it } from 'vitest';
import {
  covariance,
  fillForward,
  fitStandardiser,
  knownMeans,
  median,
  quantile,
  standardise,
} from '../../src/statistics/statistics.ts';

describe('statistics', () => {
  it('standardises each column', () => {
    const table = Float64Array.of(1, 10, 3, 30);
    const standardiser = fitStandardiser(table, 2);
    expect([...standardiser.mean]).toEqual([2, 20]);
    expect([...standardiser.deviation]).toEqual([1, 10]);
    expect([...standardise(table, standardiser)]).toEqual([-1, -1, 1, 1]);
  });

  it('leaves a column that never changes at zero', () => {
    const table = Float64Array.of(0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1);
    expect([...standardise(table, fitStandardiser(table, 1))].every((z) => Math.abs(z) < 1e-12)).toBe(true);
  });

  it('gives the covariance', () => {
    const table = Float64Array.of(1, 2, 3, 6);
    expect([...covariance(table, 2)]).toEqual([1, 2, 2, 4]);
  });

  it('interpolates quantiles', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(quantile([0, 10], 0.99)).toBeCloseTo(9.9, 12);
    expect(quantile([7], 0.3)).toBe(7);
  });

  it('fills unknown values with the last known one, and before that with the start', () => {
    const values = Float64Array.of(Number.NaN, 1, 5, Number.NaN, Number.NaN, 2);
    expect([...fillForward(values, [9, 9])]).toEqual([9, 1, 5, 1, 5, 2]);
  });

  it('takes means of what is known', () => {
    expect([...knownMeans(Float64Array.of(1, Number.NaN, 3, Number.NaN), 2)]).toEqual([2, 0]);
  });
});
