import { expect, test } from 'vitest';
import { digestOf, Redeliveries } from '../../../src/gateway/mqtt/redeliveries.ts';

test('a digest tells topics and payloads apart', () => {
  const digests = [
    ['a', '1'],
    ['b', '1'],
    ['a', '2'],
    ['a1', ''],
    ['', 'a1'],
  ].map(([topic, payload]) => digestOf(topic!, Buffer.from(payload!)));
  expect(new Set(digests).size).toBe(digests.length);
});

test('what was not acknowledged, or only just, is recognised once on the next connection', () => {
  const redeliveries = new Redeliveries(4);
  redeliveries.acknowledged(1, 0);
  redeliveries.acknowledged(2, 8000);
  redeliveries.expect(3);
  redeliveries.expect(3);
  redeliveries.lost(10_000);
  redeliveries.resumed(true, 11_000);
  const seen = [1, 2, 2, 3, 3, 3].map((digest) => redeliveries.recognise(digest, 11_000));
  expect(seen).toEqual([false, true, false, true, true, false]);
  expect(redeliveries.isEmpty).toBe(true);
});

test('a broker that has forgotten our session sends nothing again: the same words are news', () => {
  const redeliveries = new Redeliveries(4);
  redeliveries.expect(1);
  redeliveries.lost(0);
  redeliveries.resumed(false, 0);
  expect(redeliveries.recognise(1, 0)).toBe(false);
});

test('after a minute the same words are news', () => {
  const redeliveries = new Redeliveries(4);
  redeliveries.expect(1);
  redeliveries.lost(0);
  redeliveries.resumed(true, 0);
  expect(redeliveries.recognise(1, 60_001)).toBe(false);
});

test('remembers no more than its bound', () => {
  const redeliveries = new Redeliveries(4);
  for (let digest = 0; digest < 1000; digest++) redeliveries.expect(digest);
  redeliveries.resumed(true, 0);
  const recognised = Array.from({ length: 1000 }, (_, digest) => redeliveries.recognise(digest, 0));
  expect(recognised.filter(Boolean)).toHaveLength(16);
});
