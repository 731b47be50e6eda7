import fc from 'fast-check';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Engine } from '../../src/engine/engine.ts';
import type { FeatureSet, SpikeSettings } from '../../src/engine/model.ts';
import type { Plan } from '../../src/engine/plan.ts';
import { forceTier } from '../../src/eval/forced-tier.ts';
import { featureCount } from '../../src/gate/features.ts';
import { hashLogits } from '../../src/gate/logits-hash.ts';
import { Q15_ONE } from '../../src/gate/packets.ts';
import { policyNames, steadyPolicy } from '../../src/gate/policy.ts';
import { type RegretModel, regretFeatureNames } from '../../src/gate/regret.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import type { PipelineEngine, PipelineOptions } from '../../src/gateway/pipeline-options.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { frameOf, heapBytesPerCall, NOTHING_BYTES, randomOf, SEED, spikesOf } from '../gate/fixtures.ts';

const INTERVAL_MS = 1000;

/** A real engine that notes what it was asked for. */
function engineOf(channels = 2, features: FeatureSet = 'changes') {
  const names = Array.from({ length: channels }, (_, index) => `channel${index}`);
  const config = { features: featureCount(channels, features) };
  const engine = new Engine(tinyModel({ channels: names, config, meaning: { features } }), { streams: 2 });
  const steps: { stream: number; features: number[]; plan: Plan }[] = [];
  const spied: PipelineEngine = {
    model: engine.model,
    plans: engine.plans,
    logits: engine.logits,
    stats: engine.stats,
    marks: engine.marks,
    hold: (stream, ticks) => engine.hold(stream, ticks),
    cost: (plan) => engine.cost(plan),
    reset: (stream) => engine.reset(stream),
    step(stream, features, plan) {
      steps.push({ stream, features: [...features], plan });
      engine.step(stream, features, plan);
    },
  };
  return { engine, spied, steps };
}

/** Tier 1 where the last output was sure. */
const regret: RegretModel = {
  weights: regretFeatureNames.map((name) => (name === 'doubt' ? 1 : 0)),
  bias: 0,
  scores: [0.3],
  probabilities: [0, 1],
};

let timeMs = 0;
beforeEach(() => {
  timeMs = 1_700_000_000_000;
});

/** Ticks one interval after the last and returns a copy of the witness. */
function next(pipeline: Pipeline, values: number[], intervals = 1) {
  timeMs += intervals * INTERVAL_MS;
  return { ...pipeline.tick(frameOf(values, timeMs)) };
}

