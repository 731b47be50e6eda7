import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadModel, saveModel } from '../../src/engine/model-file.ts';
import { CANDIDATES, Candidates, candidateNames } from '../../src/gate/candidates.ts';
import { DampedTrend, MovingAverage } from '../../src/gate/expectation.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { channelsOf, heapBytesPerCall, NOTHING_BYTES, randomOf, SEED } from './fixtures.ts';

const rule = { energyHalfLife: 8, levelHalfLife: 6 };
const [model, hold, trend, average] = [0, 1, 2, 3];

/** A token at every tick of one channel; `predict` is the model. Gives what was chosen last. */
function play(values: readonly number[], predict: (tick: number) => number, scale = 1): Candidates {
  const candidates = new Candidates(channelsOf(1, 0, scale), 1, rule);
  const sharp = Float64Array.of(1);
  for (const [tick, value] of values.entries()) {
    candidates.observe(Float64Array.of(value), tick === 0 ? 0 : 1, sharp);
    candidates.propose(Float64Array.of(predict(tick)));
  }
  return candidates;
}

describe('Candidates', () => {
  test('puts out the model as long as nothing speaks against it', () => {
    const values = Float64Array.of(7);
    const candidates = new Candidates(channelsOf(1), 1, rule);
    candidates.propose(values);
    expect([...values, candidates.chosen[0], candidates.rivalChannels]).toEqual([7, model, 0]);
    expect(play([1, 1, 1, 1], () => 1).chosen[0]).toBe(model); // hold is as good, and comes later
    expect(candidateNames[0]).toBe('model');
  });

  test.each([
    ['a step that stays', Array.from({ length: 40 }, (_, t) => (t < 20 ? 0 : 5)), hold],
    ['a ramp', Array.from({ length: 40 }, (_, t) => 3 * t), trend],
    ['what alternates', Array.from({ length: 40 }, (_, t) => (t % 2 === 0 ? 1 : -1)), average],
  ])('finds what predicts %s', (_, values, winner) => {
    const candidates = play(values, () => 100);
    expect(candidateNames[candidates.chosen[0]!]).toBe(candidateNames[winner!]);
    expect([candidates.rivalKinds, candidates.rivalChannels]).toEqual([1 << winner!, 1]);
  });

  test('finds the model where it is right, and comes back to it', () => {
    const wave = Array.from({ length: 80 }, (_, t) => Math.sin(t));
    expect(play(wave, (t) => Math.sin(t + 1)).chosen[0]).toBe(model);
    const late = play(wave, (t) => (t < 20 ? 50 : Math.sin(t + 1)));
    expect(late.chosen[0]).toBe(model);
  });

  test('lets a tick count the less the noisier the head had said it would be', () => {
    // The model errs by 4 at even ticks, which it calls noisy; holding errs by 1 at odd ones, which it calls quiet.
    const chosen = (quiet: number, noisy: number) => {
      const candidates = new Candidates(channelsOf(1), 1, { energyHalfLife: 64, levelHalfLife: 1 });
      for (let tick = 0; tick < 60; tick++) {
        const value = tick % 2;
        const isNoisy = tick % 2 === 0;
        candidates.observe(Float64Array.of(value), 1, Float64Array.of(isNoisy ? noisy : quiet));
        candidates.propose(Float64Array.of(tick % 2 === 0 ? 1 : 2.2));
      }
      return candidates.chosen[0];
    };
    expect(chosen(1, 1)).not.toBe(model);
    expect(chosen(1, 1 / 100)).toBe(model);
  });

  test('lets one wild reading decide nothing for long', () => {
    const values = Array.from({ length: 60 }, (_, t) => (t === 40 ? 1e9 : 0.1 * (t % 3)));
    // Whatever a reading is, it is worth at most eight scales: eight half-lives of 8 ticks later that is 1/32.
    expect(play(values, () => 0.1).scaleOf(model, 0)).toBeLessThan(8 * 2 ** (-19 / 8) + 0.2);
  });

  test('gives a density around each candidate: its mean error', () => {
    const values = Array.from({ length: 400 }, (_, t) => (t % 2 === 0 ? 2 : -2));
    const candidates = play(values, () => 1, 4);
    expect(candidates.scaleOf(hold!, 0)).toBeCloseTo(1, 6);
    expect(candidates.scaleOf(model!, 0)).toBeGreaterThan(1 / 4);
    expect(candidates.scaleOf(model!, 0)).toBeLessThan(3 / 4);
    // What never errs is not believed to know everything.
    expect(play(Array(50).fill(3), () => 3).scaleOf(hold!, 0)).toBeGreaterThan(0);
    expect(new Candidates(channelsOf(1), 1, rule).scaleOf(hold!, 0)).toBeNaN();
  });

  test.each([1, 3])('is what its definition says, over all that was, horizon %d', (horizon) => {
    const tick = fc.record({
      intervals: fc.integer({ min: 1, max: 3 }),
      isToken: fc.boolean(),
      values: fc.array(
        fc.oneof({ weight: 9, arbitrary: fc.integer({ min: -9, max: 9 }) }, fc.constant(Number.NaN)),
        {
          minLength: 2,
          maxLength: 2,
        },
      ),
      predicted: fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 2, maxLength: 2 }),
      sharpness: fc.constantFrom(0.25, 1, 2),
    });
    fc.assert(
      fc.property(fc.array(tick, { minLength: 1, maxLength: 30 }), (ticks) => {
        const candidates = new Candidates(channelsOf(2, 0, 2), horizon, rule);
        const reference = new Reference(horizon);
        for (const [index, { values, predicted, intervals, isToken, sharpness }] of ticks.entries()) {
          const passed = index === 0 ? 0 : intervals;
          candidates.observe(Float64Array.from(values), passed, new Float64Array(2).fill(sharpness));
          reference.observe(values, Math.max(1, passed), sharpness);
          if (!isToken) continue;
          const out = Float64Array.from({ length: 2 * horizon }, (_, i) =>
            i % horizon === 0 ? predicted[i / horizon]! : 55,
          );
          candidates.propose(out);
          reference.propose(predicted);
          for (const channel of [0, 1]) {
            const energies = reference.energies(channel);
            const best = candidates.chosen[channel]!;
            expect(energies[best]!).toBeLessThanOrEqual(Math.min(...energies) + 1e-9);
            expect(out[channel * horizon]).toBe(candidates.predictions[best * 2 + channel]);
            for (let ahead = 1; ahead < horizon; ahead++) expect(out[channel * horizon + ahead]).toBe(55);
            for (let k = 0; k < CANDIDATES; k++) {
              expect(candidates.predictions[k * 2 + channel]).toBe(reference.standing[k]![channel]);
              const scale = reference.scaleOf(k, channel);
              if (Number.isFinite(scale))
                expect(candidates.scaleOf(k, channel)).toBeCloseTo(Math.max(0.01, scale), 9);
            }
          }
        }
      }),
      { seed: SEED, numRuns: 100 },
    );
  });

  test('remembers nothing after a reset', () => {
    const candidates = play(
      Array.from({ length: 40 }, (_, t) => 3 * t),
      () => 100,
    );
    candidates.reset();
    const values = Float64Array.of(1);
    candidates.observe(Float64Array.of(5), 0, Float64Array.of(1));
    candidates.propose(values);
    expect([values[0], candidates.chosen[0], candidates.rivalKinds]).toEqual([1, model, 0]);
  });

  test.skipIf(globalThis.gc === undefined)('allocates nothing', () => {
    const random = randomOf(SEED);
    const candidates = new Candidates(channelsOf(8), 1, rule);
    const sharp = new Float64Array(8).fill(1.5);
    const ticks = Array.from({ length: 64 }, () => Float64Array.from({ length: 8 }, random));
    const out = new Float64Array(8);
    const bytes = heapBytesPerCall((tick) => {
      candidates.observe(ticks[tick & 63]!, 1, sharp);
      if (tick % 3 !== 0) return;
      out.set(ticks[(tick + 7) & 63]!);
      candidates.propose(out);
    });
    expect(bytes).toBeLessThan(NOTHING_BYTES);
  });
});

