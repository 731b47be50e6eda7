import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { presetConfig, presetNames } from '../../src/engine/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { makeGatePacket } from '../../src/gate/coherence.ts';
import { Controller, kvOfTrust, makeGateDecision } from '../../src/gate/controller.ts';
import { makeDemandPacket } from '../../src/gate/demand.ts';
import { type LevelSnapshot, makeLevelSnapshot } from '../../src/gate/level-state.ts';
import { type DemandPacket, type GateDecision, type GatePacket, Q15_ONE } from '../../src/gate/packets.ts';
import { eventsPolicy, NEVER, type Policy, policyNames, policyOf } from '../../src/gate/policy.ts';
import { computeLevels, trustLevels } from '../../src/gate/rules.ts';
import { makeSpikePacket } from '../../src/gate/spike-encoder.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { heapBytesPerCall, NOTHING_BYTES, randomOf, SEED } from './fixtures.ts';

const REFERENCE = 20_000;
const TYPICAL = 1000;
const Q15_HALF = Math.round(Q15_ONE / 2);

interface Inputs {
  fired: boolean;
  ready: boolean;
  rateQ15: number;
  noveltyQ15: number;
  lambdaQ15: number;
  lambdaPreviousQ15: number;
  boundaryEdges: number;
  boundaryConcentrationQ15: number;
  partitionCount: number;
  driftUpQ8: number;
  regretQ15: number;
  doubtQ15: number;
}

const calm: Inputs = {
  fired: true,
  ready: true,
  rateQ15: 0,
  noveltyQ15: 0,
  lambdaQ15: REFERENCE,
  lambdaPreviousQ15: REFERENCE,
  boundaryEdges: 0,
  boundaryConcentrationQ15: 0,
  partitionCount: 1,
  driftUpQ8: 0,
  regretQ15: 0,
  doubtQ15: 0,
};

const asked = (limits: readonly number[], scale = 1) =>
  limits.filter((limit) => limit > 0 && limit < NEVER).map((limit) => Math.round(limit * scale));
/** At, below and above each limit, and the two ends. */
const around = (limits: readonly number[], calmest: number, worst: number) => [
  ...new Set([
    calmest,
    ...limits.flatMap((limit) => [limit - 1, limit, limit + 1]),
    ...(limits.length > 0 ? [worst] : []),
  ]),
];

/** Per input, the values that matter to a policy: its thresholds to enter and to leave, and next to them. */
function valuesOf(policy: Policy): { [K in keyof Inputs]: Inputs[K][] } {
  const withLeave = (limits: number[]) => [
    ...limits,
    ...limits.map((limit) => Math.floor((limit * policy.leaveQ15) / Q15_ONE)),
  ];
  const typical = (...ratios: number[]) =>
    policy.compute === 'followsEvents' ? withLeave(asked(ratios, TYPICAL / 256)) : [];
  const lambdas = asked(
    [
      policy.lambdaFreezeEnterQ15,
      policy.lambdaFreezeLeaveQ15,
      policy.lambdaQuarantineEnterQ15,
      policy.lambdaQuarantineLeaveQ15,
    ],
    REFERENCE / Q15_ONE,
  );
  const drops = asked([policy.dropRatioMaxQ15]).map((drop) => Math.floor(REFERENCE * (1 - drop / Q15_ONE)));
  const max = (limit: number, worst: number, calmest = 0) =>
    around(withLeave(asked([limit])), calmest, worst);
  return {
    fired: [true, false],
    ready: [true, false],
    rateQ15: around(
      [...withLeave(asked([policy.spikeRateMaxQ15])), ...typical(policy.rateFullQ8, policy.rateReducedQ8)],
      0,
      Q15_ONE,
    ),
    noveltyQ15: around(typical(policy.noveltyFullQ8, policy.noveltyReducedQ8), 0, Q15_ONE),
    lambdaQ15: around([...lambdas, ...drops], REFERENCE, 0),
    lambdaPreviousQ15: drops.length > 0 ? [0, REFERENCE, Q15_ONE] : [REFERENCE],
    boundaryEdges: max(policy.boundaryEdgesMax, 1024),
    boundaryConcentrationQ15: max(policy.boundaryConcentrationMaxQ15, Q15_ONE),
    partitionCount: max(policy.partitionsMax, 64, 1),
    driftUpQ8: max(policy.driftMaxQ8, 4096),
    regretQ15: policy.compute === 'followsRegret' ? max(policy.regretMaxQ15, Q15_ONE) : [0],
    doubtQ15: max(policy.doubtFullQ15, Q15_ONE),
  };
}

/** Every combination, in one object that is refilled. */
function* combinations(policy: Policy): Generator<Inputs> {
  const values = Object.entries(valuesOf(policy)) as [string, unknown[]][];
  const places = values.map(() => 0);
  const inputs: Record<string, unknown> = { ...calm };
  for (const [name, list] of values) inputs[name] = list[0];
  for (let digit = 0; digit < values.length; ) {
    yield inputs as unknown as Inputs;
    for (digit = 0; digit < values.length; digit++) {
      const [name, list] = values[digit]!;
      places[digit] = (places[digit]! + 1) % list.length;
      inputs[name] = list[places[digit]!];
      if (places[digit]! > 0) break;
    }
  }
}

