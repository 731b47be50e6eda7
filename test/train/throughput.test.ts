import { expect, it } from 'vitest';
import { measureThroughput } from '../../src/train/throughput.ts';

it('is content with two steps of one shard where all of them would take too long', async () => {
  let ms = 0;
  const clock = () => (ms += 100);
  const found = await measureThroughput(3, clock, 1199);
  // 8 sequences of 32 tokens in a tenth of a second, instead of 8 times as many in 12 steps.
  expect(found).toMatchObject({ steps: 2, floatTokensPerSecond: 2560, quantisedTokensPerSecond: 2560 });
});
