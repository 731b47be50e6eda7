import { describe, expect, it } from 'vitest';
import { WriteBudget } from '../../../src/gateway/disk/write-budget.ts';

const dayMs = 86_400_000;

function make(bytesPerDay: number) {
  const now = { ms: 0 };
  return { now, budget: new WriteBudget(bytesPerDay, () => now.ms) };
}

describe('WriteBudget', () => {
  it('never lets more than its bytes through in any day', () => {
    const { now, budget } = make(1_000_000);
    const taken: number[] = [];
    for (; now.ms < 2 * dayMs; now.ms += 60_000) {
      let bytes = 0;
      while (budget.take(140, 'high')) bytes += 140;
      taken.push(bytes);
    }
    for (let from = 0; from + 1440 <= taken.length; from += 60) {
      const day = taken.slice(from, from + 1440).reduce((sum, each) => sum + each, 0);
      expect(day).toBeLessThanOrEqual(1_000_000);
    }
    expect(taken.reduce((sum, each) => sum + each, 0)).toBeGreaterThan(1_700_000);
  });

  it('keeps something back for what matters more', () => {
    const { budget } = make(4000);
    const drain = (importance: 'low' | 'medium' | 'high') => {
      let count = 0;
      while (budget.take(100, importance)) count++;
      return count;
    };
    expect([drain('low'), drain('medium'), drain('high')]).toEqual([5, 2, 3]);
    expect(budget.refused).toBe(3);
  });

  it('has no bound at 0', () => {
    const { budget } = make(0);
    for (let i = 0; i < 100_000; i++) expect(budget.take(1e6, 'low') || i).toBe(true);
  });
});
