import fc from 'fast-check';
import { expect, test } from 'vitest';
import { binomialTail, binomialUpperBound } from '../../src/statistics/binomial.ts';

function choose(n: number, k: number): number {
  let product = 1;
  for (let i = 0; i < k; i++) product *= (n - i) / (i + 1);
  return product;
}

test('the tail is the sum of its terms', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 30 }),
      fc.nat(30),
      fc.double({ min: 0.01, max: 0.99, noNaN: true }),
      (n, k, p) => {
        let sum = 0;
        for (let i = 0; i <= Math.min(k, n); i++) sum += choose(n, i) * p ** i * (1 - p) ** (n - i);
        expect(binomialTail(k, n, p)).toBeCloseTo(Math.min(1, sum), 9);
      },
    ),
    { seed: 20261124 },
  );
  expect(binomialTail(3, 20_000, 0.01)).toBeGreaterThanOrEqual(0);
});

test('the upper bound of none in n is 1 - significance^(1/n), the rule of three', () => {
  expect(binomialUpperBound(0, 300, 0.05)).toBeCloseTo(1 - 0.05 ** (1 / 300), 9);
  expect(binomialUpperBound(5, 5, 0.05)).toBe(1);
  const bound = binomialUpperBound(4, 100, 0.05);
  expect(binomialTail(4, 100, bound)).toBeCloseTo(0.05, 6);
});
