import { describe, expect, it } from 'vitest';
import type { Protocol } from '../../src/eval/protocols.ts';
import { alarmRuleOf, makeRecorder, type OutputFields } from '../../src/eval/recorders.ts';
import type { Recording } from '../../src/recording/recording.ts';
import { makeRecording, makeSeries } from './helpers.ts';

function outputOf(changes: Partial<OutputFields>): OutputFields {
  return {
    hasValue: true,
    ageIntervals: 0,
    classIndex: -1,
    score: Number.NaN,
    anomaly: false,
    values: new Float64Array(0),
    ...changes,
  };
}

function protocolOf(
  changes: Partial<Recording>,
  rows: number[][],
  labels: number[] | null,
  scoredFrom = 0,
): Protocol {
  const channels = rows[0]!.length;
  const standardiser = { mean: new Float64Array(channels), deviation: new Float64Array(channels).fill(2) };
  const tests = [{ series: makeSeries('a.csv', rows, labels), scoredFrom }];
  return { recording: makeRecording(changes), channels, train: [], tests, standardiser };
}

describe('classify', () => {
  const protocol = protocolOf({ classes: ['no', 'yes'] }, [[0], [0], [0], [0]], [0, 1, 1, 0]);

  it('scores the class held at each row', () => {
    const recorder = makeRecorder(protocol, null);
    for (const [row, classIndex] of [0, 1, 0, 0].entries())
      recorder.row(0, row, outputOf({ classIndex }), null);
    expect(recorder.scored().metric).toMatchObject({
      accuracy: 0.75,
      'accuracy:a.csv': 0.75,
      balancedAccuracy: 0.75,
    });
  });

  it('takes no output for no answer', () => {
    const recorder = makeRecorder(protocol, null);
    for (let row = 0; row < 4; row++)
      recorder.row(0, row, outputOf({ hasValue: row > 0, classIndex: 0 }), null);
    expect(recorder.scored().metric.accuracy).toBe(0.25);
  });
});

describe('anomaly', () => {
  // Calibration scores go from 1 to 3, ordinary 2: the limit is 4, whatever the model's own threshold.
  const rows = Array.from({ length: 140 }, () => [0]);
  const labels = rows.map((_, row) => (row >= 120 ? 1 : 0));
  const scoreAt = (row: number) => (row < 20 ? 99 : row < 100 ? 1 + (row % 3) : row < 130 ? 3.9 : 4.1);
  const record = (calibrationRows: number, threshold: number, score = scoreAt) => {
    const recorder = makeRecorder(protocolOf({ task: 'anomaly', calibrationRows }, rows, labels, 100), {
      threshold,
      isCalibrated: false,
    });
    for (let row = 0; row < rows.length; row++)
      recorder.row(0, row, outputOf({ score: score(row), anomaly: score(row) >= threshold }), null);
    return recorder.scored().metric;
  };

  it('calibrates on the rows before, but not on a stream that has hardly begun', () => {
    expect(record(100, 0)).toMatchObject({ missedAlarmRate: 0.5, falseAlarmRate: 0 });
  });

  it("scores with the model's own threshold too", () => {
    expect(record(100, 3.5)).toMatchObject({ 'missedAlarmRate:threshold': 0, 'falseAlarmRate:threshold': 1 });
    expect(record(0, 4)).toMatchObject({ missedAlarmRate: 0.5, falseAlarmRate: 0 });
  });

  it('scores the alarms that a calibrated device publishes, whatever the scores', () => {
    const recorder = makeRecorder(
      protocolOf({ task: 'anomaly', calibrationRows: 100 }, rows, labels, 100),
      alarmRuleOf({
        kind: 'anomaly',
        threshold: 3,
        chart: { calibrationTicks: 100, levelHalfLife: 3, surpriseHalfLife: 3, release: 0.5 },
      }),
    );
    // It stands from row 110 on, ten rows too early, and is let go at row 135.
    for (let row = 0; row < rows.length; row++)
      recorder.row(0, row, outputOf({ score: 2, anomaly: row >= 110 && row < 135 }), null);
    const { metric } = recorder.scored();
    expect(metric).toMatchObject({ falseAlarmRate: 0.5, missedAlarmRate: 0.25 });
    expect(metric).not.toHaveProperty('f1:threshold');
  });

  it('raises no alarm where there is no score yet', () => {
    const metric = record(100, 0, () => Number.NaN);
    expect(metric).toMatchObject({ missedAlarmRate: 1, falseAlarmRate: 0 });
  });
});

describe('forecast', () => {
  const rows = [
    [1, 10],
    [2, 20],
    [3, 30],
    [4, 40],
    [5, 50],
  ];
  const protocol = protocolOf({ task: 'forecast', horizon: 2 }, rows, null, 2);

  it('scores the window after each row in z units', () => {
    const recorder = makeRecorder(protocol, null);
    for (let row = 0; row <= 2; row++) {
      const [a, b] = [row + 2, 10 * row + 20];
      recorder.row(0, row, outputOf({ values: Float64Array.of(a, a + 1, b, b + 12) }), null);
    }
    // Of four values each, one is off by 2, which is 1 in z units.
    expect(recorder.scored().metric).toEqual({ mse: 0.25, mae: 0.25 });
  });

  it('reads a held forecast where time has come to', () => {
    const recorder = makeRecorder(protocol, null);
    const values = Float64Array.of(3, 4, 30, 40);
    recorder.row(0, 1, outputOf({ values }), null);
    recorder.row(0, 2, outputOf({ values, ageIntervals: 1.02 }), null);
    // Of the second window the first values are right, the last ones stand on: 4 for 5 and 40 for 50.
    expect(recorder.scored().metric.mse).toBeCloseTo((0.5 ** 2 + 5 ** 2) / 8, 12);
  });
});
