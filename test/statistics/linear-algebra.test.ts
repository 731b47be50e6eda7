import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  cholesky,
  eigenSymmetric,
  solveCholesky,
  squaredDistance,
} from '../../src/statistics/linear-algebra.ts';

/** B B' + I, which is positive definite. */
function positiveDefinite(entries: readonly number[], n: number): Float64Array {
  const matrix = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      matrix[i * n + j] = i === j ? 1 : 0;
      for (let k = 0; k < n; k++) matrix[i * n + j]! += entries[i * n + k]! * entries[j * n + k]!;
    }
  }
  return matrix;
}

function multiply(matrix: Float64Array, x: ArrayLike<number>, n: number): Float64Array {
  return Float64Array.from({ length: n }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += matrix[i * n + j]! * x[j]!;
    return sum;
  });
}

const n = 5;
const entry = fc.double({ min: -3, max: 3, noNaN: true });
const entries = fc.array(entry, { minLength: n * n, maxLength: n * n });
const vector = fc.array(entry, { minLength: n, maxLength: n });

function expectClose(got: ArrayLike<number>, expected: ArrayLike<number>): void {
  for (let i = 0; i < expected.length; i++) expect(got[i]).toBeCloseTo(expected[i]!, 7);
}

describe('cholesky', () => {
  it('solves what was multiplied', () => {
    fc.assert(
      fc.property(entries, vector, (values, x) => {
        const matrix = positiveDefinite(values, n);
        const b = multiply(matrix, x, n);
        solveCholesky(cholesky(matrix, n), n, b);
        expectClose(b, x);
      }),
      { seed: 4 },
    );
  });

  it('measures v A^-1 v', () => {
    fc.assert(
      fc.property(entries, vector, (values, v) => {
        const lower = cholesky(positiveDefinite(values, n), n);
        const x = Float64Array.from(v);
        solveCholesky(lower, n, x);
        const expected = x.reduce((sum, value, i) => sum + value * v[i]!, 0);
        expect(squaredDistance(lower, n, Float64Array.from(v), new Float64Array(n))).toBeCloseTo(expected, 7);
      }),
      { seed: 5 },
    );
  });

  it('refuses a matrix that is not positive definite', () => {
    expect(() => cholesky(Float64Array.of(1, 2, 2, 1), 2)).toThrow('a positive definite matrix');
  });
});

describe('eigenSymmetric', () => {
  it('knows a small one by hand', () => {
    const { values, vectors } = eigenSymmetric(Float64Array.of(2, 1, 1, 2), 2);
    expectClose(values, [3, 1]);
    expect(Math.abs(vectors[0]! + vectors[1]!)).toBeCloseTo(Math.SQRT2, 12);
  });

  it('gives orthonormal vectors with A v = lambda v, largest first', () => {
    fc.assert(
      fc.property(entries, (values) => {
        const matrix = positiveDefinite(values, n);
        const eigen = eigenSymmetric(matrix, n);
        for (let i = 0; i < n; i++) {
          const v = eigen.vectors.subarray(i * n, (i + 1) * n);
          expectClose(
            multiply(matrix, v, n),
            v.map((x) => x * eigen.values[i]!),
          );
          if (i > 0) expect(eigen.values[i]!).toBeLessThanOrEqual(eigen.values[i - 1]!);
          for (let j = 0; j <= i; j++) {
            const w = eigen.vectors.subarray(j * n, (j + 1) * n);
            expect(v.reduce((sum, x, k) => sum + x * w[k]!, 0)).toBeCloseTo(i === j ? 1 : 0, 9);
          }
        }
      }),
      { seed: 6 },
    );
  });
});
