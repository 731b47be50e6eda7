import { describe, expect, it } from 'vitest';
import { Engine } from '../../src/engine/engine.ts';
import { Controller, makeGateDecision } from '../../src/gate/controller.ts';
import { ExplainError, explain } from '../../src/gate/explain.ts';
import { Q15_ONE } from '../../src/gate/packets.ts';
import {
  conservativePolicy,
  eventsPolicy,
  policyNames,
  policyOf,
  prototypePolicy,
  steadyPolicy,
} from '../../src/gate/policy.ts';
import { makeSpikePacket } from '../../src/gate/spike-encoder.ts';
import { Witness } from '../../src/gate/witness.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { frameOf, randomOf } from './fixtures.ts';

const names = ['a', 'b', 'c', 'd', 'e', 'f'];
const regret = { weights: [0, 0, 0, 0, 0, 0, 1], bias: 0, scores: [0.3], probabilities: [0, 1] };

/** Channels that follow one factor, and come apart now and then. */
function* rows(ticks: number): Generator<number[]> {
  const random = randomOf(9);
  for (let tick = 0; tick < ticks; tick++) {
    const factor = 4 * random();
    const loose = tick % 700 > 500;
    const size = tick % 50 < 10 ? 3 : 1;
    yield names.map(
      (_, channel) => 20 + size * (loose && channel === 5 ? 4 * random() : factor) + 0.2 * random(),
    );
  }
}

describe('explain', () => {
  it.each(policyNames)('takes every decision of policy %s again from its witness alone', (name) => {
    for (const exactLambda of [false, true]) {
      const engine = new Engine(tinyModel({ channels: names }));
      const pipeline = new Pipeline(engine, 0, { policy: name, regret, exactLambda });
      const copy = new Witness();
      const view = new DataView(new ArrayBuffer(140));
      let tick = 0;
      let explained = 0;
      for (const row of rows(2200)) {
        pipeline.tick(frameOf(row, tick++ * 1000)).encode(view, 0);
        if (tick % 11 > 0) continue;
        copy.decode(view, 0);
        const { decision, rules, notches, why } = explain(copy, policyOf(name));
        expect(decision).toEqual({ tier: copy.tier, trust: copy.trust, reason: copy.reason });
        expect(why.length).toBeGreaterThan(10);
        if (copy.tier === 3) continue;
        explained++;
        expect(rules.length).toBe(8 + 6);
        expect(notches.filter((notch) => notch.changes).every((notch) => notch.what !== '')).toBe(true);
      }
      expect(explained).toBeGreaterThan(100);
    }
  });

  it('refuses a witness that the policy can not have made', () => {
    const witness = calmWitness();
    witness.tier = 2;
    expect(() => explain(witness, steadyPolicy)).toThrow(ExplainError);
    expect(() => explain(witness, steadyPolicy)).toThrow(
      /tick 0: policy steady decides tier 0 \(full\), trust allow, reason none where the witness has tier 2/,
    );
  });
});

/** A token at which nothing crosses anything. */
function calmWitness(): Witness {
  const witness = new Witness();
  Object.assign(witness, {
    channels: 2,
    firedCount: 1,
    tier: 0,
    trust: 'allow',
    reason: 'none',
    kv: 'write',
  });
  Object.assign(witness, { ready: true, isExact: true, lambdaReferenceQ15: 20_000 });
  Object.assign(witness, {
    lambdaQ15: 20_000,
    lambdaFloorQ15: 20_000,
    lambdaPreviousQ15: 20_000,
    partitionCount: 1,
  });
  return witness;
}

function withLambda(lambdaQ15: number, floorQ15 = lambdaQ15): Witness {
  const witness = calmWitness();
  return Object.assign(witness, { lambdaQ15, lambdaFloorQ15: floorQ15, isExact: floorQ15 === lambdaQ15 });
}

const changing = (witness: Witness, policy = steadyPolicy) =>
  explain(witness, policy).notches.filter(({ changes }) => changes);