const tiersOf = {
  full: [0, 3],
  followsTrust: [0, 1, 2, 3],
  followsEvents: [0, 1, 2, 3],
  followsRegret: [0, 1, 3],
} as const;

/** What a controller may remember: each rule that holds trust and compute, just entered or due to be left. */
function statesOf(policy: Policy): [LevelSnapshot, LevelSnapshot][] {
  const demanding = policy.compute === 'followsEvents' || policy.compute === 'followsRegret';
  const computes = demanding ? computeLevels.map((_, rule) => rule) : [0];
  const at = (rule: number, due: boolean) =>
    due ? { ...makeLevelSnapshot(rule), goodSamples: 1000, ticks: 1000 } : makeLevelSnapshot(rule);
  return trustLevels.flatMap((_, trust) =>
    computes.flatMap((compute) =>
      [false, true].map((due): [LevelSnapshot, LevelSnapshot] => [at(trust, due), at(compute, due)]),
    ),
  );
}

const gate: GatePacket = { ...makeGatePacket(), lambdaReferenceQ15: REFERENCE };
const spike = makeSpikePacket(2);
const demand: DemandPacket = { ...makeDemandPacket(), noveltyTypicalQ15: TYPICAL, rateTypicalQ15: TYPICAL };
const decision = makeGateDecision();

function decide(controller: Controller, inputs: Inputs): GateDecision {
  spike.fired = inputs.fired;
  spike.rateQ15 = inputs.rateQ15;
  spike.noveltyQ15 = inputs.noveltyQ15;
  gate.ready = inputs.ready;
  gate.lambdaQ15 = gate.lambdaFloorQ15 = inputs.lambdaQ15;
  gate.lambdaPreviousQ15 = inputs.lambdaPreviousQ15;
  gate.boundaryEdges = inputs.boundaryEdges;
  gate.boundaryConcentrationQ15 = inputs.boundaryConcentrationQ15;
  gate.partitionCount = inputs.partitionCount;
  gate.driftUpQ8 = inputs.driftUpQ8;
  demand.regretQ15 = inputs.regretQ15;
  demand.doubtQ15 = inputs.doubtQ15;
  controller.decide(spike, gate, decision, demand);
  return decision;
}

const engines = presetNames.map((preset) => new Engine(tinyModel({ config: presetConfig(preset, 24, 2) })));

describe.each(policyNames)('policy %s', (name) => {
  const policy = policyOf(name);

  it('never costs more than tier 0, at every combination of inputs around its thresholds, from every state', () => {
    const controller = new Controller(policy);
    const states = statesOf(policy);
    const tiers = new Set<number>();
    const trusts = new Set<string>();
    let combination = 0;
    let dearer = 0;
    for (const inputs of combinations(policy)) {
      // The prototype has too many thresholds: there each combination gets some of the states, in turn.
      const some = policy.compute === 'followsTrust' ? [states[combination % states.length]!] : states;
      for (const [trustBefore, computeBefore] of some) {
        controller.restore(trustBefore, computeBefore);
        const { tier, trust } = decide(controller, inputs);
        tiers.add(tier);
        trusts.add(trust);
        if ((tier === 3) === inputs.fired) dearer++;
        if (tier === 3) continue;
        if (isDearer[tier]![kvOfTrust[trust]]) dearer++;
      }
      combination++;
    }
    expect(dearer).toBe(0);
    expect(combination * states.length).toBeGreaterThan(500);
    expect(trusts.size).toBeGreaterThan(2);
    expect([...tiers].sort()).toEqual(tiersOf[policy.compute]);
  });

  it('changes tier and trust at most once per dwell time on the whole, under any noise around its thresholds', () => {
    const lists = Object.entries(valuesOf(policy));
    let total = 0;
    fc.assert(
      fc.property(fc.nat(), fc.double({ min: 0.02, max: 0.6, noNaN: true }), (seed, share) => {
        const random = randomOf(seed);
        const pick = (list: unknown[]) => list[Math.floor(random() * list.length)];
        const controller = new Controller(policy);
        const levels = { trust: new Levels(), compute: new Levels() };
        for (let tick = 0; tick < 600; tick++) {
          const noise = Object.fromEntries(lists.map(([key, list]) => [key, pick(list)]));
          decide(controller, random() < share ? { ...calm, ...(noise as unknown as Inputs) } : calm);
          levels.trust.note(tick, trustLevels[controller.trust.rule]!);
          levels.compute.note(tick, computeLevels[controller.compute.rule]!);
        }
        for (const { changes } of Object.values(levels)) {
          changes.forEach((at, index) => {
            // What gets worse step by step within one relapse is one change.
            expect(index + 1).toBeLessThanOrEqual(3 + (at - changes[0]!) / policy.dwellTicks);
          });
          total += changes.length;
        }
      }),
      { seed: SEED, numRuns: 40 },
    );
    expect(total).toBeGreaterThan(40);
  });
});

