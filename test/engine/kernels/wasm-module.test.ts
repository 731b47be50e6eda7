/** What the build compresses comes out of the short loop that unpacks it. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
// @ts-expect-error: a script of the build, without types.
import { compress } from '../../../scripts/package/compress.mjs';
import { decompress } from '../../../src/engine/kernels/wasm-module.ts';

const runs = fc
  .array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 60 })), {
    maxLength: 12,
  })
  .map((parts) =>
    Uint8Array.from(
      parts.flatMap(([bytes, times]) =>
        Array(times)
          .fill([...bytes])
          .flat(),
      ),
    ),
  );

test('any bytes come back, repeated and not', () => {
  fc.assert(
    fc.property(fc.oneof(runs, fc.uint8Array({ maxLength: 600 })), (bytes) => {
      expect([...decompress(compress(bytes))]).toEqual([...bytes]);
    }),
    { seed: 20261124, numRuns: 200 },
  );
});

test('repetitions are small, also beyond what one token counts', () => {
  const bytes = new Uint8Array(5000).fill(7);
  expect(compress(bytes).length).toBeLessThan(50);
  expect([...decompress(compress(bytes))]).toEqual([...bytes]);
});
