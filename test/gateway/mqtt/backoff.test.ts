import { expect, test } from 'vitest';
import { Backoff } from '../../../src/gateway/mqtt/backoff.ts';

test('the ceiling doubles up to its maximum; the wait is anywhere below it', () => {
  const backoff = new Backoff(1000, 5000, () => 0.5);
  expect([1, 2, 3, 4, 5].map(() => backoff.nextMs())).toEqual([500, 1000, 2000, 2500, 2500]);
  backoff.reset();
  expect(backoff.nextMs()).toBe(500);
});

test('full jitter reaches from nothing to the ceiling', () => {
  expect(new Backoff(1000, 5000, () => 0).nextMs()).toBe(0);
  const nearlyOne = 1 - 2 ** -53;
  expect(new Backoff(1000, 5000, () => nearlyOne).nextMs()).toBeCloseTo(1000, 6);
});

test('slowed down it waits its longest at once', () => {
  const backoff = new Backoff(1000, 120_000, () => 0.5);
  backoff.slowDown();
  expect(backoff.nextMs()).toBe(60_000);
});

test('stays finite for ever', () => {
  const backoff = new Backoff(1000, 120_000, () => 0.5);
  for (let i = 0; i < 5000; i++) backoff.nextMs();
  expect(backoff.nextMs()).toBe(60_000);
});
