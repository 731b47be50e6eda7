import fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeExponentTable, round } from '../../src/engine/integer.ts';

test('round is to nearest, ties to even', () => {
  expect([0.5, 1.5, 2.5, -0.5, -1.5, 2.4999, 2.5001, -7.5].map(round)).toEqual(
    [0, 2, 2, -0, -2, 2, 3, -8].map((x) => x + 0),
  );
  fc.assert(
    fc.property(fc.double({ min: -(2 ** 40), max: 2 ** 40, noNaN: true }), (value) => {
      expect(Number.isInteger(round(value))).toBe(true);
      expect(Math.abs(round(value) - value)).toBeLessThanOrEqual(0.5);
    }),
    { seed: 20261124 },
  );
});

test('a requantisation rounds once: the product is exact', () => {
  // Against exact rational arithmetic: multiplier = mantissa x 2^exponent.
  fc.assert(
    fc.property(
      fc.integer({ min: -(2 ** 28) + 1, max: 2 ** 28 - 1 }),
      fc.integer({ min: 2 ** 23, max: 2 ** 24 - 1 }),
      fc.integer({ min: 24, max: 50 }),
      (accumulator, mantissa, shift) => {
        const multiplier = mantissa / 2 ** shift;
        expect(Math.fround(multiplier)).toBe(multiplier);
        const product = BigInt(accumulator) * BigInt(mantissa);
        const unit = 1n << BigInt(shift);
        const floor = product >> BigInt(shift);
        const twice = 2n * (product - floor * unit);
        const exact = twice > unit || (twice === unit && floor % 2n !== 0n) ? floor + 1n : floor;
        expect(BigInt(round(accumulator * multiplier))).toBe(exact);
      },
    ),
    { seed: 20261124, numRuns: 2000 },
  );
});

test('the exponent table is 2^(-i/256) in Q16', () => {
  const table = makeExponentTable();
  for (let i = 0; i < 256; i++) expect(Math.abs(table[i]! - 65536 * 2 ** (-i / 256))).toBeLessThan(0.51);
});
