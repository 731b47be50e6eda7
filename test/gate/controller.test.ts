import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Tier } from '../../src/engine/config.ts';
import { makeGatePacket } from '../../src/gate/coherence.ts';
import { Controller, kvOfTrust, makeGateDecision } from '../../src/gate/controller.ts';
import {
  type GateDecision,
  type GatePacket,
  type GateReason,
  Q15_ONE,
  type Trust,
} from '../../src/gate/packets.ts';
import { type Policy, prototypePolicy, steadyPolicy } from '../../src/gate/policy.ts';
import { makeSpikePacket } from '../../src/gate/spike-encoder.ts';
import { heapBytesPerCall, NOTHING_BYTES, randomOf, SEED } from './fixtures.ts';

const REFERENCE = 20_000;

/** A calm gate packet: nothing of it crosses any threshold of any policy. */
function calmGate(change: Partial<GatePacket> = {}): GatePacket {
  return {
    ...makeGatePacket(),
    ready: true,
    lambdaQ15: REFERENCE,
    lambdaPreviousQ15: REFERENCE,
    lambdaReferenceQ15: REFERENCE,
    boundaryEdges: 4,
    boundaryConcentrationQ15: 8192,
    partitionCount: 1,
    ...change,
  };
}

function spikeOf(fired: boolean, rateQ15 = 3000) {
  return { ...makeSpikePacket(2), fired, firedCount: fired ? 1 : 0, rateQ15 };
}

function deciderOf(policy: Policy) {
  const controller = new Controller(policy);
  const decision = makeGateDecision();
  return (gate: GatePacket, spike = spikeOf(true)): GateDecision => {
    controller.decide(spike, gate, decision);
    return { ...decision };
  };
}

const decideOnce = (policy: Policy, gate: GatePacket, spike = spikeOf(true)) =>
  deciderOf(policy)(gate, spike);

/** The prototype's table, written down once more from its rules: the first that holds wins. */
function expectedOfPrototype(gate: GatePacket, rateQ15: number): GateDecision {
  const is = (tier: Tier, trust: Trust, reason: GateReason) => ({ tier, trust, reason });
  const drop = Math.floor(
    (Math.max(0, gate.lambdaPreviousQ15 - gate.lambdaQ15) * 32767) / (gate.lambdaPreviousQ15 || 1),
  );
  if (rateQ15 > 16384) return is(2, 'freezeWrites', 'spikeStorm');
  if (!gate.ready) return is(0, 'allow', 'none');
  if (gate.lambdaQ15 / gate.lambdaReferenceQ15 < 9830 / 32767) return is(2, 'quarantine', 'lambdaBelowMin');
  if (drop > 12288) return is(1, 'flushKv', 'lambdaDroppedFast');
  if (gate.boundaryEdges > 20) return is(1, 'reduceScope', 'boundarySpike');
  if (gate.boundaryConcentrationQ15 > 20480) return is(1, 'reduceScope', 'boundaryConcentrationSpike');
  if (gate.partitionCount > 10) return is(1, 'reduceScope', 'partitionDrift');
  return is(0, 'allow', 'none');
}

/** Every combination of the inputs at, below and above each threshold. */
function* everyGate(): Generator<{ gate: GatePacket; rateQ15: number }> {
  const around = (threshold: number) => [threshold - 1, threshold, threshold + 1];
  const lambdaMin = Math.ceil((REFERENCE * 9830) / 32767);
  for (const ready of [true, false]) {
    for (const rateQ15 of around(16384)) {
      for (const lambdaQ15 of [0, ...around(lambdaMin), REFERENCE]) {
        const previousAtDrop = Math.round(lambdaQ15 / (1 - 12288 / 32767));
        for (const lambdaPreviousQ15 of [0, lambdaQ15, ...around(previousAtDrop), Q15_ONE]) {
          for (const boundaryEdges of around(20)) {
            for (const boundaryConcentrationQ15 of around(20480)) {
              for (const partitionCount of around(10)) {
                const change = { ready, lambdaQ15, boundaryEdges, boundaryConcentrationQ15, partitionCount };
                const previous = Math.max(0, Math.min(Q15_ONE, lambdaPreviousQ15));
                yield { gate: calmGate({ ...change, lambdaPreviousQ15: previous }), rateQ15 };
              }
            }
          }
        }
      }
    }
  }
}