describe('explain, one notch away', () => {
  it('changes nothing far from every threshold', () => {
    expect(changing(calmWitness())).toEqual([]);
  });

  it('names what would have changed just above a threshold, and what it would have been', () => {
    // 0.1 of the reference is 2000.
    const found = changing(withLambda(2100));
    expect(found.map(({ what, from, to }) => [what, from, to])).toEqual([
      ['policy.lambdaFreezeEnterQ15', 3277, 3687],
      ['lambdaQ15', 2100, 1867],
      ['lambdaReferenceQ15', 20_000, 22_500],
    ]);
    for (const { decision } of found) {
      expect(decision).toEqual({ tier: 0, trust: 'freezeWrites', reason: 'lambdaBelowMin' });
    }
  });

  it('says that it does not know where lambda was not known closely enough', () => {
    const found = changing(withLambda(2400, 2010));
    expect(found.map(({ what, decision }) => [what, decision])).toEqual([
      ['policy.lambdaFreezeEnterQ15', null],
      ['lambdaQ15', null],
      ['lambdaReferenceQ15', null],
    ]);
  });

  it('moves counts by one', () => {
    const witness = calmWitness();
    witness.boundaryEdges = 20;
    expect(changing(witness, prototypePolicy).map(({ what, from, to }) => [what, from, to])).toEqual([
      ['policy.boundaryEdgesMax', 20, 19],
      ['boundaryEdges', 20, 21],
    ]);
  });

  it('says what a state waits for, and that one good token more would have relaxed it', () => {
    const policy = { ...steadyPolicy, relaxSamples: 4, dwellTicks: 2 };
    const witness = calmWitness();
    Object.assign(witness.trustBefore, { rule: 2, goodSamples: 2, ticks: 50 });
    Object.assign(witness, { trust: 'freezeWrites', reason: 'lambdaBelowMin' });
    const { waitsFor, why, notches } = explain(witness, policy);
    expect(waitsFor).toEqual({ goodSamples: 1, ticks: 0 });
    expect(why).toContain('an earlier one has not been left yet');
    const relaxing = notches.filter(({ changes }) => changes).map(({ what, to }) => [what, to]);
    expect(relaxing).toEqual([
      ['policy.relaxSamples', 3],
      ['trustBefore.goodSamples', 3],
    ]);
  });

  it('shows values, limits and what is not asked', () => {
    const { rules } = explain(withLambda(2100), steadyPolicy);
    const freeze = rules.find(({ name }) => name === 'lambda, freeze')!;
    expect(freeze).toMatchObject({
      side: 'below',
      holds: false,
      keeps: true,
      heldBefore: false,
      notAsked: '',
    });
    expect(freeze.value).toBeCloseTo(2100 / Q15_ONE, 9);
    expect(freeze.limit).toBeCloseTo((20_000 / Q15_ONE) * 0.1, 4);
    expect(freeze.leavingLimit).toBeCloseTo((20_000 / Q15_ONE) * 0.1125, 4);
    expect(rules.find(({ name }) => name === 'partitions')).toMatchObject({
      limit: null,
      notAsked: 'the policy never asks',
    });
    const early = withLambda(100);
    early.ready = false;
    expect(explain(early, steadyPolicy).rules[1]!.notAsked).toBe('coherence means nothing yet');
    const weak = withLambda(100);
    weak.lambdaReferenceQ15 = 3000;
    expect(explain(weak, steadyPolicy).rules[1]!.notAsked).toBe('the reference is too low');
  });

  it('explains drift and events in their own units', () => {
    const drifted = calmWitness();
    Object.assign(drifted, { driftDownQ8: 1281, trust: 'freezeWrites', reason: 'coherenceDrift' });
    const rule = explain(drifted, conservativePolicy).rules.find(
      ({ name }) => name === 'drift of agreement',
    )!;
    expect(rule).toMatchObject({ value: 1281 / 256, limit: 5, holds: true });
    const novel = calmWitness();
    Object.assign(novel, {
      noveltyQ15: 3000,
      noveltyTypicalQ15: 1000,
      rateTypicalQ15: 1000,
      reason: 'novelty',
    });
    Object.assign(novel.computeBefore, { rule: 6 });
    const { rules, why } = explain(novel, eventsPolicy);
    expect(why).toContain('novelty, full crossed its limit');
    const full = rules.find(({ name }) => name === 'novelty, full')!;
    expect(full.value! / full.limit!).toBeCloseTo(1.5, 9);
  });

  it('agrees with a controller that was given the moved policy', () => {
    const witness = withLambda(2100);
    const controller = new Controller({
      ...steadyPolicy,
      lambdaFreezeEnterQ15: 3687,
      lambdaFreezeLeaveQ15: 4147,
    });
    const decision = makeGateDecision();
    const gate = { ...witness, ready: true };
    controller.decide({ ...makeSpikePacket(2), fired: true }, gate as never, decision);
    expect(changing(witness)[0]!.decision).toEqual(decision);
  });
});

describe('explain, where nothing was decided', () => {
  it('says why a tick was skipped or forced', () => {
    const pipeline = new Pipeline(new Engine(tinyModel()), 0);
    const forced = explain(pipeline.tick(frameOf([Number.NaN, Number.NaN], 0)), steadyPolicy);
    expect(forced).toMatchObject({ decision: { tier: 0, reason: 'forcedByFlag' }, rules: [], notches: [] });
    expect(forced.why).toContain('forced');
    const skipped = explain(pipeline.tick(frameOf([Number.NaN, Number.NaN], 1000)), steadyPolicy);
    expect(skipped.why).toMatch(/No channel fired.*1 intervals before.*held/);
  });
});
