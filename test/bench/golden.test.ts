/** The short golden hash with every kernel that runs here; `npm run runtimes` does the long one everywhere. */
import { expect, test } from 'vitest';
import { goldenHash } from '../../src/bench/golden.ts';
import { isTrusted, kernelNames } from '../../src/engine/kernels/choose.ts';
import golden from '../vectors/golden.json' with { type: 'json' };

const [short] = golden.vectors;

test.each(kernelNames.filter(isTrusted))('1000 steps of mixed plans with the %s kernels', (kernels) => {
  const told: number[] = [];
  expect(short!.steps).toBe(1000);
  expect(goldenHash(1000, kernels, (share) => told.push(share))).toBe(short!.sha256);
  expect(told.at(-1)).toBe(1);
});

test('another number of steps has another hash', () => {
  expect(goldenHash(900)).not.toBe(short!.sha256);
});
