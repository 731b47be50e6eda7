import { describe, expect, it } from 'vitest';
import {
  type BlockedQuality,
  makeBlocks,
  metricIntervals,
  retentionInterval,
} from '../../src/eval/bootstrap.ts';
import { randomNumbers } from '../../src/statistics/random.ts';

/** Accuracy of blocks that are given as [rows, right]. */
function accuracyOf(...groups: [number, number][][]): BlockedQuality {
  return {
    name: 'accuracy',
    groupNames: groups.map((_, group) => `accuracy:${group}`),
    metricOf: (quality) => quality,
    groups: groups.map((blocks) => blocks.map((sums) => Float64Array.from(sums))),
    quality: ([rows, right]) => right! / rows!,
  };
}

describe('metricIntervals', () => {
  it('has one for all blocks and one for each group', () => {
    const even: [number, number][] = [
      [10, 5],
      [10, 5],
    ];
    const run = accuracyOf(even, [[30, 30]]);
    expect(metricIntervals(run)).toEqual({
      accuracy: [0.8, 0.8],
      'accuracy:0': [0.5, 0.5],
      'accuracy:1': [1, 1],
    });
  });

  it('is as wide as theory says', () => {
    const random = randomNumbers(6);
    const rows = Array.from({ length: 400 }, (): [number, number] => [1, random() < 0.8 ? 1 : 0]);
    const mean = rows.reduce((sum, [, right]) => sum + right, 0) / 400;
    const [low, high] = metricIntervals(accuracyOf(rows)).accuracy!;
    const half = 1.96 * Math.sqrt((mean * (1 - mean)) / 400);
    expect(Math.abs(low - (mean - half))).toBeLessThan(0.005);
    expect(Math.abs(high - (mean + half))).toBeLessThan(0.005);
  });

  it('turns a quality into the error that people read', () => {
    const run: BlockedQuality = {
      ...accuracyOf([[10, 5]]),
      name: 'mse',
      groupNames: [],
      metricOf: (q) => 1 / q,
    };
    expect(metricIntervals(run)).toEqual({ mse: [2, 2] });
  });
});

describe('retentionInterval', () => {
  it('knows none where there is nothing to keep', () => {
    const none = accuracyOf([[10, 0]]);
    expect(retentionInterval(accuracyOf([[10, 5]]), none)).toEqual([Number.NaN, Number.NaN]);
  });

  it('is a point where every block keeps the same', () => {
    const base = accuracyOf([
      [10, 10],
      [10, 10],
      [10, 10],
    ]);
    expect(
      retentionInterval(
        accuracyOf([
          [10, 9],
          [10, 9],
          [10, 9],
        ]),
        base,
      ),
    ).toEqual([0.9, 0.9]);
  });

  it('draws the same blocks for both: a run is as good as itself', () => {
    const run = accuracyOf([
      [10, 1],
      [10, 10],
      [10, 4],
    ]);
    expect(retentionInterval(run, run)).toEqual([1, 1]);
  });

  it('looks at the worst group', () => {
    const base = accuracyOf([[10, 10]], [[10, 10]]);
    expect(retentionInterval(accuracyOf([[10, 9]], [[10, 7]]), base)).toEqual([0.7, 0.7]);
  });

  it('is as wide as theory says', () => {
    // 400 blocks of one row each, right with a chance of 0.8: the deviation of the mean is 0.02.
    const random = randomNumbers(5);
    const rows = Array.from({ length: 400 }, (): [number, number] => [1, random() < 0.8 ? 1 : 0]);
    const mean = rows.reduce((sum, [, right]) => sum + right, 0) / 400;
    const [low, high] = retentionInterval(
      accuracyOf(rows),
      accuracyOf(rows.map(([count]) => [count, count])),
    );
    const deviation = Math.sqrt((mean * (1 - mean)) / 400);
    expect(Math.abs(low - (mean - 1.96 * deviation))).toBeLessThan(0.005);
    expect(Math.abs(high - (mean + 1.96 * deviation))).toBeLessThan(0.005);
  });

  it('says the same each time', () => {
    const run = accuracyOf([
      [10, 3],
      [10, 8],
      [10, 5],
    ]);
    const base = accuracyOf([
      [10, 5],
      [10, 8],
      [10, 9],
    ]);
    expect(retentionInterval(run, base)).toEqual(retentionInterval(run, base));
  });

  it('is NaN where there is nothing to keep', () => {
    expect(retentionInterval(accuracyOf([[10, 0]]), accuracyOf([[10, 0]]))).toEqual([Number.NaN, Number.NaN]);
  });
});

describe('makeBlocks', () => {
  it('puts each row into one block, neighbours together', () => {
    for (const [from, to] of [
      [0, 1],
      [3, 43],
      [5, 86],
      [0, 1000],
    ] as const) {
      const rows: number[][] = [];
      const blocks = makeBlocks({ from, to }, 1, (row, sums) => {
        rows[sums[0]!++] ??= [];
        rows[sums[0]! - 1]!.push(row);
      });
      expect(blocks.length).toBeLessThanOrEqual(40);
      expect(blocks.reduce((sum, [count]) => sum + count!, 0)).toBe(to - from);
      expect(Math.max(...blocks.map(([count]) => count!))).toBe(Math.ceil((to - from) / 40));
      expect(rows.flat().sort((a, b) => a - b)).toEqual(
        Array.from({ length: to - from }, (_, i) => from + i),
      );
    }
  });
});
