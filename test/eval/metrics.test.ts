import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  alarmMetric,
  averagePrecision,
  Confusion,
  ForecastError,
  UNANSWERED,
} from '../../src/eval/metrics.ts';

function confusionOf(pairs: readonly (readonly [number, number])[], classes: number): Confusion {
  const confusion = new Confusion(classes);
  for (const [truth, predicted] of pairs) confusion.add(truth, predicted);
  return confusion;
}

describe('Confusion', () => {
  // 4 of class 0 (3 right), 2 of class 1 (1 right, 1 taken for 2), none of class 2.
  const confusion = confusionOf(
    [
      [0, 0],
      [0, 0],
      [0, 0],
      [0, 1],
      [1, 1],
      [1, 2],
    ],
    3,
  );

  it('counts by truth and prediction', () => {
    expect(confusion.count(0, 0)).toBe(3);
    expect(confusion.count(1, 2)).toBe(1);
    expect(confusion.count(2, 1)).toBe(0);
  });

  it('gives accuracy, balanced accuracy and macro F1', () => {
    expect(confusion.accuracy()).toBeCloseTo(4 / 6, 12);
    expect(confusion.balancedAccuracy()).toBeCloseTo((3 / 4 + 1 / 2) / 2, 12);
    expect(confusion.macroF1()).toBeCloseTo((6 / 7 + 2 / 4 + 0) / 3, 12);
  });

  it('leaves out a class that neither occurs nor is predicted', () => {
    const two = confusionOf(
      [
        [0, 0],
        [1, 1],
      ],
      3,
    );
    expect([two.balancedAccuracy(), two.macroF1()]).toEqual([1, 1]);
  });

  it('counts what was not answered as wrong', () => {
    const silent = confusionOf(
      [
        [0, 0],
        [0, UNANSWERED],
        [1, UNANSWERED],
        [1, 1],
      ],
      2,
    );
    expect([silent.accuracy(), silent.balancedAccuracy()]).toEqual([0.5, 0.5]);
    expect(silent.macroF1()).toBeCloseTo(2 / 3, 12);
  });

  it('refuses a label beyond the classes', () => {
    expect(() => new Confusion(2).add(0, 2)).toThrow('labels within the classes');
  });
});

describe('alarmMetric', () => {
  it('counts points, adjusted by nothing', () => {
    const metric = alarmMetric([1, 1, 1, 1, 0, 0, 0, 0, 0], [1, 0, 0, 1, 1, 0, 0, 0, 0]);
    expect(metric.f1).toBeCloseTo(2 / (2 + (1 + 2) / 2), 12);
    expect(metric.falseAlarmRate).toBeCloseTo(1 / 5, 12);
    expect(metric.missedAlarmRate).toBeCloseTo(2 / 4, 12);
  });

  it('is 0 where there is nothing to share', () => {
    expect(alarmMetric([0, 0], [0, 0])).toEqual({ f1: 0, falseAlarmRate: 0, missedAlarmRate: 0 });
  });
});

describe('averagePrecision', () => {
  it('adds precision at each hit', () => {
    expect(averagePrecision([1, 0, 1, 0], [4, 3, 2, 1])).toBeCloseTo((1 + 2 / 3) / 2, 12);
  });

  it('is the share of positives when all scores are equal', () => {
    expect(averagePrecision([1, 0, 0, 0], [7, 7, 7, 7])).toBeCloseTo(1 / 4, 12);
  });

  it('is NaN without positives', () => {
    expect(averagePrecision([0, 0], [1, 2])).toBeNaN();
  });

  it('equals a brute force over thresholds', () => {
    const points = fc.array(
      fc.record({ label: fc.integer({ min: 0, max: 1 }), score: fc.integer({ min: 0, max: 5 }) }),
      {
        minLength: 1,
      },
    );
    fc.assert(
      fc.property(points, (all) => {
        const positives = all.filter(({ label }) => label === 1).length;
        fc.pre(positives > 0);
        let area = 0;
        let recallBefore = 0;
        for (let threshold = 5; threshold >= 0; threshold--) {
          const above = all.filter(({ score }) => score >= threshold);
          const hits = above.filter(({ label }) => label === 1).length;
          if (above.length > 0) area += (hits / positives - recallBefore) * (hits / above.length);
          recallBefore = hits / positives;
        }
        const got = averagePrecision(
          all.map(({ label }) => label),
          all.map(({ score }) => score),
        );
        expect(got).toBeCloseTo(area, 10);
      }),
      { seed: 3 },
    );
  });
});

describe('ForecastError', () => {
  it('gives mean squared and mean absolute errors', () => {
    const error = new ForecastError();
    error.add(1, 3);
    error.add(5, 4);
    expect(error.metric()).toEqual({ mse: 2.5, mae: 1.5 });
  });
});
