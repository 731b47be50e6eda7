import { describe, expect, test } from 'vitest';
import type { TransformerConfig } from '../../src/engine/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { type Feedback, Speculation } from '../../src/engine/speculation.ts';
import { randomNumbers, tinyModel } from './tiny-model.ts';

const width = 24;
const config: Partial<TransformerConfig> = {
  features: width,
  outputs: 3,
  layers: 3,
  window: 4,
  sequence: 16,
  tiers: [
    { layers: 3, sequence: 16, window: 4 },
    { layers: 2, sequence: 6, window: 3 },
    { layers: 1, sequence: 2, window: 2 },
  ],
};

/** Rounds each logit to one of `levels`, and spreads them over the features. */
function feedbackOf(levels: number): Feedback {
  return (logits, features) => {
    for (let i = 0; i < features.length; i++) {
      const level = Math.round((Math.tanh(logits[i % logits.length]! / 65536) * levels) / 2);
      features[i] = Math.round((level * 6000) / (levels + 1)) * ((i % 5) - 2);
    }
  };
}

function greedy(engine: Engine, features: Int16Array, count: number, feedback: Feedback): Int32Array {
  const { outputs } = engine.config;
  const logits = new Int32Array(count * outputs);
  const next = features.slice();
  for (let tick = 0; tick < count; tick++) {
    engine.step(0, next, engine.plans[0]!.write);
    logits.set(engine.logits, tick * outputs);
    feedback(engine.logits, next);
  }
  return logits;
}

describe('Speculation', () => {
  test('equals greedy decoding in 10,000 rollouts, and has drafts of all lengths accepted', () => {
    const kept = new Set<number>();
    let rollouts = 0;
    for (let caseSeed = 0; caseSeed < 100; caseSeed++) {
      const model = tinyModel({ seed: caseSeed, config });
      const [plain, speculating] = [new Engine(model), new Engine(model)];
      const feedback = feedbackOf([1, 2, 4, 16, 256][caseSeed % 5]!);
      const drafts = 1 + (caseSeed % 4);
      const speculation = new Speculation(speculating, { drafts, layers: 1 + (caseSeed % 2), feedback });
      const random = randomNumbers(caseSeed);
      for (let rollout = 0; rollout < 100; rollout++) {
        const start = Int16Array.from({ length: width }, () => Math.round((random() * 2 - 1) * 4000));
        const count = 1 + Math.floor(random() * 10);
        const logits = new Int32Array(count * model.config.outputs);
        const before = speculation.counters.accepted;
        speculation.rollout(0, start, count, logits);
        kept.add(speculation.counters.accepted - before);
        expect(logits).toEqual(greedy(plain, start, count, feedback));
        rollouts++;
        if (random() < 0.5) continue;
        // Back to the measured past: a forecast is no reading.
        plain.rollback(0, count);
        speculating.rollback(0, count);
      }
    }
    expect(rollouts).toBe(10_000);
    expect([...kept].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('counts what it did: a feedback that never changes accepts every draft', () => {
    const engine = new Engine(tinyModel({ config }));
    const speculation = new Speculation(engine, {
      drafts: 3,
      layers: 1,
      feedback: (_, next) => next.fill(7),
    });
    speculation.rollout(0, new Int16Array(width), 10, new Int32Array(10 * 3));
    expect(speculation.counters).toMatchObject({ drafted: 7, accepted: 7, verifications: 3 });
    expect(speculation.counters.macs).toBeGreaterThan(0);
  });

  test('refuses drafts that would overwrite what windows still see, and layers that leave nothing to verify', () => {
    const engine = new Engine(tinyModel({ config }));
    const feedback: Feedback = () => {};
    const make = (drafts: number, layers: number) => () =>
      new Speculation(engine, { drafts, layers, feedback });
    expect(make(13, 1)).toThrow('drafts: expected a whole number from 1 to 12, got 13');
    expect(make(1, 3)).toThrow('layers: expected a whole number from 1 to 2, got 3');
  });
});