/** Everything that ever happened, in lists. */
class Reference {
  standing: number[][] = Array.from({ length: CANDIDATES }, () => [Number.NaN, Number.NaN]);
  #now = 0;
  #tokenAt = Number.NaN;
  readonly #last = [Number.NaN, Number.NaN];
  readonly #trend = new DampedTrend(2);
  readonly #average = new MovingAverage(2, rule.levelHalfLife);
  readonly #horizon: number;
  /** Each: when, of which channel, and of every candidate the error, and how sharp the head was. */
  readonly #judged: { at: number; channel: number; errors: number[]; sharpness: number; weight: number }[] =
    [];

  constructor(horizon: number) {
    this.#horizon = horizon;
  }

  observe(values: readonly number[], passed: number, sharpness: number): void {
    this.#now += passed;
    const ahead = this.#now - this.#tokenAt;
    for (const channel of [0, 1]) {
      const value = values[channel]!;
      const stands = this.standing.every((candidate) => Number.isFinite(candidate[channel]));
      if (Number.isFinite(value) && stands && (this.#horizon === 1 || ahead === 1)) {
        const errors = this.standing.map((candidate) =>
          Math.min(8, Math.abs(value - candidate[channel]!) / 2 / Math.sqrt(ahead)),
        );
        const weight = 1 - 2 ** (-passed / rule.energyHalfLife);
        this.#forget(channel, passed);
        this.#judged.push({ at: this.#now, channel, errors, sharpness, weight });
      }
      if (Number.isFinite(value)) this.#last[channel] = value;
    }
    this.#trend.learn(Float64Array.from(values), Float64Array.of(passed));
    this.#average.learn(Float64Array.from(values), Float64Array.of(passed));
  }

  #forget(channel: number, passed: number): void {
    for (const one of this.#judged)
      if (one.channel === channel) one.weight *= 2 ** (-passed / rule.energyHalfLife);
  }

  propose(predicted: readonly number[]): void {
    const one = Float64Array.of(1);
    this.#trend.advance(one);
    this.#average.advance();
    this.standing = [[...predicted], [...this.#last], [...this.#trend.values], [...this.#average.values]];
    this.#tokenAt = this.#now;
  }

  energies(channel: number): number[] {
    return this.standing.map((candidate, k) =>
      Number.isFinite(candidate[channel])
        ? this.#sum(channel, (one) => one.errors[k]! * one.sharpness)
        : Number.POSITIVE_INFINITY,
    );
  }

  scaleOf(candidate: number, channel: number): number {
    return this.#sum(channel, ({ errors }) => errors[candidate]!) / this.#sum(channel, () => 1);
  }

  #sum(channel: number, of: (one: { errors: number[]; sharpness: number }) => number): number {
    const own = this.#judged.filter((one) => one.channel === channel);
    return own.reduce((sum, one) => sum + one.weight * of(one), 0);
  }
}

test('are kept in the file of a model that predicts, and refused where they mean nothing', () => {
  const anomaly = { config: { outputs: 4 }, meaning: { task: { kind: 'anomaly', threshold: 2 } as const } };
  const withRule = (candidates: object, base = anomaly) =>
    tinyModel({ ...base, meaning: { ...base.meaning, candidates: candidates as never } });
  expect(loadModel(saveModel(withRule(rule))).meaning.candidates).toEqual(rule);
  const refused = (candidates: object) => () => saveModel(withRule(candidates));
  expect(refused({ ...rule, energyHalfLife: 0 })).toThrow(
    /meaning.candidates.energyHalfLife: expected a number above 0/,
  );
  expect(refused({ ...rule, levelHalfLife: 1.5 })).toThrow(/levelHalfLife: expected a whole number/);
  expect(refused({ ...rule, more: 1 })).toThrow(/meaning.candidates.more: unknown/);
  expect(() => saveModel(tinyModel({ meaning: { candidates: rule } }))).toThrow(/got classify/);
});
