/** Levels that wander: how far, how slowly, and in which streams. */
import { expect, it } from 'vitest';
import { featureCount } from '../../src/gate/features.ts';
import { Random } from '../../src/train/random.ts';
import { makePool } from '../../src/train/tokens.ts';
import { train } from '../../src/train/trainer.ts';
import { wander } from '../../src/train/wander.ts';
import { smallConfig, smallDataset, smallSeries, smallSettings } from './small-dataset.ts';

const classify = { kind: 'classify', classes: ['below', 'above'] } as const;
const channels = [
  { name: 'level', unit: '', center: 0, scale: 2 },
  { name: 'wave', unit: '', center: 5, scale: 0.5 },
];

it('adds slow waves of the asked size to every channel, and leaves the series alone', () => {
  const series = smallSeries(8000, 1);
  const before = series.values.slice();
  const squares = [0, 0];
  const copies = 60;
  for (let seed = 0; seed < copies; seed++) {
    const moved = wander(series, channels, 1000, 0.5, new Random(seed));
    for (let channel = 0; channel < 2; channel++) {
      const wave = Float64Array.from(
        { length: 8000 },
        (_, row) => moved.values[2 * row + channel]! - before[2 * row + channel]!,
      );
      squares[channel]! += wave.reduce((sum, part) => sum + part * part, 0) / 8000 / copies;
      // At most the steepest slopes of all three sines at once.
      const steepest = wave
        .slice(1)
        .reduce((most, part, row) => Math.max(most, Math.abs(part - wave[row]!)), 0);
      const peak = wave.reduce((most, part) => Math.max(most, Math.abs(part)), 0);
      expect(steepest).toBeLessThan(0.02 * peak);
    }
    expect(moved.labels).toBe(series.labels);
  }
  expect(series.values).toEqual(before);
  expect(Math.sqrt(squares[0]!) / (0.5 * 2)).toBeCloseTo(1, 0);
  expect(Math.sqrt(squares[1]!) / (0.5 * 0.5)).toBeCloseTo(1, 0);
});

it('is the same for the same random numbers, and goes by time, not by rows', () => {
  const series = smallSeries(500, 1);
  const gaps = { ...series, timeMs: series.timeMs.map((time) => 3 * time) };
  const one = wander(series, channels, 1000, 1, new Random(4));
  expect(wander(series, channels, 1000, 1, new Random(4)).values).toEqual(one.values);
  expect(wander(series, channels, 1000, 1, new Random(5)).values).not.toEqual(one.values);
  const slow = wander(gaps, channels, 3000, 1, new Random(4));
  for (const [i, value] of slow.values.entries()) expect(value).toBeCloseTo(one.values[i]!, 9);
});

it('leaves the streams with the shipped thresholds alone, and what was trained before', () => {
  const dataset = smallDataset(classify);
  const pools = [0, 0.5].map((levelWander) =>
    makePool(dataset, dataset.train, { ...smallSettings.pool, seed: 3, levelWander }),
  );
  const [still, wandering] = pools.map((pool) => {
    const width = featureCount(2);
    const token = (stream: number) => pool.streamStarts[stream]! * width;
    const [first, last] = [token(2 * dataset.train.length), token(pool.streamStarts.length - 1)];
    return { own: pool.features.slice(0, first), drawn: pool.features.slice(first, last) };
  });
  expect(wandering!.own).toEqual(still!.own);
  expect(wandering!.drawn).not.toEqual(still!.drawn);
});

it('is refused where what wanders is to be foretold', async () => {
  const task = { kind: 'forecast', horizon: 3 } as const;
  const settings = { ...smallSettings, pool: { ...smallSettings.pool, levelWander: 0.1 } };
  await expect(train(smallDataset(task), smallConfig(task), settings, 1, () => {})).rejects.toThrow(
    'level wander: expected 0 unless the task is classify, got 0.1',
  );
});
