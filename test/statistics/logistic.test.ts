import { describe, expect, it } from 'vitest';
import { fitIsotonic, largerOf, stepAt } from '../../src/statistics/isotonic.ts';
import { fitLogistic, logOdds } from '../../src/statistics/logistic.ts';
import { randomNumbers } from '../engine/tiny-model.ts';

describe('fitLogistic', () => {
  it('equals the closed form on one binary column: the log odds of each side', () => {
    const rows = [
      ...Array(30).fill([0, 1]),
      ...Array(70).fill([0, 0]),
      ...Array(45).fill([1, 1]),
      ...Array(15).fill([1, 0]),
    ];
    const fit = fitLogistic(
      Float64Array.from(rows, ([x]) => x),
      rows.map(([, y]) => y),
      1,
      1e-6,
    );
    expect(fit.bias).toBeCloseTo(Math.log(30 / 70), 5);
    expect(fit.weights[0]).toBeCloseTo(Math.log(45 / 15) - Math.log(30 / 70), 5);
    expect(logOdds(fit, Float64Array.of(0, 1), 1)).toBeCloseTo(Math.log(3), 5);
  });

  it('finds the weights that made the labels, whatever the units', () => {
    const random = randomNumbers(3);
    const count = 20_000;
    const table = Float64Array.from({ length: 2 * count }, (_, i) =>
      i % 2 === 0 ? random() : 1000 * random(),
    );
    const labels = Array.from({ length: count }, (_, row) => {
      const odds = 2 * table[2 * row]! - 0.003 * table[2 * row + 1]! + 0.5;
      return random() < 1 / (1 + Math.exp(-odds)) ? 1 : 0;
    });
    const { weights, bias } = fitLogistic(table, labels, 2, 1e-3);
    expect(weights[0]).toBeCloseTo(2, 0);
    expect(weights[1]! * 1000).toBeCloseTo(-3, 0);
    expect(Math.abs(bias - 0.5)).toBeLessThan(0.15);
  });

  it('has a finite fit for separable rows, for one class and for a column that never moves', () => {
    const x = Float64Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? i : 7));
    const separable = fitLogistic(
      x,
      Array.from({ length: 20 }, (_, i) => (i < 10 ? 0 : 1)),
      2,
      0.1,
    );
    expect([...separable.weights, separable.bias].every(Number.isFinite)).toBe(true);
    expect(separable.weights[0]).toBeGreaterThan(0);
    expect(separable.weights[1]).toBeCloseTo(0, 12);
    const single = fitLogistic(x, Array(20).fill(0), 2, 0.1);
    expect(logOdds(single, x, 0)).toBeLessThan(-2);
    expect(Number.isFinite(single.bias)).toBe(true);
  });
});

describe('fitIsotonic', () => {
  it('is the least-squares fit that never falls: the pooled means, each smoothed', () => {
    const labels = [0, 0, 0, 0, 1, 0, 1, 0, 1, 1, 1, 1];
    const { scores, probabilities } = fitIsotonic([...labels.keys()], labels, 1, 100);
    // Pools 0000, 10, 10, 1111: 10 and 10 are equal, so they are one.
    expect(scores).toEqual([4, 8]);
    expect(probabilities).toEqual([1 / 6, 3 / 6, 5 / 6]);
    const steps = [-1, 3.9, 4, 7, 8, 99].map((score) => stepAt({ scores, probabilities }, score));
    expect(steps).toEqual([1, 1, 3, 3, 5, 5].map((sixths) => sixths / 6));
  });

  it('knows the larger of two', () => {
    const a = { scores: [1, 3], probabilities: [0.1, 0.2, 0.6] };
    const b = { scores: [2], probabilities: [0.15, 0.5] };
    const both = largerOf(a, b);
    expect(both).toEqual({ scores: [1, 2, 3], probabilities: [0.15, 0.2, 0.5, 0.6] });
  });

  it('keeps equal scores together, bins as large as asked, and steps below the most', () => {
    const random = randomNumbers(5);
    const scores = Array.from({ length: 5000 }, () => Math.floor(random() * 1000) / 1000);
    const labels = scores.map((score) => (random() < score ? 1 : 0));
    const fit = fitIsotonic(scores, labels, 20, 64);
    expect(fit.scores.length).toBeLessThan(64);
    expect(fit.probabilities.length).toBe(fit.scores.length + 1);
    for (const list of [fit.scores, fit.probabilities]) expect([...list].sort((a, b) => a - b)).toEqual(list);
    for (const score of [0.1, 0.3, 0.5, 0.7, 0.9])
      expect(Math.abs(stepAt(fit, score) - score)).toBeLessThan(0.08);
  });
});