/** Whether a plan may take more than tier 0 does, of either preset: as the engine itself says. */
const isDearer = [0, 1, 2].map((tier) => {
  const modes = ['write', 'freeze', 'flush', 'quarantine'] as const;
  const exceeds = (kv: (typeof modes)[number]) =>
    engines.some((engine) => {
      const [cost, bound] = [engine.cost(engine.plans[tier]![kv]), engine.cost(engine.plans[0]!.write)];
      return cost.macs > bound.macs || cost.bytes > bound.bytes;
    });
  return Object.fromEntries(modes.map((kv) => [kv, exceeds(kv)])) as Record<(typeof modes)[number], boolean>;
});

/** Ticks at which a level turned from rising to falling, or back. */
class Levels {
  readonly changes: number[] = [];
  #level = -1;
  #rose = true;

  note(tick: number, level: number): void {
    const changed = this.#level >= 0 && level !== this.#level;
    const rose = level > this.#level;
    if (changed && (this.changes.length === 0 || rose !== this.#rose || !rose)) this.changes.push(tick);
    if (changed) this.#rose = rose;
    this.#level = level;
  }
}

describe('policy events', () => {
  const relaxed = () => {
    const controller = new Controller(eventsPolicy);
    for (let tick = 0; tick < 12; tick++) decide(controller, calm);
    return controller;
  };

  it('starts in full, and relaxes to tier 2 when nothing is more than typical', () => {
    const controller = new Controller(eventsPolicy);
    const tiers = Array.from({ length: 12 }, () => decide(controller, calm).tier);
    expect(tiers).toEqual([0, ...Array(11).fill(2)]);
  });

  it.each([
    ['novelty as typical', { noveltyQ15: TYPICAL }, 2, 'none'],
    ['novelty more than typical', { noveltyQ15: TYPICAL + 1 }, 1, 'novelty'],
    ['novelty twice typical', { noveltyQ15: 2 * TYPICAL }, 1, 'novelty'],
    ['novelty more than twice typical', { noveltyQ15: 2 * TYPICAL + 1 }, 0, 'novelty'],
    ['rate more than typical', { rateQ15: TYPICAL + 1 }, 1, 'spikeBurst'],
    ['rate more than 1.5 of typical', { rateQ15: 1.5 * TYPICAL + 1 }, 0, 'spikeBurst'],
    ['an answer as likely right as wrong', { doubtQ15: Q15_HALF }, 2, 'none'],
    ['an answer more likely wrong', { doubtQ15: Q15_HALF + 1 }, 0, 'doubt'],
    ['an alarm that stands, novelty long typical', { doubtQ15: Q15_ONE, noveltyQ15: TYPICAL }, 0, 'doubt'],
    ['channels that came apart', { lambdaQ15: 10 }, 0, 'lambdaBelowMin'],
    ['lambda low before it means anything', { lambdaQ15: 10, ready: false }, 2, 'none'],
  ])('%s', (_, change, tier, reason) => {
    expect(decide(relaxed(), { ...calm, ...change })).toMatchObject({ tier, reason });
  });

  it('computes in full while nothing is known to be typical', () => {
    const controller = new Controller(eventsPolicy);
    const unknown = { ...makeDemandPacket() };
    for (let tick = 0; tick < 50; tick++) {
      controller.decide(
        { ...spike, fired: true, noveltyQ15: 1 },
        { ...gate, ready: false },
        decision,
        unknown,
      );
      expect(decision.tier).toBe(0);
    }
  });

  it('allocates nothing', () => {
    const controller = new Controller(eventsPolicy);
    const random = Int32Array.from(
      { length: 1024 },
      (() => {
        const next = randomOf(3);
        return () => Math.floor(next() * 3 * TYPICAL);
      })(),
    );
    const bytes = heapBytesPerCall((tick) => {
      spike.fired = true;
      spike.noveltyQ15 = random[tick & 1023]!;
      spike.rateQ15 = random[(tick * 7) & 1023]!;
      controller.decide(spike, gate, decision, demand);
    }, 20_000);
    expect(bytes).toBeLessThan(NOTHING_BYTES);
  });
});

describe('policy energy', () => {
  it('runs tier 1 where a different answer is unlikely, and tier 0 where it is not, or the channels came apart', () => {
    const limit = policyOf('energy').regretMaxQ15;
    const controller = new Controller(policyOf('energy'));
    const tierAt = (change: Partial<Inputs>) => decide(controller, { ...calm, ...change }).tier;
    expect(tierAt({ regretQ15: Q15_ONE })).toBe(0);
    expect(tierAt({})).toBe(1);
    expect(tierAt({ regretQ15: limit })).toBe(1);
    expect(tierAt({ regretQ15: limit + 1 })).toBe(0);
    expect(decision.reason).toBe('regret');
    for (let tick = 0; tick < 3; tick++) tierAt({});
    expect(tierAt({ lambdaQ15: 10 })).toBe(0);
    expect(decision.reason).toBe('lambdaBelowMin');
  });
});
