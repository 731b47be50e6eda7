/** The split and what is learned of the channels. */
import { describe, expect, it } from 'vitest';
import {
  calibrateSeries,
  classDrift,
  leaveOut,
  levelDrift,
  restingLevel,
  splitLast,
} from '../../src/train/dataset.ts';
import { exitWeights, layerDropout } from '../../src/train/losses.ts';
import { learningRate } from '../../src/train/optimiser.ts';
import { smallSeries } from './small-dataset.ts';

describe('splitLast', () => {
  it('sets the last rows aside, cutting one series', () => {
    const series = [smallSeries(10, 1), smallSeries(20, 2), smallSeries(10, 3)];
    const { train, validation } = splitLast(series, 0.5);
    expect(train.map(({ rows }) => rows)).toEqual([10, 10]);
    expect(validation.map(({ rows }) => rows)).toEqual([10, 10]);
    expect(validation[0]!.values[0]).toBe(series[1]!.values[20]);
    expect(train.at(-1)!.timeMs.at(-1)).toBeLessThan(validation[0]!.timeMs[0]!);
  });

  it('keeps every row once', () => {
    for (const share of [0.1, 0.25, 0.33, 0.9]) {
      const { train, validation } = splitLast([smallSeries(13, 1), smallSeries(7, 2)], share);
      expect([...train, ...validation].reduce((sum, { rows }) => sum + rows, 0)).toBe(20);
      expect(validation.reduce((sum, { rows }) => sum + rows, 0)).toBe(Math.floor(20 * share));
    }
  });
});

describe('calibrateSeries', () => {
  const channels = [{ name: 'level', unit: 'm' }];
  const seriesOf = (values: number[]) => ({
    name: 'a',
    rows: values.length,
    timeMs: Float64Array.from(values, (_, row) => row),
    values: Float64Array.from(values),
    labels: null,
  });

  it('gives every series the units in the middle of all, by its own first rows', () => {
    const recording = { channels, calibrationRows: 2 };
    const devices = [seriesOf([9, 11, 12]), seriesOf([90, 110, 120]), seriesOf([4, 6, 7])];
    const { series, channels: shared } = calibrateSeries(recording, devices);
    expect(shared).toEqual([{ name: 'level', unit: 'm', center: 10, scale: 1 }]);
    // Each is one, one, and two of its own deviations from its own mean.
    for (const { values } of series) expect([...values]).toEqual([9, 11, 12]);
  });

  it('cuts what is longer than three calibrations, each piece with its own', () => {
    const long = seriesOf(Array.from({ length: 24 }, (_, row) => (row < 12 ? 0 : 100) + (row % 2)));
    const { series } = calibrateSeries({ channels, calibrationRows: 4 }, [long]);
    expect(series.map(({ rows }) => rows)).toEqual([12, 12]);
    expect([...series[0]!.values]).toEqual([...series[1]!.values]);
  });

  it('leaves a device that stood still finite', () => {
    const { series } = calibrateSeries({ channels, calibrationRows: 2 }, [
      seriesOf([5, 5, 5]),
      seriesOf([5, 5, 6]),
    ]);
    for (const { values } of series) expect([...values].every(Number.isFinite)).toBe(true);
  });
});

describe('leaveOut', () => {
  const series = [smallSeries(10, 1), smallSeries(20, 2)];

  it('cuts ranges out, counted through all series', () => {
    const { kept, leftOut } = leaveOut(series, [
      [25, 99],
      [8, 12],
    ]);
    expect(leftOut.map(({ rows }) => rows)).toEqual([2, 2, 5]);
    expect(kept.map(({ rows }) => rows)).toEqual([8, 13]);
    expect(leftOut[0]!.timeMs[0]).toBe(series[0]!.timeMs[8]);
    expect(kept[1]!.timeMs[0]).toBe(series[1]!.timeMs[2]);
    expect(leftOut[2]!.values[0]).toBe(series[1]!.values[30]);
  });

  it('leaves all where nothing is asked', () => {
    const { kept, leftOut } = leaveOut(series, []);
    expect(kept.map(({ rows }) => rows)).toEqual([10, 20]);
    expect(leftOut).toEqual([]);
  });
});

describe('levelDrift', () => {
  it('is nothing for a channel that returns to its level, and its wandering for one that does not', () => {
    const returning = Array.from({ length: 600 }, (_, row) => (row % 100 > 70 ? 3 : 0));
    const wandering = Array.from({ length: 600 }, (_, row) => Math.floor(row / 100));
    expect(levelDrift(returning, 100)).toBe(0);
    expect(levelDrift(wandering, 100)).toBeCloseTo(Math.sqrt(35 / 12), 5);
    expect(restingLevel(returning)).toBeCloseTo(0.125, 9);
  });
});

describe('classDrift', () => {
  const rows = Array.from({ length: 600 }, (_, row) => row);
  const labels = rows.map((row) => (row % 100 < 50 ? 0 : 1));

  it('is nothing for a channel that moves with the class alone', () => {
    expect(
      classDrift(
        labels.map((label) => 5 * label),
        labels,
        100,
      ),
    ).toBeCloseTo(0, 9);
  });

  it('is what one class wanders while the other does not', () => {
    const values = rows.map((row) => (labels[row] === 1 ? Math.floor(row / 100) : 0));
    expect(classDrift(values, labels, 100)).toBeCloseTo(Math.sqrt(35 / 12), 9);
  });

  it('leaves out unknown values and rows without a class', () => {
    const values = rows.map((row) => (row % 7 === 0 ? Number.NaN : row % 5 === 0 ? 1000 : 2));
    const some = labels.map((label, row) => (row % 5 === 0 ? -1 : label));
    expect(classDrift(values, some, 100)).toBeCloseTo(0, 9);
  });
});

it('warms up, peaks and ends at its floor', () => {
  const at = (step: number) => learningRate(step, 100, 10, 1, 0.1);
  expect(at(0)).toBeCloseTo(0.1, 9);
  expect(at(9)).toBe(1);
  expect(at(100)).toBeCloseTo(0.1, 9);
  for (let step = 10; step < 100; step++) expect(at(step + 1)).toBeLessThan(at(step));
});

it('drops no first layer, and the last most', () => {
  const dropped = [0, 1, 2, 3].map((layer) => layerDropout(layer, 4, 0.2));
  expect(dropped[0]).toBe(0);
  expect(dropped[3]).toBeCloseTo(0.2, 12);
  expect(layerDropout(0, 1, 0.2)).toBe(0);
  expect(exitWeights(2, 1)[0]!).toBeGreaterThan(0);
});
