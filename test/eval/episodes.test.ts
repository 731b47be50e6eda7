/** Alarms and anomalies counted by hand. */
import { describe, expect, it } from 'vitest';
import { episodeMetric, episodesOf } from '../../src/eval/episodes.ts';
import { nabStandard } from '../../src/eval/nab.ts';

const seconds = (rows: number) => Array.from({ length: rows }, (_, row) => 1000 * row);
const flags = (text: string) => Array.from(text, (mark) => (mark === '#' ? 1 : 0));

it('finds runs at the begin, within and at the end', () => {
  expect(episodesOf(flags('##..#.###'))).toEqual([
    { from: 0, to: 2 },
    { from: 4, to: 5 },
    { from: 6, to: 9 },
  ]);
  expect(episodesOf([])).toEqual([]);
});

describe('episodeMetric', () => {
  const file = (labels: string, alarms: string) => ({
    timeMs: seconds(labels.length),
    labels: flags(labels),
    alarms: flags(alarms),
  });

  it('counts alarms for nothing per quiet day, and the delay of the others', () => {
    const files = [
      file('....####....####', '.##...##..#...#.'), // two for nothing, delays 2 and 2
      file('..######', '.#######'), // began before, which is no false alarm; delay 0
      file('..##....', '........'), // missed
    ];
    const metric = episodeMetric(files, 1000);
    expect(metric.falseAlarmsPerDay).toBeCloseTo((2 * 86_400) / (8 + 2 + 6), 9);
    expect(metric.detectedShare).toBe(3 / 4);
    expect(metric.detectionDelayS).toBe(2);
  });

  it('says nothing over nothing', () => {
    const metric = episodeMetric([file('####', '....')], 1000);
    expect(metric.falseAlarmsPerDay).toBeNaN();
    expect(metric.detectedShare).toBe(0);
    expect(metric.detectionDelayS).toBeNaN();
    expect(episodeMetric([file('....', '....')], 1000).detectedShare).toBeNaN();
  });
});

describe('nabStandard', () => {
  const rows = 400;
  /** Change points and detections at these seconds; an alarm toggles at each detection. */
  const file = (points: readonly number[], detections: readonly number[]) => {
    let alarm = 0;
    return {
      timeMs: seconds(rows),
      changePoints: seconds(rows).map((_, row) => (points.includes(row) ? 1 : 0)),
      alarms: seconds(rows).map((_, row) => (detections.includes(row) ? (alarm = 1 - alarm) : alarm)),
    };
  };

  it('is 100 for every change point at once, 0 for silence, NaN without change points', () => {
    expect(nabStandard([file([50, 150], [50, 150]), file([20], [20])])).toBeCloseTo(100, 9);
    expect(nabStandard([file([50, 150], []), file([20], [])])).toBe(0);
    expect(nabStandard([file([], [30])])).toBeNaN();
  });

  it('gives half way between a hit and a false alarm in the middle of the window', () => {
    const middle = (1 - 0.11) / 2;
    expect(nabStandard([file([100], [130])])).toBeCloseTo((100 * (middle + 1)) / 2, 9);
    expect(nabStandard([file([100], [160])])).toBeCloseTo((100 * (-0.11 + 1)) / 2, 9);
  });

  it('takes 0.11 for each detection outside, and none for more inside', () => {
    expect(nabStandard([file([100], [100, 110, 120])])).toBeCloseTo(100, 9);
    expect(nabStandard([file([100], [20, 100, 161, 300])])).toBeCloseTo((100 * (1 - 3 * 0.11 + 1)) / 2, 9);
    expect(
      nabStandard([
        file(
          [100],
          Array.from({ length: 40 }, (_, i) => 200 + 2 * i),
        ),
      ]),
    ).toBeLessThan(0);
  });

  it('ends a window where the next begins', () => {
    expect(nabStandard([file([100, 110], [110])])).toBeCloseTo((100 * (1 - 1 + 2)) / 4, 9);
  });
});
