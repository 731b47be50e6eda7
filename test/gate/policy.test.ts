import { describe, expect, it } from 'vitest';
import {
  NEVER,
  type Policy,
  policyByHash,
  policyHash,
  policyNames,
  policyOf,
  steadyPolicy,
} from '../../src/gate/policy.ts';

describe('policyOf', () => {
  it('knows the policies by name', () => {
    expect(policyNames).toEqual(['steady', 'prototype', 'events', 'energy', 'conservative', 'aggressive']);
    expect(policyNames.map((name) => policyOf(name).name)).toEqual(policyNames);
  });

  it('takes a policy of one’s own', () => {
    const own: Policy = { ...steadyPolicy, name: 'own', dwellTicks: 3, spikeRateMaxQ15: NEVER };
    expect(policyOf(own)).toBe(own);
  });

  it.each(['', 'toString', 'Steady'])('refuses the name %j', (name) => {
    expect(() => policyOf(name as 'steady')).toThrow(
      /policy: expected one of steady, prototype, events, energy, conservative, aggressive, got/,
    );
  });

  it.each([
    [{ relaxSamples: -1 }, /policy.relaxSamples: expected a number >= 0, got -1/],
    [{ dwellTicks: Number.NaN }, /policy.dwellTicks: expected a number >= 0, got NaN/],
    [{ compute: 'never' }, /policy.compute: expected one of full, followsTrust, .*, got never/],
    [{ spikeRateMaxQ15: 40000 }, /policy.spikeRateMaxQ15: expected at most 32767, got 40000/],
    [{ lambdaFreezeEnterQ15: 5000 }, /policy.lambdaFreezeLeaveQ15: expected at least 5000, where it enters/],
  ])('refuses %j', (change, message) => {
    expect(() => policyOf({ ...steadyPolicy, ...(change as Partial<Policy>) })).toThrow(message);
  });

  it('tells policies apart by their hash', () => {
    const hashes = policyNames.map((name) => policyHash(policyOf(name)));
    expect(new Set(hashes).size).toBe(hashes.length);
    for (const [index, hash] of hashes.entries()) expect(policyByHash(hash)?.name).toBe(policyNames[index]);
    expect(policyByHash(policyHash({ ...steadyPolicy, dwellTicks: 11 }))).toBeUndefined();
  });

  it('keeps the hysteresis of 0.8 to 0.9 in every shipped pair of thresholds', () => {
    for (const policy of policyNames.map(policyOf)) {
      expect(policy.leaveQ15 / 32767).toBeCloseTo(8 / 9, 4);
      for (const rule of ['Freeze', 'Quarantine'] as const) {
        const ratio = (policy[`lambda${rule}EnterQ15`] || 8) / (policy[`lambda${rule}LeaveQ15`] || 9);
        expect(ratio).toBeCloseTo(8 / 9, 3);
      }
    }
  });
});
