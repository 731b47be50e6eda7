import { describe, expect, it } from 'vitest';
import { Engine } from '../../src/engine/engine.ts';
import type { HeadPattern } from '../../src/engine/patterns.ts';
import {
  type AttentionSample,
  append,
  collectTokens,
  type HeadSample,
  sampleAttention,
  type Token,
} from '../../src/eval/attention-samples.ts';
import { judgePattern, searchPatterns } from '../../src/eval/pattern-search.ts';
import { randomNumbers, tinyModel } from '../engine/tiny-model.ts';
import { makeSeries } from './helpers.ts';

const window = 160;

/** One head, whose attention lies where `shareAt` says. */
function sampleOf(
  position: number,
  shareAt: (age: number) => number,
  blocks: ReadonlyMap<number, number> = new Map(),
  marks = new Int32Array(window),
): AttentionSample {
  const shares = Float64Array.from({ length: window }, (_, age) => shareAt(age));
  const total = shares.reduce((sum, share) => sum + share, 0);
  const head: HeadSample = { shares: shares.map((share) => share / total), blocks };
  return { position, heads: [[head]], marks };
}

function search(samples: readonly AttentionSample[], mass = 0.95) {
  return searchPatterns(samples, mass)[0]![0]!;
}

describe('searchPatterns', () => {
  it('takes the newest where they hold enough', () => {
    const choice = search([sampleOf(500, (age) => 2 ** -age)]);
    expect(choice).toMatchObject({ kind: 'a-shape', pattern: { local: 8 }, positions: 8 });
    expect(choice.recall).toBeGreaterThan(0.99);
  });

  it('takes ages where every query looks at the same', () => {
    const samples = [500, 501, 530].map((position) => sampleOf(position, (age) => Number(age % 24 === 0)));
    expect(search(samples)).toMatchObject({ kind: 'vertical-slash', recall: expect.closeTo(1) });
    expect(search(samples).pattern.ages).toEqual(expect.arrayContaining([24, 48, 72, 96, 120, 144]));
  });

  it('takes novel tokens where these are looked at, whatever their age', () => {
    const samples = [60, 75, 110].map((age) => {
      const marks = new Int32Array(window);
      marks[age] = 9;
      return sampleOf(500, (at) => Number(at === age), new Map(), marks);
    });
    expect(search(samples)).toMatchObject({
      kind: 'vertical-slash',
      recall: expect.closeTo(1),
      positions: 5,
    });
    expect(search(samples).pattern).toEqual({ local: 4, pinned: 4 });
  });

  it('takes blocks where their keys say which, and each query looks at another', () => {
    // Block 12 holds ages 500 - 384 = 116 down to 85.
    const samples = [12, 13, 14].map((block) => {
      const oldest = 500 - 32 * block;
      const scores = new Map([11, 12, 13, 14].map((number) => [number, number === block ? 50 : 10]));
      return sampleOf(500, (age) => Number(age <= oldest && age > oldest - 32), scores);
    });
    expect(search(samples)).toMatchObject({
      kind: 'block-sparse',
      pattern: { local: 4, blocks: 1 },
      recall: expect.closeTo(1),
    });
  });

  it('leaves a head that looks everywhere alone', () => {
    expect(search([sampleOf(500, () => 1)])).toMatchObject({ kind: 'dense', pattern: { local: window } });
  });
});

describe('sampleAttention', () => {
  const limits = { layers: 2, sequence: window, window };
  const model = tinyModel({ seed: 4, config: { sequence: window, window, tiers: [limits, limits, limits] } });
  const random = randomNumbers(1);
  const tokens: Token[] = Array.from({ length: 400 }, () => ({
    features: Int16Array.from({ length: 24 }, () => Math.round((random() * 2 - 1) * 4000)),
    kv: 'write',
    mark: random() < 0.1 ? Math.floor(random() * 100) : 0,
    held: 0,
  }));
  const samples = sampleAttention(model, [tokens], 20);

  it('spreads samples over the tokens with a whole past, each of shares that sum to 1', () => {
    expect(samples).toHaveLength(20);
    expect(samples[0]!.position).toBe(window);
    for (const { heads } of samples) {
      for (const { shares } of heads.flat()) {
        expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 4);
      }
    }
    expect(sampleAttention(model, [tokens.slice(0, window)], 20)).toEqual([]);
  });

  it.each<[string, HeadPattern]>([
    ['a-shape', { local: 20 }],
    ['vertical-slash', { local: 8, pinned: 4, ages: [24, 48, 72] }],
    ['block-sparse', { local: 10, blocks: 2 }],
  ])('a %s is judged by the positions that the engine looks at', (_, pattern) => {
    const patterns = [0, 1].map(() => [pattern, pattern]);
    const engine = new Engine({ ...model, config: { ...model.config, patterns } });
    for (const [at, token] of tokens.entries()) {
      append(engine, token);
      const sample = samples.find(({ position }) => position === at);
      if (sample === undefined) continue;
      const judged = [0, 1].map((layer) =>
        [0, 1].map((head) => judgePattern(pattern, [sample], layer, head)),
      );
      const positions = judged.map((layer) => layer.reduce((sum, one) => sum + one.positions, 0) / 2);
      expect(engine.stats.positions).toBe(Math.ceil(positions[0]!) + Math.ceil(positions[1]!));
      for (const { recall } of judged.flat()) expect(recall).toBeLessThan(1);
    }
  });
});

describe('collectTokens', () => {
  it('gives what a pipeline would run: all ticks, or those that the gate wakes for, with their novelty', () => {
    const series = makeSeries(
      'a',
      Array.from({ length: 40 }, (_, row) => [row < 20 ? 20 : 26, 20]),
      null,
    );
    const model = tinyModel();
    const [every, gated] = [true, false].map((everyTick) => collectTokens(model, [series], everyTick)[0]!);
    expect(every!).toHaveLength(40);
    expect(gated!).toHaveLength(2);
    expect(gated![1]!.held).toBe(19);
    expect(gated![1]!.mark).toBeGreaterThan(0);
  });
});
