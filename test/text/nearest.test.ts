import { describe, expect, it } from 'vitest';
import { didYouMean, nearestName } from '../../src/text/nearest.ts';

describe('nearestName', () => {
  it.each([
    ['inspct', 'inspect'],
    ['insp', 'inspect'],
    ['Demo', 'demo'],
    ['trian', 'train'],
    ['zzzzz', undefined],
    ['', undefined],
  ])('%j -> %j', (typed, expected) => {
    expect(nearestName(typed, ['run', 'demo', 'train', 'inspect'])).toBe(expected);
  });
});

it('asks whether that was meant, or says nothing', () => {
  expect(didYouMean('intervalMs', ['name', 'intervalS'])).toBe('; did you mean "intervalS"?');
  expect(didYouMean('zzzzz', ['name', 'intervalS'])).toBe('');
});
