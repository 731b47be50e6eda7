import { expect, test } from 'vitest';
import { WrongTokens } from '../../../src/gateway/http/wrong-tokens.ts';

test('ten wrong tokens in a minute, and an address has to wait until the minute is over; others need not', () => {
  let nowMs = 0;
  const tokens = new WrongTokens(() => nowMs);
  for (let wrong = 0; wrong < 9; wrong++) tokens.add('a');
  expect(tokens.waitS('a')).toBe(0);
  nowMs = 20_500;
  tokens.add('a');
  expect(tokens.waitS('a')).toBe(40);
  expect(tokens.waitS('b')).toBe(0);
  nowMs = 60_000;
  expect(tokens.waitS('a')).toBe(0);
  for (let wrong = 0; wrong < 9; wrong++) tokens.add('a');
  expect(tokens.waitS('a')).toBe(0);
});

test('the latest addresses are remembered', () => {
  const tokens = new WrongTokens(() => 0);
  for (let wrong = 0; wrong < 10; wrong++) tokens.add('first');
  for (let other = 0; other < 255; other++) tokens.add(`other ${other}`);
  expect(tokens.waitS('first')).toBe(60);
  tokens.add('one more');
  expect(tokens.waitS('first')).toBe(0);
});
