/** The short golden hashes with every kernel that runs here; `npm run runtimes` does the long ones everywhere. */
import { expect, test } from 'vitest';
import { goldenHash, goldenSets } from '../../src/bench/golden.ts';
import { isTrusted, kernelNames } from '../../src/engine/kernels/choose.ts';
import golden from '../vectors/golden.json' with { type: 'json' };

const [short] = golden.vectors;
const cases = kernelNames.filter(isTrusted).flatMap((kernels) => goldenSets.map((set) => ({ kernels, set })));

test.each(cases)('1000 steps of mixed plans, $set, with the $kernels kernels', ({ kernels, set }) => {
  const told: number[] = [];
  expect(short!.steps).toBe(1000);
  expect(goldenHash(1000, { kernels, set, onProgress: (share) => told.push(share) })).toBe(
    short!.sha256[set],
  );
  expect(told.at(-1)).toBe(1);
});

test('goldens only grow: the first ones are as they always were', () => {
  expect(golden.vectors.map(({ sha256 }) => sha256.first)).toEqual([
    'e11f4c9aac980ec550a6a6e88af7731b6fc9e892f869d713cc9251b812449911',
    'c457a089ad3627efe62defe39b098c6475dd2f33c43daf974646b798f574147f',
  ]);
});

test('another number of steps has another hash', () => {
  for (const set of goldenSets) expect(goldenHash(900, { set })).not.toBe(short!.sha256[set]);
});