describe('Controller, first decision', () => {
  it('with the prototype policy follows its table at every combination of thresholds', () => {
    let cases = 0;
    const reasons = new Set<GateReason>();
    for (const { gate, rateQ15 } of everyGate()) {
      const decision = decideOnce(prototypePolicy, gate, spikeOf(true, rateQ15));
      const expected = expectedOfPrototype(gate, rateQ15);
      if (JSON.stringify(decision) !== JSON.stringify(expected)) {
        expect({ gate, rateQ15, ...decision }).toEqual({ gate, rateQ15, ...expected });
      }
      reasons.add(decision.reason);
      cases++;
    }
    expect(cases).toBe(2 * 3 * 5 * 6 * 27);
    expect(reasons.size).toBe(7);
  });

  it('with the steady policy computes in full at every combination, and only lambda touches trust', () => {
    for (const { gate, rateQ15 } of everyGate()) {
      const decision = decideOnce(steadyPolicy, gate, spikeOf(true, rateQ15));
      expect(decision.tier).toBe(0);
      const low = gate.ready && gate.lambdaQ15 === 0;
      expect(decision.trust).toBe(low ? 'quarantine' : 'allow');
      expect(decision.reason).toBe(low ? 'lambdaBelowMin' : 'none');
    }
  });

  it.each([
    ['just at the freeze threshold', 0.1, 'allow'],
    ['just below it', 0.0999, 'freezeWrites'],
    ['just at the quarantine threshold', 0.05, 'freezeWrites'],
    ['just below it', 0.0499, 'quarantine'],
  ])('with the steady policy, lambda %s', (_, share, trust) => {
    const threshold = Math.round(share * Q15_ONE) / Q15_ONE;
    const gate = calmGate({ lambdaQ15: Math.ceil(threshold * REFERENCE), lambdaPreviousQ15: REFERENCE });
    expect(decideOnce(steadyPolicy, gate).trust).toBe(trust);
  });

  it('with the steady policy does not judge lambda where channels hardly move together', () => {
    const reference = steadyPolicy.lambdaReferenceMinQ15;
    expect(
      decideOnce(steadyPolicy, calmGate({ lambdaQ15: 0, lambdaReferenceQ15: reference - 1 })).trust,
    ).toBe('allow');
    expect(decideOnce(steadyPolicy, calmGate({ lambdaQ15: 0, lambdaReferenceQ15: reference })).trust).toBe(
      'quarantine',
    );
  });

  it.each([prototypePolicy, steadyPolicy])('with the $name policy skips when nothing fired', (policy) => {
    const decision = decideOnce(policy, calmGate({ lambdaQ15: 0 }), spikeOf(false, Q15_ONE));
    expect(decision).toEqual({ tier: 3, trust: 'allow', reason: 'noSpike' });
  });

  it('maps each trust to what happens to keys and values', () => {
    expect(kvOfTrust).toEqual({
      allow: 'write',
      reduceScope: 'write',
      flushKv: 'flush',
      freezeWrites: 'freeze',
      quarantine: 'quarantine',
    });
  });
});

const bad = calmGate({ lambdaQ15: 1000 });
const dropped = calmGate({ lambdaQ15: 10_000 });

