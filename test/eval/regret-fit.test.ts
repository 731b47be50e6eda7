import { describe, expect, it } from 'vitest';
import { Engine } from '../../src/engine/engine.ts';
import { LOGIT_ONE } from '../../src/engine/limits.ts';
import type { ModelMeaning } from '../../src/engine/model.ts';
import { checkRegret, collectTokens, fitRegret, type RegretTokens } from '../../src/eval/regret-fit.ts';
import { regretFeatureNames } from '../../src/gate/regret.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import type { PipelineEngine } from '../../src/gateway/pipeline-options.ts';
import type { Series } from '../../src/recording/recording.ts';
import { randomNumbers, tinyModel } from '../engine/tiny-model.ts';

function seriesOf(rows: number, seed: number): Series {
  const random = randomNumbers(seed);
  return {
    name: 'made.csv',
    rows,
    timeMs: Float64Array.from({ length: rows }, (_, row) => row * 1000),
    values: Float64Array.from({ length: 2 * rows }, () => 18 + 4 * random()),
    labels: null,
  };
}

/** Its tiers often disagree. */
const torn = tinyModel({ seed: 1 });

/** Both tiers at every token, the slow way: a second engine repeats the whole past for tier 1. */
function differencesBySlowWay(series: Series): number[] {
  const model = torn;
  const engine = new Engine(model);
  const past: Int16Array[] = [];
  const found: number[] = [];
  const spied: PipelineEngine = {
    model,
    plans: engine.plans,
    logits: engine.logits,
    stats: engine.stats,
    marks: engine.marks,
    hold: (stream, ticks) => engine.hold(stream, ticks),
    cost: (plan) => engine.cost(plan),
    reset: () => past.splice(0),
    step(_, features, plan) {
      const other = new Engine(model);
      for (const before of past) other.step(0, before, other.plans[0]!.write);
      other.step(0, features, other.plans[1]!.write);
      engine.step(0, features, plan);
      found.push(Number(engine.logits[1]! > engine.logits[0]! !== other.logits[1]! > other.logits[0]!));
      past.push(features.slice());
    },
  };
  const pipeline = new Pipeline(spied, 0);
  for (let row = 0; row < series.rows; row++) {
    pipeline.tick({ timeMs: series.timeMs[row]!, values: series.values.slice(2 * row, 2 * row + 2) });
  }
  return found.slice(1);
}

describe('collectTokens', () => {
  it('sees at each token what tier 1 would have said from the same past, and leaves no trace of asking', () => {
    const series = seriesOf(60, 4);
    const tokens = collectTokens(torn, [{ series, scoredFrom: 0 }], 0.1);
    const expected = differencesBySlowWay(series);
    expect([...tokens.differs]).toEqual(expected);
    expect(expected.reduce((sum, one) => sum + one, 0)).toBeGreaterThan(3);
    expect(tokens.features.length).toBe(expected.length * regretFeatureNames.length);
    expect(tokens.nears.every((near, row) => near >= tokens.differs[row]!)).toBe(true);
  });

  it('starts anew with each part, and counts from its first scored row', () => {
    const series = seriesOf(40, 5);
    const once = collectTokens(torn, [{ series, scoredFrom: 0 }], 0.1);
    const twice = collectTokens(
      tinyModel(),
      [0, 30].map((scoredFrom) => ({ series, scoredFrom })),
      0.1,
    );
    expect([...twice.differs.subarray(0, once.differs.length)]).toEqual([...once.differs]);
    expect(twice.differs.length).toBeLessThanOrEqual(once.differs.length + 10);
    expect([...twice.differs].slice(once.differs.length)).toEqual(
      [...once.differs].slice(-(twice.differs.length - once.differs.length)),
    );
  });

  it('compares predictions by their distance in channel scales', () => {
    const meaning: Partial<ModelMeaning> = { task: { kind: 'forecast', horizon: 1 } };
    const model = tinyModel({ meaning });
    const series = seriesOf(40, 6);
    const shareAt = (tolerance: number) => {
      const { differs } = collectTokens(model, [{ series, scoredFrom: 0 }], tolerance);
      return differs.reduce((sum, one) => sum + one, 0) / differs.length;
    };
    expect(shareAt(0)).toBeGreaterThan(0.9);
    expect(shareAt(2 ** 31 / LOGIT_ONE)).toBe(0);
  });
});

/** Tokens that differ with a probability of their doubt over 4, and nothing else. */
function doubtful(count: number, seed: number): RegretTokens {
  const random = randomNumbers(seed);
  const features = Float64Array.from({ length: 7 * count }, random);
  const differs = Uint8Array.from({ length: count }, (_, row) =>
    random() < features[7 * row + 6]! / 4 ? 1 : 0,
  );
  return { features, differs, nears: differs };
}

describe('fitRegret', () => {
  it('finds what the difference depends on, with probabilities that hold on other tokens', () => {
    const model = fitRegret(doubtful(6000, 1), doubtful(6000, 2));
    const weights = model.weights.map(Math.abs);
    expect(weights.indexOf(Math.max(...weights))).toBe(6);
    const check = checkRegret(model, doubtful(6000, 3));
    expect(check.calibrationError).toBeLessThan(0.03);
    expect(check.brier).toBeLessThan(check.brierOfMean);
    for (const { limit, cheapShare, realised } of check.curve) {
      if (cheapShare > 0.05) expect(realised).toBeLessThan(limit);
    }
    expect(check.curve.at(-1)!.cheapShare).toBeGreaterThan(0.2);
  });

  it('says no less than either part shows', () => {
    const calm = doubtful(2000, 4);
    const model = fitRegret(doubtful(2000, 5), { ...calm, differs: new Uint8Array(2000) });
    expect(checkRegret(model, doubtful(2000, 6)).predicted).toBeGreaterThan(0.1);
  });

  it('refuses too few tokens', () => {
    expect(() => fitRegret(doubtful(199, 1), doubtful(300, 1))).toThrow(
      /expected 200 tokens or more in the training rows, got 199/,
    );
    expect(() => fitRegret(doubtful(300, 1), doubtful(10, 1))).toThrow(/in the validation rows, got 10/);
  });
});
