/** Places that leak faster: what a source gives stays, what is held falls faster. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { featureCount } from '../../src/gate/features.ts';
import { leakChannel, leakFaster } from '../../src/train/leak.ts';
import { Random } from '../../src/train/random.ts';
import { makePool } from '../../src/train/tokens.ts';
import { train } from '../../src/train/trainer.ts';
import { smallConfig, smallDataset, smallSeries, smallSettings } from './small-dataset.ts';

const classify = { kind: 'classify', classes: ['below', 'above'] } as const;
const REST = 430;
const HALF_LIFE = 60;

/** What a source of `inflow(row)` per row holds up above REST where half of it leaks away in `halfLife` rows. */
function filled(rows: number, inflow: (row: number) => number, halfLife: number): Float64Array {
  let held = inflow(0) / (1 - 2 ** (-1 / halfLife));
  return Float64Array.from({ length: rows }, (_, row) => {
    held = row === 0 ? held : held * 2 ** (-1 / halfLife) + inflow(row);
    return REST + held;
  });
}

function leaked(values: Float64Array, factor: number | ((row: number) => number)): Float64Array {
  const out = values.slice();
  const halves = out.map((_, row) => (row === 0 ? 0 : 1 / HALF_LIFE));
  const faster = out.map((_, row) => (typeof factor === 'number' ? factor : factor(row)));
  leakChannel(out, 0, 1, REST, halves, faster);
  return out;
}

it('is what the same sources fill where it leaks faster', () => {
  const inflow = (row: number) => (row >= 200 && row < 400 ? 10 : 0);
  const quick = leaked(filled(800, inflow, HALF_LIFE), 4);
  for (const [row, value] of filled(800, inflow, HALF_LIFE / 4).entries()) {
    expect(quick[row]).toBeCloseTo(value, 6);
  }
});

it('begins as if it had been so for ever', () => {
  const steady = Float64Array.from({ length: 50 }, () => REST + 300);
  const [first, last] = [leaked(steady, 4)[0]!, leaked(steady, 4).at(-1)!];
  expect(first - REST).toBeCloseTo(300 / 4, 9);
  expect(Math.abs(last - first)).toBeLessThan(3);
});

it('changes nothing where nothing leaks faster, whatever the values', () => {
  const value = fc.double({ min: -1e4, max: 1e4, noNaN: true });
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 200 }), (values) => {
      const series = Float64Array.from(values);
      for (const [row, same] of leaked(series, 1).entries()) expect(same).toBeCloseTo(series[row]!, 6);
    }),
    { seed: 5 },
  );
});

it('keeps unknown values unknown, and goes on after them by the time that has passed', () => {
  const inflow = (row: number) => (row === 10 ? 500 : 0);
  const values = filled(60, inflow, HALF_LIFE);
  const gap = values.slice().fill(Number.NaN, 20, 40);
  const [whole, holed] = [leaked(values, (row) => 1 + (row % 3)), leaked(gap, (row) => 1 + (row % 3))];
  for (const [row, value] of holed.entries()) {
    if (row >= 20 && row < 40) expect(value).toBeNaN();
    else expect(value).toBeCloseTo(whole[row]!, 9);
  }
  expect(leaked(new Float64Array(5).fill(Number.NaN), 3)).toEqual(new Float64Array(5).fill(Number.NaN));
});

it('is the same for the same random numbers, goes by time, and leaves the series alone', () => {
  const { channels, restingLevel } = smallDataset(classify);
  const series = smallSeries(2000, 1);
  const before = series.values.slice();
  const of = (seed: number, leak = 10, stretched = 1) =>
    leakFaster(
      { ...series, timeMs: series.timeMs.map((time) => stretched * time) },
      channels,
      restingLevel,
      1000 * stretched,
      { leak, leakHalfLife: 30 },
      new Random(seed),
    ).values;
  expect(of(1)).toEqual(of(1));
  expect(of(2)).not.toEqual(of(1));
  expect(of(1, 10, 3)).toEqual(of(1));
  expect(series.values).toEqual(before);
  const size = (values: Float64Array) =>
    values.reduce((sum, value, i) => sum + (i % 2 ? 0 : value * value), 0);
  expect(size(of(1))).toBeLessThan(0.8 * size(before));
});

it('leaves the streams with the shipped thresholds alone, and what wanders as it was', () => {
  const dataset = smallDataset(classify);
  const drawn = ([levelWander, leak]: readonly [number, number]) => {
    const settings = { ...smallSettings.pool, seed: 3, levelWander, leak };
    const pool = makePool(dataset, dataset.train, settings);
    const first = pool.streamStarts[2 * dataset.train.length]! * featureCount(2);
    return { own: pool.features.slice(0, first), drawn: pool.features.slice(first) };
  };
  const [still, leaky, wandering, both] = (
    [
      [0, 1],
      [0, 8],
      [0.5, 1],
      [0.5, 8],
    ] as const
  ).map(drawn);
  expect(leaky!.own).toEqual(still!.own);
  expect(leaky!.drawn).not.toEqual(still!.drawn);
  expect(both!.drawn).not.toEqual(wandering!.drawn);
});

it('is refused where what leaks is to be foretold', async () => {
  const task = { kind: 'forecast', horizon: 3 } as const;
  const settings = { ...smallSettings, pool: { ...smallSettings.pool, leak: 2 } };
  await expect(train(smallDataset(task), smallConfig(task), settings, 1, () => {})).rejects.toThrow(
    'leak: expected 1 unless the task is classify, got 2',
  );
});