describe('Controller, over time', () => {
  it('escalates at once and relaxes after 16 good tokens in a row', () => {
    const decide = deciderOf(prototypePolicy);
    expect(decide(calmGate()).trust).toBe('allow');
    expect(decide(bad).trust).toBe('quarantine');
    for (let good = 1; good < 16; good++) expect(decide(calmGate()).trust).toBe('quarantine');
    expect(decide(bad).trust).toBe('quarantine'); // one bad one starts the count again
    for (let good = 1; good < 16; good++) expect(decide(calmGate()).trust).toBe('quarantine');
    expect(decide(calmGate())).toEqual({ tier: 0, trust: 'allow', reason: 'none' });
  });

  it('waits for the dwell time, skipped ticks included, however good the tokens', () => {
    const policy = { ...prototypePolicy, relaxSamples: 1, dwellTicks: 5 };
    for (const fired of [true, false]) {
      const decide = deciderOf(policy);
      decide(bad);
      for (let tick = 1; tick < 5; tick++)
        expect(decide(calmGate(), spikeOf(fired)).trust).toBe('quarantine');
      expect(decide(calmGate()).trust).toBe('allow');
    }
  });

  it('dwells twice as long after each relapse within the dwell time, up to 64 times, and once again after peace', () => {
    const decide = deciderOf({ ...prototypePolicy, relaxSamples: 1, dwellTicks: 5 });
    const ticksUntilAllowed = () => {
      decide(bad);
      for (let tick = 1; ; tick++) if (decide(calmGate()).trust === 'allow') return tick;
    };
    expect(Array.from({ length: 8 }, ticksUntilAllowed)).toEqual([5, 10, 20, 40, 80, 160, 320, 320]);
    for (let tick = 0; tick < 320; tick++) decide(calmGate());
    expect(ticksUntilAllowed()).toBe(5);
  });

  it('does not count a value between the thresholds as good', () => {
    const decide = deciderOf(prototypePolicy);
    decide(bad);
    const between = calmGate({ lambdaQ15: Math.round(0.32 * REFERENCE) });
    for (let tick = 0; tick < 100; tick++) expect(decide(between).trust).toBe('quarantine');
  });

  it('flushes once at a fast drop, then holds the reduced scope', () => {
    const decide = deciderOf(prototypePolicy);
    expect(decide(dropped)).toEqual({ tier: 1, trust: 'flushKv', reason: 'lambdaDroppedFast' });
    expect(decide(dropped)).toEqual({ tier: 1, trust: 'reduceScope', reason: 'lambdaDroppedFast' });
    for (let good = 1; good < 16; good++) expect(decide(calmGate()).trust).toBe('reduceScope');
    expect(decide(calmGate()).trust).toBe('allow');
    expect(decide(dropped).trust).toBe('flushKv');
  });

  it('relaxes to what still holds, not past it', () => {
    const decide = deciderOf(prototypePolicy);
    decide(bad);
    const edges = calmGate({ boundaryEdges: 30 });
    for (let good = 1; good < 16; good++) expect(decide(edges).trust).toBe('quarantine');
    expect(decide(edges)).toEqual({ tier: 1, trust: 'reduceScope', reason: 'boundarySpike' });
  });

  it('names the present reason when another rule of the same weight holds', () => {
    const decide = deciderOf(prototypePolicy);
    expect(decide(calmGate({ boundaryEdges: 30 })).reason).toBe('boundarySpike');
    expect(decide(calmGate({ partitionCount: 30 })).reason).toBe('partitionDrift');
  });

  it('lets go when lambda means nothing any more', () => {
    const decide = deciderOf(steadyPolicy);
    decide(bad);
    const trusts = Array.from({ length: 16 }, () => decide(calmGate({ lambdaQ15: 0, ready: false })).trust);
    expect(trusts.indexOf('allow')).toBe(steadyPolicy.dwellTicks - 1);
  });

  it('is calm again after reset', () => {
    const controller = new Controller(prototypePolicy);
    const decision = makeGateDecision();
    controller.decide(spikeOf(true), bad, decision);
    controller.reset();
    controller.decide(spikeOf(true), calmGate(), decision);
    expect(decision.trust).toBe('allow');
  });

  it('allocates nothing', () => {
    const controller = new Controller(prototypePolicy);
    const decision = makeGateDecision();
    const gate = calmGate();
    const spike = spikeOf(true);
    const bytes = heapBytesPerCall((tick) => {
      gate.lambdaQ15 = (tick * 7919) & 32767;
      spike.fired = (tick & 3) !== 0;
      controller.decide(spike, gate, decision);
    });
    expect(bytes).toBeLessThan(NOTHING_BYTES);
  });
});

