/** The WebAssembly kernels that the gradient test does not pin down: every edge of the matrix product, AdamW, masks. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  gemmScratchWords,
  instantiateKernels,
  NN,
  NT,
  Regions,
  TN,
} from '../../src/train/kernels/kernels.ts';
import { Random } from '../../src/train/random.ts';

const seed = 905;

/** Memory with the given arrays in it. */
function place(...arrays: Float32Array[]) {
  const regions = new Regions();
  const places = arrays.map((array) => regions.words(array.length));
  const scratch = regions.words(gemmScratchWords(700));
  const memory = regions.memory();
  const views = arrays.map((array, index) => new Float32Array(memory.buffer, places[index]!, array.length));
  views.forEach((view, index) => {
    view.set(arrays[index]!);
  });
  return { kernels: instantiateKernels(memory), views, scratch };
}

function wholeNumbers(random: Random, count: number, max: number): Float32Array {
  return Float32Array.from({ length: count }, () => random.below(2 * max + 1) - max);
}

/** C += op(A) op(B), plainly. */
function product(
  form: number,
  m: number,
  n: number,
  k: number,
  a: Float32Array,
  b: Float32Array,
  c: Float32Array,
) {
  return c.map((start, i) => {
    const row = Math.floor(i / n);
    const column = i % n;
    let sum = start;
    for (let d = 0; d < k; d++) {
      sum += a[form === TN ? d * m + row : row * k + d]! * b[form === NT ? column * k + d : d * n + column]!;
    }
    return sum;
  });
}

describe('gemm', () => {
  it('is exact on whole numbers, for all forms and tails', () => {
    const size = fc.integer({ min: 1, max: 21 });
    const depth = fc.oneof(size, fc.integer({ min: 250, max: 530 }));
    fc.assert(
      fc.property(
        fc.constantFrom(NN, NT, TN),
        size,
        size,
        depth,
        fc.boolean(),
        fc.nat(),
        (form, m, n, k, add, key) => {
          const random = new Random(seed, key);
          const a = wholeNumbers(random, m * k, 127);
          const b = wholeNumbers(random, k * n, 127);
          const c = wholeNumbers(random, m * n, 1000);
          const { kernels, views, scratch } = place(a, b, c);
          const [pa, pb, pc] = views.map((view) => view.byteOffset) as [number, number, number];
          kernels.gemm(
            form,
            m,
            n,
            k,
            pa,
            form === TN ? m : k,
            pb,
            form === NT ? k : n,
            pc,
            n,
            add ? 1 : 0,
            scratch,
          );
          const expected = product(form, m, n, k, a, b, add ? c : c.map(() => 0));
          expect([...views[2]!]).toEqual([...expected]);
        },
      ),
      { seed, numRuns: 150 },
    );
  });

  it('is exact at the largest sums that quantised training makes', () => {
    const k = 1040;
    const { kernels, views, scratch } = place(
      new Float32Array(4 * k).fill(127),
      new Float32Array(8 * k).fill(-127),
      new Float32Array(32),
    );
    const [a, b, c] = views.map((view) => view.byteOffset) as [number, number, number];
    kernels.gemm(NT, 4, 8, k, a, k, b, k, c, 8, 0, scratch);
    expect(new Set(views[2])).toEqual(new Set([-127 * 127 * k]));
  });
});

it('steps AdamW as its formula says', () => {
  const random = new Random(seed);
  const arrays = Array.from({ length: 4 }, () => Float32Array.from({ length: 8 }, () => random.normal()));
  arrays[3] = arrays[3]!.map(Math.abs);
  const [parameter, gradient, first, second] = arrays as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const { kernels, views } = place(parameter, gradient, first, second);
  const [p, g, m, v] = views.map((view) => view.byteOffset) as [number, number, number, number];
  kernels.adamW(p, g, m, v, 8, 0.5, 0.01, 0.9, 0.98, 1e-8, 0.001);
  for (let i = 0; i < 8; i++) {
    const mean = 0.9 * first[i]! + 0.1 * 0.5 * gradient[i]!;
    const square = 0.98 * second[i]! + 0.02 * (0.5 * gradient[i]!) ** 2;
    expect(views[0]![i]!).toBeCloseTo(parameter[i]! * 0.999 - (0.01 * mean) / (Math.sqrt(square) + 1e-8), 5);
    expect(views[2]![i]!).toBeCloseTo(mean, 6);
    expect(views[3]![i]!).toBeCloseTo(square, 6);
  }
});

it('stops gradients where a value was clamped', () => {
  const { kernels, views } = place(
    Float32Array.of(-3, -2, -1.9, 0, 1.9, 2, 3, 0),
    new Float32Array(8).fill(1),
  );
  kernels.maskClipped(views[0]!.byteOffset, views[1]!.byteOffset, -2, 2, 8);
  expect([...views[1]!]).toEqual([0, 0, 1, 1, 1, 0, 0, 1]);
  const columns = place(Float32Array.of(1, -5, -1, 4), new Float32Array(4).fill(1), Float32Array.of(1, 5));
  const [x, dy, limits] = columns.views.map((view) => view.byteOffset) as [number, number, number];
  columns.kernels.maskColumns(x, dy, limits, 2, 2);
  expect([...columns.views[1]!]).toEqual([0, 0, 0, 1]);
});
