/** The corrected reading of the prototype's claims, against numbers worked out by hand. */
import { describe, expect, test } from 'vitest';
import { summarise } from '../../src/bench/harness.ts';
import { claims, MIX, mixMeanUs, mixture, readings, sequenceMacs } from '../../src/bench/prototype.ts';

const times = (count: number, us: number) => summarise(new Float64Array(count).fill(us));

describe('what the claims say once counted', () => {
  test('its own latencies give another mean than it states', () => {
    expect(mixMeanUs(claims.micro)).toBeCloseTo(302.8, 6);
    expect(mixMeanUs(claims.baseline)).toBeCloseTo(1147.2, 6);
    expect(MIX.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 12);
  });

  test('a whole sequence is 12.7 and 203 million multiply-accumulates, and tier 1 a quarter of them', () => {
    // 32 tokens x 2 layers x 12 x 128^2, and 228 positions x 2 layers x 2 x 128.
    expect(sequenceMacs('micro', 0)).toBe(32 * 2 * 12 * 128 ** 2 + 228 * 2 * 2 * 128);
    expect(sequenceMacs('baseline', 0) / 1e6).toBeCloseTo(203, 0);
    expect(sequenceMacs('baseline', 1) / sequenceMacs('baseline', 0)).toBeCloseTo(0.25, 2);
  });

  test('the p99 of its mixture lies in tier 0, not in the mean of the p99s', () => {
    const mixed = mixture([times(10, 1000), times(1000, 400), times(3, 99), times(50, 20)], MIX);
    expect(mixed.medianUs).toBe(400);
    expect(mixed.p99Us).toBe(1000);
    const halves = mixture([summarise(Float64Array.of(1, 2, 3, 4)), times(1, 10)], [0.5, 0.5]);
    expect([0.1, 0.3, 0.45, 0.6].map((share) => halves.sortedUs[share * halves.samples])).toEqual([
      1, 3, 4, 10,
    ]);
  });

  test('is told beside what was measured', () => {
    const lines = readings([]);
    expect(lines.join('\n')).toContain('4 x apart in claimed time but 16.0 x in multiply-accumulates');
    expect(lines.join('\n')).toContain(
      '25 % of the work if the window is computed anew, 50 % with a KV cache',
    );
    expect(lines.join('\n')).toContain('baseline 1238 us, where its own times give 1147.2 us');
    expect(lines.join('\n')).not.toMatch(/NaN|undefined/);
  });
});
