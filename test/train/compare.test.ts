/** Float against int8 by hand-made logits: every figure by its definition. */
import { describe, expect, it } from 'vitest';
import type { Task } from '../../src/engine/model.ts';
import { compareLogits } from '../../src/train/compare.ts';
import { smallDataset } from './small-dataset.ts';

const meaningOf = (task: Task) => smallDataset(task);

const floats = (...values: number[]) => Float32Array.from(values);

describe('compareLogits', () => {
  it('says how often the classes are the same, over all and of each class', () => {
    const meaning = meaningOf({ kind: 'classify', classes: ['a', 'b', 'c'] });
    const float = floats(2, 1, 0, 2, 1, 0, 0, 4, 0, 0, 2, 1);
    const engine = floats(2, 1, 0, 1, 2, 0, 0, 4, 0, 0, 2, 1);
    const { outputs, agreement, rows } = compareLogits(meaning, { float, engine }, 4);
    expect([rows, agreement]).toEqual([4, 0.75]);
    expect(outputs.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
    expect(outputs.map((one) => one.agreement)).toEqual([0.5, 1, Number.NaN]);
    expect(outputs[0]).toMatchObject({ deviation: 1, error: 0.5, worst: 1 });
  });

  it('measures all errors by all deviations', () => {
    const meaning = meaningOf({ kind: 'classify', classes: ['a', 'b'] });
    const { relativeError } = compareLogits(
      meaning,
      { float: floats(3, 1, -3, -1), engine: floats(3.3, 1.1, -2.7, -0.9) },
      2,
    );
    expect(relativeError).toBeCloseTo(Math.sqrt((0.09 + 0.01) / (9 + 1)), 6);
  });

  it('names means and scales of an anomaly model, and counts what is within a tenth of a deviation', () => {
    const meaning = meaningOf({ kind: 'anomaly', threshold: 1 });
    const { outputs, agreement } = compareLogits(
      meaning,
      { float: floats(1, 1, 1, 1, -1, -1, -1, -1), engine: floats(1.09, 1, 1, 1, -1, -1, -1, -0.8) },
      2,
    );
    expect(outputs.map(({ name }) => name)).toEqual([
      'level',
      'wave',
      'log scale of level',
      'log scale of wave',
    ]);
    expect(outputs.map((one) => one.agreement)).toEqual([1, 1, 1, 0.5]);
    expect(agreement).toBe(7 / 8);
  });

  it('takes the horizon of a channel together', () => {
    const meaning = meaningOf({ kind: 'forecast', horizon: 2 });
    const { outputs } = compareLogits(
      meaning,
      { float: floats(1, -1, 5, 5), engine: floats(1, -2, 5, 5) },
      1,
    );
    expect(outputs).toEqual([
      { name: 'level', deviation: 1, error: Math.sqrt(0.5), worst: 1, agreement: 0.5 },
      { name: 'wave', deviation: 0, error: 0, worst: 0, agreement: 1 },
    ]);
  });
});
