import { describe, expect, it } from 'vitest';
import { Calibrator, parseCalibration } from '../../../src/gateway/calibration/calibration.ts';

const channels = [
  { name: 'level', unit: 'm', center: 0, scale: 1 },
  { name: 'flow', unit: 'l/s', center: 5, scale: 2 },
];

function filled(rows: readonly (readonly number[])[]): Calibrator {
  const calibrator = new Calibrator(channels, rows.length);
  for (const [row, values] of rows.entries()) {
    expect(calibrator.isComplete).toBe(false);
    calibrator.add({ timeMs: 1000 * row, values: Float64Array.from(values) });
  }
  return calibrator;
}

describe('a calibrator', () => {
  it('learns means and standard deviations of what was known', () => {
    const calibrator = filled([
      [10, Number.NaN],
      [14, 7],
      [Number.NaN, 7],
    ]);
    expect(calibrator.isComplete).toBe(true);
    const [level, flow] = calibrator.channels();
    expect(level).toEqual({ name: 'level', unit: 'm', center: 12, scale: 2 });
    // It did not move: a hundredth of the scale that was shipped.
    expect(flow).toEqual({ name: 'flow', unit: 'l/s', center: 7, scale: 0.02 });
  });

  it('leaves a channel that was silent as it was shipped', () => {
    const [, flow] = filled([
      [1, Number.NaN],
      [2, Number.NaN],
    ]).channels();
    expect(flow).toEqual(channels[1]);
  });

  it('replays its frames in order, and begins anew when told', () => {
    const calibrator = filled([
      [1, 2],
      [3, 4],
    ]);
    const seen: number[][] = [];
    calibrator.replay(({ timeMs, values }) => seen.push([timeMs, ...values]));
    expect(seen).toEqual([
      [0, 1, 2],
      [1000, 3, 4],
    ]);
    calibrator.reset();
    expect(calibrator.count).toBe(0);
  });

  it.each([[1], [0], [2.5], [Number.NaN]])('refuses %d ticks', (ticks) => {
    expect(() => new Calibrator(channels, ticks)).toThrow(
      `calibration: expected a whole number of ticks, at least 2, got ${ticks}`,
    );
  });
});

describe('a calibration that was kept', () => {
  const kept = {
    model: 'abc',
    timeMs: 5,
    ticks: 2,
    channels: [
      { name: 'level', center: 12, scale: 2 },
      { name: 'flow', center: 7, scale: 0.02 },
    ],
    chart: { mean: [0, 0, 1, 1], covariance: Array(16).fill(0), unitT2: 7 },
  };

  it('is read back with the units of the model', () => {
    expect(parseCalibration(JSON.stringify(kept), 'abc', channels)).toEqual({
      timeMs: 5,
      ticks: 2,
      channels: [
        { name: 'level', unit: 'm', center: 12, scale: 2 },
        { name: 'flow', unit: 'l/s', center: 7, scale: 0.02 },
      ],
      chart: kept.chart,
    });
  });

  it('is read where an earlier version has kept it: the unit had another name', () => {
    const { unitT2: strangest, ...chart } = kept.chart;
    const text = JSON.stringify({ ...kept, chart: { ...chart, strangest } });
    expect(parseCalibration(text, 'abc', channels)).toMatchObject({ chart: kept.chart });
  });

  it.each([
    ['cut', JSON.stringify(kept).slice(0, 40), 'expected JSON, got something else'],
    ['of another model', { ...kept, model: 'abd' }, 'expected one of the model at work, got one of another'],
    ['without a time', { ...kept, timeMs: null }, 'expected timeMs and ticks, got no such numbers'],
    [
      'of fewer channels',
      { ...kept, chart: { ...kept.chart, mean: [0, 0] } },
      'expected a chart of 2 channels, got another',
    ],
    [
      'of nothing strange',
      { ...kept, chart: { ...kept.chart, unitT2: 0 } },
      'expected a chart of 2 channels, got another',
    ],
    [
      'with another channel',
      { ...kept, channels: [kept.channels[1], kept.channels[0]] },
      'expected a centre and a scale of level, flow, got others',
    ],
    [
      'with no scale',
      { ...kept, channels: [{ ...kept.channels[0], scale: 0 }, kept.channels[1]] },
      'expected a centre and a scale of level, flow, got others',
    ],
    ['that is a list', [], 'expected one of the model at work, got one of another'],
  ])('is refused %s', (_, value, message) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    expect(parseCalibration(text, 'abc', channels)).toBe(message);
  });
});
