import { expect, test } from 'vitest';
import { coherence } from '../../src/bench/coherence.ts';

test('coherence: each size once with every watch, bounds deciding most ticks', async () => {
  const results = await coherence({ rounds: 1, sliceMs: 2, quick: true });
  expect(results.map((line) => line.case)).toEqual(
    [5, 16].flatMap((count) =>
      [
        'correlations alone',
        'lambda for policy steady',
        'lambda for policy conservative',
        'lambda exactly',
        'lambda exactly, and drift',
      ].map((what) => `${count} channels, ${what}`),
    ),
  );
  for (const line of results) {
    expect(line).toMatchObject({ suite: 'coherence', unit: 'us' });
    expect(line.median).toBeGreaterThan(0);
    if (line.case.includes('exactly')) expect(line.exactShare).toBe(1);
    if (line.case.includes('steady')) expect(line.exactShare).toBeLessThan(0.5);
    if (line.case.includes('alone')) expect(line.exactShare).toBeNull();
  }
});
