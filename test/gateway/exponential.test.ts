import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exponentiate } from '../../src/gateway/exponential.ts';

function exponential(x: number): number {
  const values = Float64Array.of(x);
  exponentiate(values);
  return values[0]!;
}

describe('exponentiate', () => {
  it('is e^x, to 12 digits', () => {
    fc.assert(
      fc.property(fc.double({ min: -700, max: 700, noNaN: true }), (x) => {
        expect(Math.abs(exponential(x) / Math.exp(x) - 1)).toBeLessThan(5e-13);
      }),
      { seed: 20260101 },
    );
    expect([exponential(0), exponential(-0)]).toEqual([1, 1]);
  });

  it('grows with x, clamps beyond 700 and keeps NaN', () => {
    expect(exponential(1e9)).toBe(exponential(700));
    expect(exponential(-1e9)).toBe(exponential(-700));
    expect(exponential(Number.NaN)).toBeNaN();
    for (let x = -700; x < 700; x += 0.37) expect(exponential(x + 0.37)).toBeGreaterThan(exponential(x));
  });

  it('keeps its bits: golden values', () => {
    expect([1, -1, 10, -0.001].map(exponential)).toMatchInlineSnapshot(`
      [
        2.718281828458697,
        0.36787944117145366,
        22026.46579480716,
        0.9990004998334132,
      ]
    `);
  });
});
