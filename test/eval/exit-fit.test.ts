import { describe, expect, test } from 'vitest';
import { randomModel } from '../../src/bench/random-model.ts';
import { checkExit, fitExit } from '../../src/eval/exit-fit.ts';
import type { Series } from '../../src/recording/recording.ts';
import { randomNumbers } from '../../src/statistics/random.ts';

/** A random walk of two channels about the model's centre. */
function walk(rows: number, seed: number): Series {
  const random = randomNumbers(seed);
  const values = new Float64Array(rows * 2);
  let [a, b] = [20, 20];
  for (let row = 0; row < rows; row++) {
    a += random() - 0.5 + (20 - a) * 0.02;
    b += random() - 0.5 + (20 - b) * 0.02;
    values.set([a, b], row * 2);
  }
  return {
    name: `walk ${seed}`,
    rows,
    timeMs: Float64Array.from({ length: rows }, (_, row) => row * 1000),
    values,
    labels: null,
  };
}

describe('fitExit', () => {
  test('keeps its promise on rows that it was not fitted on', () => {
    let fitted = 0;
    let broken = 0;
    for (let seed = 1; seed <= 12; seed++) {
      const model = randomModel({ seed });
      const rule = fitExit(model, [walk(3000, seed)], { disagreementMax: 0.05, significance: 0.05 });
      if (rule === undefined) continue;
      fitted++;
      const check = checkExit(model, [walk(3000, seed + 1000)], rule);
      expect(check.exitShare).toBeGreaterThan(0);
      expect(check.macsShare).toBeLessThan(1);
      broken += Number(check.disagreement > 0.05);
    }
    expect(fitted).toBeGreaterThan(5);
    expect(broken).toBeLessThanOrEqual(1);
  });

  test('gives no rule where too few rows could prove it', () => {
    expect(
      fitExit(randomModel(), [walk(40, 1)], { disagreementMax: 0.01, significance: 0.05 }),
    ).toBeUndefined();
  });

  test('refuses forecasts, which say nothing of their certainty, and rows without tokens', () => {
    const forecast = randomModel({ meaning: { task: { kind: 'forecast', horizon: 1 } } });
    const options = { disagreementMax: 0.1, significance: 0.05 };
    expect(() => fitExit(forecast, [walk(50, 1)], options)).toThrow('expected classes or anomalies');
    expect(() => checkExit(randomModel(), [], { layers: 1, confidenceQ16: 0 })).toThrow('got none');
  });
});
