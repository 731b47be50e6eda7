import { describe, expect, it } from 'vitest';
import { Q15_ONE } from '../../src/gate/packets.ts';
import {
  type RegretEvidence,
  RegretGate,
  regretFeatureNames,
  regretFeatures,
  regretModelOf,
} from '../../src/gate/regret.ts';
import { heapBytesPerCall, NOTHING_BYTES } from './fixtures.ts';

const evidence: RegretEvidence = {
  noveltyQ15: Q15_ONE,
  noveltyTypicalQ15: 8192,
  rateQ15: 0,
  firedCount: 1,
  channels: 4,
  ready: true,
  lambdaQ15: 5000,
  lambdaReferenceQ15: 10_000,
  elapsedIntervals: 3,
  doubtQ15: Q15_ONE,
};

function featuresOf(change: Partial<RegretEvidence> = {}): number[] {
  const out = new Float64Array(regretFeatureNames.length);
  regretFeatures({ ...evidence, ...change }, out);
  return [...out];
}

describe('regretFeatures', () => {
  it('are shares and capped multiples, from 0 to 1', () => {
    const [novelty, times, rate, fired, lambda, elapsed, doubt] = featuresOf();
    expect([novelty, rate, fired, lambda, elapsed, doubt]).toEqual([1, 0, 0.25, 0.25, 2 / 15, 1]);
    expect(times).toBeCloseTo(0.5, 3);
  });

  it('take the middle for a lambda that means nothing, and the most for a novelty that nothing compares with', () => {
    expect(featuresOf({ ready: false })[4]).toBe(0.5);
    expect(featuresOf({ lambdaReferenceQ15: 0 })[4]).toBe(0.5);
    expect(featuresOf({ lambdaQ15: Q15_ONE })[4]).toBe(1);
    expect(featuresOf({ noveltyTypicalQ15: 0 })[1]).toBe(1);
    expect(featuresOf({ noveltyTypicalQ15: 1 })[1]).toBe(1);
  });
});

const model = { weights: [0, 0, 0, 0, 0, 0, 2], bias: -1, scores: [-0.5, 0.5], probabilities: [0, 0.25, 1] };

describe('RegretGate', () => {
  it('maps the score through its steps', () => {
    const gate = new RegretGate(model);
    const at = (doubt: number) => gate.predict({ ...evidence, doubtQ15: Math.round(doubt * Q15_ONE) });
    expect([0, 0.2, 0.3, 0.7, 0.8, 1].map(at)).toEqual([0, 0, 8192, 8192, Q15_ONE, Q15_ONE]);
  });

  it('allocates nothing', () => {
    const gate = new RegretGate(model);
    const changing = { ...evidence };
    const sink = new Int32Array(1);
    const bytes = heapBytesPerCall((tick) => {
      changing.noveltyQ15 = tick & 32767;
      changing.doubtQ15 = (tick * 7) & 32767;
      sink[0]! += gate.predict(changing);
    });
    expect(bytes).toBeLessThan(NOTHING_BYTES);
  });
});

describe('regretModelOf', () => {
  it('finds what a model carries, or nothing', () => {
    expect(regretModelOf({ provenance: {} })).toBeUndefined();
    expect(regretModelOf({ provenance: { regret: { ...model, tolerance: 0.1 } } })).toEqual(model);
  });

  it.each([
    [null, /provenance.regret.weights: expected finite numbers/],
    [{ ...model, weights: [1] }, /weights: expected 7 numbers/],
    [{ ...model, bias: 'x' }, /bias: expected finite numbers/],
    [{ ...model, scores: [1, 0] }, /scores: expected up to 128 ascending numbers/],
    [{ ...model, probabilities: [0, 1] }, /probabilities: expected 3 numbers from 0 to 1 that never fall/],
    [{ ...model, probabilities: [0, 0.5, 0.4] }, /probabilities: expected 3 numbers/],
    [{ ...model, probabilities: [0, 0.5, 1.4] }, /probabilities: expected 3 numbers/],
  ])('refuses %j', (regret, message) => {
    expect(() => regretModelOf({ provenance: { regret } })).toThrow(message);
  });
});