/** Field by field: its threshold, and whether it is bad above it (or below). */
const straddled: { field: keyof GatePacket; threshold: number; badAbove: boolean }[] = [
  { field: 'lambdaQ15', threshold: Math.ceil((REFERENCE * 9830) / 32767), badAbove: false },
  { field: 'boundaryEdges', threshold: 20, badAbove: true },
  { field: 'boundaryConcentrationQ15', threshold: 20480, badAbove: true },
  { field: 'partitionCount', threshold: 10, badAbove: true },
];

function changesOf(policy: Policy, gates: GatePacket[]): { at: number; worse: boolean }[] {
  const decide = deciderOf(policy);
  let level = 0;
  return gates.flatMap((gate, at) => {
    const now = ['allow', 'reduceScope', 'flushKv', 'freezeWrites', 'quarantine'].indexOf(decide(gate).trust);
    const change = now === level ? [] : [{ at, worse: now > level }];
    level = now;
    return change;
  });
}

/** lambda, with no drop for the drop rule to see. */
const withValue = (field: keyof GatePacket, value: number) =>
  calmGate(field === 'lambdaQ15' ? { lambdaQ15: value, lambdaPreviousQ15: value } : { [field]: value });

const noise = fc.record({
  seed: fc.nat(),
  rule: fc.constantFrom(...straddled),
  relaxSamples: fc.integer({ min: 1, max: 20 }),
  dwellTicks: fc.integer({ min: 1, max: 40 }),
});

describe('Controller, under noise around a threshold', () => {
  it('changes at most once when the noise stays within the hysteresis', () => {
    fc.assert(
      fc.property(noise, ({ seed, rule, relaxSamples, dwellTicks }) => {
        const random = randomOf(seed);
        const band = rule.badAbove ? [0.9, 1.3] : [0.8, 1.12];
        const gates = Array.from({ length: 300 }, () =>
          withValue(rule.field, Math.round(rule.threshold * (band[0]! + random() * (band[1]! - band[0]!)))),
        );
        const changes = changesOf({ ...prototypePolicy, relaxSamples, dwellTicks }, gates);
        expect(changes.length).toBeLessThanOrEqual(1);
      }),
      { seed: SEED },
    );
  });

  it('changes at most once per dwell time on the whole, whatever the noise', () => {
    let total = 0;
    fc.assert(
      fc.property(noise, ({ seed, rule, relaxSamples, dwellTicks }) => {
        const random = randomOf(seed);
        const gates = Array.from({ length: 600 }, () =>
          withValue(rule.field, Math.round(rule.threshold * (0.5 + random()))),
        );
        const changes = changesOf({ ...prototypePolicy, relaxSamples, dwellTicks }, gates);
        for (const [index, { at }] of changes.entries()) {
          expect(index + 1).toBeLessThanOrEqual(3 + (at - changes[0]!.at) / dwellTicks);
        }
        for (const worse of [true, false]) {
          const times = changes.filter((change) => change.worse === worse).map((change) => change.at);
          times.forEach((at, index) => {
            if (index > 0)
              expect(at - times[index - 1]!).toBeGreaterThanOrEqual(Math.max(dwellTicks, relaxSamples));
          });
        }
        total += changes.length;
      }),
      { seed: SEED },
    );
    expect(total).toBeGreaterThan(100); // the noise did cross thresholds
  });
});