describe('Pipeline', () => {
  it('makes a token of the first frame, then sleeps until something fires', () => {
    const { spied, steps } = engineOf();
    const pipeline = new Pipeline(spied, 1);
    const first = next(pipeline, [20, 40]);
    expect(first).toMatchObject({
      sequence: 0,
      tier: 0,
      trust: 'allow',
      reason: 'novelty',
      kv: 'write',
      held: false,
    });
    expect(first).toMatchObject({ firedCount: 2, layers: 2, elapsedIntervals: 0 });
    const output = {
      classIndex: pipeline.output.classIndex,
      probabilities: Float64Array.from(pipeline.output.probabilities),
    };
    for (let tick = 1; tick <= 5; tick++) {
      const witness = next(pipeline, [20.4, 40.4]);
      expect(witness).toMatchObject({ sequence: tick, tier: 3, reason: 'noSpike', kv: 'none', held: true });
      expect(witness).toMatchObject({ macs: 0, layers: 0, kvReads: 0, kvWrites: 0, elapsedIntervals: tick });
      expect(witness).toMatchObject({
        logitsHash: first.logitsHash,
        topIndex: first.topIndex,
        score: first.score,
      });
      expect(pipeline.output).toMatchObject({ ...output, isHeld: true, ageIntervals: tick, hasValue: true });
    }
    expect(steps).toHaveLength(1);
    const woken = next(pipeline, [20.4, 40.5]);
    expect(woken).toMatchObject({ tier: 0, held: false, firedCount: 1, elapsedIntervals: 6 });
    expect([...woken.firedMask]).toEqual([2, 0, 0, 0, 0, 0, 0, 0]);
    expect(pipeline.output).toMatchObject({ isHeld: false, ageIntervals: 0 });
    expect(steps).toHaveLength(2);
    expect(steps[1]).toMatchObject({ stream: 1, plan: { tier: 0, kv: 'write' } });
  });

  it('carries the elapsed time and every known value in the next token', () => {
    const { spied, steps } = engineOf();
    const pipeline = new Pipeline(spied, 0);
    next(pipeline, [20, 40]);
    next(pipeline, [20.2, 40], 2.4);
    next(pipeline, [20.2, 42], 3);
    const [temperature, humidity] = [steps[1]!.features.slice(0, 4), steps[1]!.features.slice(4, 8)];
    expect(temperature).toEqual([102, 102, 0, 192]); // z = 0.1, unfired, 5.4 intervals: bucket 3
    expect(humidity).toEqual([8191, 1024, 1024, 192]);
    expect(steps[1]!.features.slice(8).indexOf(1024)).toBe(3);
  });

  it('gives a token the same trends whether the ticks before were skipped or not', () => {
    const [gated, dense] = [engineOf(2, 'trends'), engineOf(2, 'trends')];
    const pipelines = [new Pipeline(gated.spied, 0), new Pipeline(dense.spied, 0, { gating: false })];
    const random = randomOf(SEED);
    let values = [20, 40];
    for (let tick = 0; tick < 200; tick++) {
      if (random() < 0.1) values = [20 + random(), 40 + random()];
      const elapsed = random() < 0.1 ? 3 : 1;
      timeMs += elapsed * INTERVAL_MS;
      const before = gated.steps.length;
      for (const pipeline of pipelines) pipeline.tick(frameOf(values, timeMs));
      if (gated.steps.length === before) continue;
      const [one, other] = [gated, dense].map(({ steps }) => steps.at(-1)!.features);
      for (const at of [0, 10]) expect(one!.slice(at + 4, at + 10)).toEqual(other!.slice(at + 4, at + 10));
    }
    expect(gated.steps.length).toBeLessThan(dense.steps.length / 2);
    expect(gated.steps.at(-1)!.features.slice(4, 9)).not.toEqual([0, 0, 0, 0, 0]);
    pipelines[0]!.reset();
    next(pipelines[0]!, [20, 40]);
    expect(gated.steps.at(-1)!.features.slice(4, 9)).toEqual([0, 0, 0, 0, 0]);
  });

  it('says what the engine says', () => {
    const { engine, spied } = engineOf();
    const pipeline = new Pipeline(spied, 0);
    const witness = next(pipeline, [23, 41]);
    expect(witness.logitsHash).toBe(hashLogits(engine.logits) >>> 0);
    expect(witness.macs).toBe(engine.stats.macs);
    expect(witness.macsDense).toBe(engine.cost(engine.plans[0]!.write).macs);
    expect(witness).toMatchObject({ kvWrites: engine.stats.kvWrites, kvReads: engine.stats.kvReads });
    expect(witness.topIndex).toBe(engine.logits[1]! > engine.logits[0]! ? 1 : 0);
    expect(witness.score).toBe(pipeline.output.probabilities[witness.topIndex]);
  });

  it('makes a token of a first frame that knows nothing', () => {
    const { spied, steps } = engineOf();
    const pipeline = new Pipeline(spied, 0);
    expect(next(pipeline, [Number.NaN, Number.NaN])).toMatchObject({
      tier: 0,
      reason: 'forcedByFlag',
      firedCount: 0,
    });
    expect(next(pipeline, [Number.NaN, Number.NaN])).toMatchObject({ tier: 3 });
    expect(steps).toHaveLength(1);
    expect(pipeline.counters).toMatchObject({ missing: 4, tokens: 1, skips: 1 });
  });

  it('marks each token with its novelty, for heads that look at pinned positions', () => {
    const pinned = [0, 1].map(() => [{ local: 1, pinned: 1 }, { local: 1 }]);
    const engine = new Engine(
      tinyModel({ channels: ['a', 'b'], config: { features: featureCount(2, 'changes'), patterns: pinned } }),
    );
    const seen: number[] = [];
    const spied = forceTier(engine, 0);
    const pipeline = new Pipeline(
      {
        ...spied,
        logits: engine.logits,
        step(stream, features, plan) {
          seen.push(engine.marks[0]!);
          engine.step(stream, features, plan);
        },
      },
      0,
    );
    const novelties = [20, 30, 20.6].map((value) => next(pipeline, [value, 40]).noveltyQ15);
    expect(seen).toEqual(novelties);
    expect(seen[1]).toBeGreaterThan(seen[2]!);
    expect([...engine.marks].every((mark) => mark === 0)).toBe(true);
  });

  it('refuses and counts frames that are not later than the last, and goes on', () => {
    const { spied, steps } = engineOf();
    const pipeline = new Pipeline(spied, 0);
    next(pipeline, [20, 40]);
    for (const late of [timeMs, timeMs - 1, timeMs - 1e9, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(pipeline.tick(frameOf([99, 99], late)).sequence).toBe(0);
    }
    expect(steps).toHaveLength(1);
    expect(pipeline.counters).toMatchObject({ stale: 5, frames: 1, skips: 0 });
    expect(next(pipeline, [20, 40])).toMatchObject({ sequence: 1, tier: 3, elapsedIntervals: 1 });
  });

  it('refuses a first frame without a time', () => {
    const { spied } = engineOf();
    const pipeline = new Pipeline(spied, 0);
    pipeline.tick(frameOf([1, 1], Number.NaN));
    expect(pipeline.counters).toMatchObject({ stale: 1, frames: 0 });
    expect(pipeline.output.hasValue).toBe(false);
  });

  it('comes to the same state with every frame sent twice, as after a reconnection', () => {
    const random = randomOf(7);
    const values = Array.from({ length: 200 }, () => [20 + random() * 2, 40 + random() * 2]);
    const once = new Pipeline(engineOf().engine, 0);
    const twice = new Pipeline(engineOf().engine, 0);
    values.forEach((row, tick) => {
      const a = { ...once.tick(frameOf(row, tick * INTERVAL_MS)) };
      twice.tick(frameOf(row, tick * INTERVAL_MS));
      for (const back of [0, 3, 1]) {
        const old = Math.max(0, tick - back);
        expect({ ...twice.tick(frameOf(values[old]!, old * INTERVAL_MS)) }).toEqual(a);
      }
    });
    expect(twice.counters).toEqual({ ...once.counters, stale: 600 });
  });

  it('runs dense without gating: every frame a tier-0 token that is written, every known channel fired', () => {
    const { engine, spied, steps } = engineOf();
    const pipeline = new Pipeline(spied, 0, { gating: false, policy: 'prototype' });
    for (let tick = 0; tick < 20; tick++) {
      const witness = next(pipeline, tick === 9 ? [Number.NaN, Number.NaN] : [20, 40]);
      expect(witness).toMatchObject({
        tier: 0,
        kv: 'write',
        reason: 'forcedByFlag',
        trust: 'allow',
        held: false,
      });
      expect(witness.firedCount).toBe(tick === 9 ? 0 : 2);
      expect(witness.elapsedIntervals).toBe(tick === 0 ? 0 : 1);
    }
    expect(steps).toHaveLength(20);
    expect(steps[19]!.features.slice(0, 8)).toEqual([0, 0, 1024, 64, 8191, 0, 1024, 64]);
    const { counters } = pipeline;
    expect(counters).toMatchObject({ frames: 20, tokens: 20, skips: 0 });
    expect([...counters.perTier]).toEqual([20, 0, 0, 0]);
    expect(counters.macs).toBeLessThanOrEqual(counters.macsDense);
    expect(counters.macs).toBeGreaterThan(
      0.99 * (counters.macsDense - 4 * engine.cost(engine.plans[0]!.write).macs),
    );
  });

  it('starts anew at reset', () => {
    const random = randomOf(3);
    const rows = Array.from({ length: 120 }, () => [20 + random() * 2, 40 + random() * 2]);
    const { spied } = engineOf();
    const pipeline = new Pipeline(spied, 0, { policy: 'prototype' });
    const play = () =>
      rows.map((row, tick) => structuredClone(pipeline.tick(frameOf(row, tick * INTERVAL_MS))));
    const before = play();
    const counters = structuredClone(pipeline.counters);
    pipeline.reset();
    expect(pipeline.counters).toMatchObject({ frames: 0, macs: 0, macsDense: 0 });
    expect(pipeline.output.hasValue).toBe(false);
    expect(play()).toEqual(before);
    expect(pipeline.counters).toEqual(counters);
  });

  it.each([
    [{ policy: 'none' }, /policy: expected one of/],
    [{ policy: 'energy' }, /policy energy: expected a model that predicts regret, .* got one without/],
    [{ spikes: spikesOf(3, 1) }, /spikes.delta: expected 2 numbers/],
  ])('refuses %j', (options, message) => {
    expect(() => new Pipeline(engineOf().engine, 0, options as PipelineOptions)).toThrow(message);
  });

  it('refuses a model that takes other features', () => {
    const engine = new Engine(tinyModel({ config: { features: 25 } }));
    expect(() => new Pipeline(engine, 0)).toThrow(/takes the features that the gate makes/);
  });
});

/** Six channels that follow one factor; from `loose` on, the last one follows nothing. */
function coupled(ticks: number, loose: number): number[][] {
  const random = randomOf(11);
  return Array.from({ length: ticks }, (_, tick) => {
    const factor = 4 * random();
    const free = 4 * random();
    return [0, 1, 2, 3, 4, 5].map(
      (channel) => 20 + (tick >= loose && channel === 5 ? free : factor) + 0.1 * random(),
    );
  });
}

describe('Pipeline and trust', () => {
  it('never lets trust touch the compute by default, and freezes while lambda alarms', () => {
    const { spied, steps } = engineOf(6);
    const pipeline = new Pipeline(spied, 0, {
      policy: { ...steadyPolicy, lambdaFreezeEnterQ15: 16384, lambdaFreezeLeaveQ15: 18432 },
    });
    const witnesses = coupled(600, 400).map((row) => next(pipeline, row));
    const tokens = witnesses.filter((witness) => witness.tier !== 3);
    expect(tokens.every((witness) => witness.tier === 0)).toBe(true);
    expect(witnesses.slice(0, 400).every((witness) => witness.trust === 'allow')).toBe(true);
    const frozen = tokens.filter((witness) => witness.kv === 'freeze');
    expect(frozen.length).toBeGreaterThan(20);
    for (const witness of frozen) expect(witness).toMatchObject({ kvWrites: 0, reason: 'lambdaBelowMin' });
    expect(steps.filter((step) => step.plan.kv === 'freeze')).toHaveLength(frozen.length);
  });

  /** Lambda quarantines, and in the end returns. */
  const quarantining = {
    ...steadyPolicy,
    lambdaQuarantineEnterQ15: 16384,
    lambdaQuarantineLeaveQ15: 18432,
  };
  const lossAndReturn = () => [...coupled(600, 400), ...coupled(600, 600)];

  it('quarantines what it distrusts, and writes again when trust returns', () => {
    const { spied } = engineOf(6);
    const pipeline = new Pipeline(spied, 0, { policy: quarantining });
    const tokens = lossAndReturn()
      .map((row) => ({ ...next(pipeline, row) }))
      .filter(({ tier }) => tier !== 3);
    for (const { trust, kv, kvWrites, held } of tokens) {
      expect(kv).toBe(trust === 'quarantine' ? 'quarantine' : trust === 'freezeWrites' ? 'freeze' : 'write');
      expect(kvWrites > 0).toBe(kv !== 'freeze');
      expect(held).toBe(false);
    }
    const quarantined = tokens.filter(({ kv }) => kv === 'quarantine');
    expect(quarantined.length).toBeGreaterThan(20);
    expect(tokens.at(-1)!.kv).toBe('write');
  });

  it('withholds what quarantined tokens say if asked to: the output before them is held, and ages', () => {
    const { spied } = engineOf(6);
    const pipeline = new Pipeline(spied, 0, { policy: quarantining, withholdQuarantined: true });
    let quarantined = 0;
    let ageIntervals = 0;
    let probabilities: number[] = [];
    for (const row of lossAndReturn()) {
      const { tier, trust, held } = next(pipeline, row);
      const isNew = tier !== 3 && trust !== 'quarantine';
      expect(held).toBe(!isNew);
      ageIntervals = isNew ? 0 : ageIntervals + 1;
      expect(pipeline.output.ageIntervals).toBe(ageIntervals);
      if (!isNew) expect([...pipeline.output.probabilities]).toEqual(probabilities);
      probabilities = [...pipeline.output.probabilities];
      if (tier !== 3 && trust === 'quarantine') quarantined++;
    }
    expect(quarantined).toBeGreaterThan(20);
  });

  it('spends less on a bad lambda with the prototype policy', () => {
    const { spied } = engineOf(6);
    const pipeline = new Pipeline(spied, 0, { policy: 'prototype' });
    for (const row of coupled(600, 400)) next(pipeline, row);
    expect(pipeline.counters.perTier[1]! + pipeline.counters.perTier[2]!).toBeGreaterThan(20);
    expect(pipeline.counters.macs).toBeLessThan(pipeline.counters.macsDense);
  });
});

describe('Pipeline and compute', () => {
  it('by regret runs tier 1 exactly where the last output was sure, and says why', () => {
    const { spied } = engineOf();
    const pipeline = new Pipeline(spied, 0, { policy: 'energy', regret });
    const random = randomOf(5);
    const tiers = new Set<number>();
    let doubt = 1;
    for (let tick = 0; tick < 200; tick++) {
      const witness = next(pipeline, [20 + 4 * random(), 40 + 4 * random()]);
      if (witness.tier === 3) continue;
      expect(witness.regretQ15).toBe(doubt >= 0.3 ? Q15_ONE : 0);
      expect(witness.doubtQ15).toBe(Math.round(doubt * Q15_ONE));
      expect(witness).toMatchObject(
        doubt >= 0.3 ? { tier: 0, reason: 'regret' } : { tier: 1, reason: 'none' },
      );
      tiers.add(witness.tier);
      doubt = 1 - pipeline.output.confidence;
    }
    expect([...tiers].sort()).toEqual([0, 1]);
  });

  it('by events runs less than steady, and steady runs every token in full', () => {
    const macs = (['steady', 'events', 'aggressive'] as const).map((policy) => {
      const pipeline = new Pipeline(engineOf(6).engine, 0, { policy });
      for (const row of coupled(600, 600)) next(pipeline, row);
      expect(pipeline.counters.perTier[3]).toBeLessThan(300);
      return pipeline.counters.macs;
    });
    expect(macs[1]).toBeLessThan(macs[0]!);
    expect(macs[2]).toBeLessThan(macs[1]!);
  });

  it('decides the same with lambda known exactly as where bounds do', () => {
    const plain = new Pipeline(engineOf(6).engine, 0, { policy: 'conservative' });
    const exact = new Pipeline(engineOf(6).engine, 0, { policy: 'conservative', exactLambda: true });
    let bounded = 0;
    coupled(1500, 1000).forEach((row, tick) => {
      const [a, b] = [plain, exact].map((pipeline) => pipeline.tick(frameOf(row, tick * INTERVAL_MS)));
      if (!a!.isExact) bounded++;
      expect([a!.tier, a!.trust, a!.reason, a!.logitsHash]).toEqual([
        b!.tier,
        b!.trust,
        b!.reason,
        b!.logitsHash,
      ]);
      expect(b!.isExact && a!.lambdaFloorQ15 <= b!.lambdaQ15 && b!.lambdaQ15 <= a!.lambdaQ15).toBe(true);
    });
    expect(bounded).toBeGreaterThan(500);
  });
});

const spikes: fc.Arbitrary<SpikeSettings> = fc.record({
  delta: fc.constantFrom([0.1, 0.1], [1, 2], [0, 0]),
  heartbeat: fc.constantFrom([5, 9], [1e9, 1e9]),
  refractory: fc.constantFrom([0, 0], [3, 1]),
});
const value = fc.oneof(
  { weight: 9, arbitrary: fc.double({ min: 15, max: 45, noNaN: true }) },
  fc.constant(Number.NaN),
);
const ticks = fc.array(
  fc.record({ values: fc.tuple(value, value), gap: fc.constantFrom(0.5, 0.98, 1, 1.02, 40) }),
  {
    minLength: 1,
    maxLength: 60,
  },
);

describe('Pipeline, for any stream', () => {
  const shared = engineOf();

  it('adds up: frames, tiers, MACs, bounds, elapsed time and what is held', () => {
    fc.assert(
      fc.property(spikes, ticks, fc.constantFrom(...policyNames), (settings, rows, policy) => {
        const pipeline = new Pipeline(shared.engine, 0, { spikes: settings, policy, regret });
        pipeline.reset();
        let time = 0;
        let elapsed = 0;
        let macs = 0;
        let previous = 0;
        rows.forEach(({ values, gap }, tick) => {
          time += gap * INTERVAL_MS;
          elapsed += tick === 0 ? 0 : gap;
          const witness = pipeline.tick(frameOf(values, time));
          expect(witness.elapsedIntervals).toBeCloseTo(elapsed, 9);
          expect(pipeline.output.isHeld).toBe(witness.tier === 3);
          if (witness.tier === 3) expect(witness.logitsHash).toBe(previous);
          else
            expect(witness.macs).toBeLessThanOrEqual(
              shared.engine.cost(shared.engine.plans[witness.tier]!.write).macs,
            );
          if (witness.tier !== 3) elapsed = 0;
          previous = witness.logitsHash;
          macs += witness.macs;
        });
        const { counters } = pipeline;
        expect(counters.tokens + counters.skips).toBe(rows.length);
        expect([...counters.perTier].reduce((sum, count) => sum + count)).toBe(rows.length);
        expect(counters.perTier[3]).toBe(counters.skips);
        expect(counters.macs).toBe(macs);
        expect(counters.missing).toBe(rows.flatMap((row) => row.values).filter(Number.isNaN).length);
      }),
      { seed: SEED },
    );
  });
});

/**
 * Modules as if they had just been loaded. What V8 has learned of a function's callers stays with it, and may keep it
 * from ever compiling away a boxed double: here of the tests before.
 */
async function loadAnew() {
  vi.resetModules();
  const { Engine } = await import('../../src/engine/engine.ts');
  const { Pipeline } = await import('../../src/gateway/pipeline.ts');
  return { Engine, Pipeline };
}

/** Tries on modules loaded anew: V8 doesn't compile the same each time, but what allocates does so in all of them. */
const retry = 3;

describe('Pipeline, in steady state', () => {
  it.each([
    ['gated', {}],
    ['gated by the prototype', { policy: 'prototype' }],
    ['gated by events', { policy: 'events' }],
    ['gated by regret', { policy: 'energy', regret }],
    ['gated with drift', { policy: 'conservative' }],
    ['dense', { gating: false }],
    ['gated, with trends', {}, 'trends'],
  ] as [string, PipelineOptions, FeatureSet?][])(
    'allocates nothing: %s',
    { retry },
    async (_, options, features) => {
      const fresh = await loadAnew();
      const engine = new fresh.Engine(engineOf(6, features).engine.model, { streams: 2 });
      const pipeline = new fresh.Pipeline(engine, 0, options);
      const rows = coupled(1024, 512);
      const frame = frameOf([0, 0, 0, 0, 0, 0]);
      // Drift is measured every fourth tick: it takes longer until that is compiled.
      const ticksPerRound = options.policy === 'conservative' ? 40_000 : 10_000;
      const bytes = heapBytesPerCall((tick) => {
        frame.timeMs = tick * INTERVAL_MS;
        // Every second tick repeats the one before, so that half of them are skipped.
        for (let channel = 0; channel < 6; channel++)
          frame.values[channel] = rows[(tick >> 1) & 1023]![channel]!;
        pipeline.tick(frame);
      }, ticksPerRound);
      expect(bytes).toBeLessThan(NOTHING_BYTES);
      expect(pipeline.counters.frames).toBeGreaterThanOrEqual(ticksPerRound);
      expect(pipeline.counters.skips > 0.1 * pipeline.counters.frames).toBe(options.gating !== false);
    },
  );
});
