import { describe, expect, it } from 'vitest';
import type { Evaluation } from '../../src/eval/evaluation.ts';
import { describeEvaluation } from '../../src/eval/report.ts';

function tierOf(metric: Record<string, number>, macsPerTick: number, retention: number) {
  return { metric, interval: {}, macsPerTick, retention };
}

function evaluationOf(changes: Partial<Evaluation>, metric: Record<string, number>): Evaluation {
  return {
    task: 'classify',
    metric,
    dense: { metric, interval: {}, macsPerTick: 400_000 },
    gated: {
      metric,
      interval: {},
      macsPerTick: 100_000,
      skipRate: 0.75,
      tierShares: [0.2, 0.04, 0.01, 0.75],
    },
    retention: 1,
    retentionInterval: [0.99, 1.01],
    computeReduction: 4,
    timeReduction: 3.5,
    tiers: [tierOf(metric, 400_000, 1), tierOf(metric, 200_000, 0.99), tierOf(metric, 200_000, 0.95)],
    float: null,
    curve: [],
    rivals: {},
    ...changes,
  };
}

describe('describeEvaluation', () => {
  it('reads like this', () => {
    const rivals = { majority: { metric: { accuracy: 0.6, 'accuracy:a.csv': 0.6 }, interval: {} } };
    expect(describeEvaluation(evaluationOf({ rivals }, { accuracy: 0.95, 'accuracy:a.csv': 0.95 }))).toEqual([
      '               accuracy    a.csv  MACs/tick',
      'gated           0.9500*  0.9500*    100 000',
      'dense           0.9500*  0.9500*    400 000',
      'dense, tier 1   0.9500*  0.9500*    200 000',
      'dense, tier 2   0.9500*  0.9500*    200 000',
      'majority        0.6000   0.6000           -',
      '',
      'Skipped 75.0 % of ticks (tier 0 20.0 %, tier 1 4.0 %, tier 2 1.0 %, tier 3 75.0 %).',
      'Gating divides compute by 4.00, time by 3.50, and keeps 1.0000 (95 %: 0.9900 to 1.0100) of the dense quality.',
      'Every tick at tier 1 keeps 0.9900 of it, at tier 2 0.9500.',
      '',
      'No rival beats the gated model.',
    ]);
  });

  it('says which rival wins, column by column, but not in rates that trade against each other', () => {
    const own = { f1: 0.5, falseAlarmRate: 0.3, missedAlarmRate: 0.5, auprc: 0.9 };
    const metric = { f1: 0.7, falseAlarmRate: 1, missedAlarmRate: 0, auprc: 0.5 };
    const rivals = { everything: { metric, interval: {} } };
    const lines = describeEvaluation(evaluationOf({ task: 'anomaly', rivals }, own));
    expect(lines.at(-1)).toBe('everything beats the gated model in F1: 0.7000 against 0.5000.');
    expect(lines.filter((line) => line.includes('beats'))).toHaveLength(1);
    expect(lines[5]).toBe('everything     0.7000*       1.0000   0.0000   0.5000           -');
  });

  it('shows how sure a figure is', () => {
    const metric = { accuracy: 0.95, 'accuracy:a.csv': 0.95 };
    const interval = { accuracy: [0.91, 0.98], 'accuracy:a.csv': [0.9, 0.99] } as const;
    const gated = { ...evaluationOf({}, metric).gated, interval };
    const lines = describeEvaluation(evaluationOf({ gated }, metric));
    expect(lines[0]).toMatch(/a\.csv +95 % of accuracy +MACs\/tick$/);
    expect(lines[1]).toMatch(/0\.9100-0\.9800 +100 000$/);
    expect(lines[2]).toMatch(/ - +400 000$/);
  });

  it('knows that a smaller error is better', () => {
    const rivals = {
      linear336: { metric: { mse: 0.37, mae: 0.4 }, interval: {} },
      repeatLast: { metric: { mse: 1.3, mae: 0.7 }, interval: {} },
    };
    const lines = describeEvaluation(evaluationOf({ task: 'forecast', rivals }, { mse: 0.4, mae: 0.39 }));
    expect(lines.at(-1)).toBe('linear336 beats the gated model in MSE: 0.3700 against 0.4000.');
    expect(lines.filter((line) => line.includes('beats'))).toHaveLength(1);
  });

  it("tells how the model's own threshold does", () => {
    const metric = {
      f1: 0.8,
      'f1:threshold': 0.7,
      'falseAlarmRate:threshold': 0.25,
      'missedAlarmRate:threshold': 0.3,
    };
    const lines = describeEvaluation(evaluationOf({ task: 'anomaly' }, metric));
    expect(lines).toContain(
      "With the model's own threshold, without calibration per file: F1 0.7000, false alarms 25.0 %, missed 30.0 %.",
    );
    expect(lines[0]).not.toContain('threshold');
  });

  it('admits what cannot be said', () => {
    const lines = describeEvaluation(
      evaluationOf({ retention: Number.NaN, timeReduction: Number.NaN }, { accuracy: Number.NaN }),
    );
    expect(lines[1]).toMatch(/^gated +- +100 000$/);
    expect(lines).toContain('Gating divides compute by 4.00; the dense model has no quality to keep.');
  });
});
