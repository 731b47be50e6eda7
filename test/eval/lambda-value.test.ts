import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { faultNames, injectFault } from '../../src/eval/faults.ts';
import { gateFeatureNames, gateFeatures, lambdaColumns } from '../../src/eval/gate-features.ts';
import { faultyRows } from '../../src/eval/lambda-streams.ts';
import { type LabelledRows, lambdaValue, precisionArea } from '../../src/eval/lambda-value.ts';
import { averagePrecision } from '../../src/eval/metrics.ts';
import { openRecording, readSeries, type Series, sliceSeries } from '../../src/recording/recording.ts';
import { randomNumbers } from '../engine/tiny-model.ts';
import { channelsOf, spikesOf } from '../gate/fixtures.ts';

const width = gateFeatureNames.length;

/** Rows whose features are noise, except that `column` tells the label in part. */
function planted(column: number, strength: number, files = 15, perFile = 80): LabelledRows {
  const random = randomNumbers(7);
  const rows = files * perFile;
  const labels = Uint8Array.from({ length: rows }, () => (random() < 0.4 ? 1 : 0));
  const table = Float64Array.from({ length: rows * width }, (_, at) => {
    return random() + (at % width === column ? strength * labels[Math.floor(at / width)]! : 0);
  });
  return { table, labels, files: Int32Array.from({ length: rows }, (_, row) => Math.floor(row / perFile)) };
}

describe('lambdaValue', () => {
  it('proves a gain where lambda alone tells, and none where novelty tells', () => {
    const told = lambdaValue(planted(lambdaColumns[0]!, 0.6));
    expect(told.withLambda.interval[0]).toBeGreaterThan(0.1);
    expect(told.lambdaAlone.auprc).toBeGreaterThan(0.6);
    expect(told.withAgreement.interval[0]).toBeLessThan(0.02);
    const novel = lambdaValue(planted(0, 0.6));
    expect(novel.novelty).toBeGreaterThan(0.6);
    expect(novel.withLambda.gain).toBeLessThan(0.02);
    expect(novel).toMatchObject({ rows: 1200, files: 15 });
  }, 20_000);

  it('scores a file only by what others taught', () => {
    // In each file lambda means the opposite of what it means in the file before: nothing can be learned of it.
    const rows = planted(lambdaColumns[0]!, 3, 10);
    for (let row = 0; row < rows.labels.length; row++) {
      if (rows.files[row]! % 2 === 1) rows.table[row * width + lambdaColumns[0]!]! *= -1;
    }
    expect(lambdaValue(rows).lambdaAlone.auprc).toBeLessThan(0.65);
  }, 20_000);
});

describe('precisionArea', () => {
  it('is the average precision of the rows, each repeated as often as its file was drawn', () => {
    const random = randomNumbers(5);
    const { labels, files, table } = planted(0, 1, 6, 20);
    const scores = Float64Array.from(labels, (label) => Math.round(4 * (label + random())) / 4);
    const order = Uint32Array.from(labels.keys()).sort((a, b) => scores[b]! - scores[a]!);
    for (const weights of [
      [1, 1, 1, 1, 1, 1],
      [2, 0, 3, 1, 0, 0],
    ]) {
      const drawn = [...labels.keys()].flatMap((row) => Array(weights[files[row]!]!).fill(row) as number[]);
      const expected = averagePrecision(
        drawn.map((row) => labels[row]!),
        drawn.map((row) => scores[row]!),
      );
      const got = precisionArea({ labels, files, table }, { order, scores }, Float64Array.from(weights));
      expect(got).toBeCloseTo(expected, 12);
    }
  });
});

function seriesOf(rows: number, seed: number): Series {
  const random = randomNumbers(seed);
  const values = new Float64Array(3 * rows);
  for (let row = 0; row < rows; row++) {
    const factor = random();
    for (let channel = 0; channel < 3; channel++) values[3 * row + channel] = factor + 0.2 * random();
  }
  return {
    name: 'made',
    rows,
    timeMs: Float64Array.from({ length: rows }, (_, row) => row * 1000),
    values,
    labels: null,
  };
}

describe('injectFault', () => {
  const [series, elsewhere] = [seriesOf(300, 1), seriesOf(300, 2)];
  const inject = (name: (typeof faultNames)[number]) =>
    injectFault(series, { name, channel: 1, onset: 100, deviation: 0.3, elsewhere }, randomNumbers(3));
  const columnOf = (one: Series, channel: number) =>
    Array.from({ length: one.rows }, (_, row) => one.values[3 * row + channel]!);

  it.each(faultNames)('%s touches one channel from the onset on, and labels it', (name) => {
    const faulty = inject(name);
    for (const channel of [0, 2]) expect(columnOf(faulty, channel)).toEqual(columnOf(series, channel));
    expect(columnOf(faulty, 1).slice(0, 100)).toEqual(columnOf(series, 1).slice(0, 100));
    expect(columnOf(faulty, 1).slice(110)).not.toEqual(columnOf(series, 1).slice(110));
    expect([...faulty.labels!].indexOf(1)).toBe(100);
    expect(faulty.labels!.reduce((sum, label) => sum + label, 0)).toBe(200);
    expect(series.labels).toBeNull();
  });

  it('does what each fault is called', () => {
    const at = (name: (typeof faultNames)[number], row: number) => inject(name).values[3 * row + 1]!;
    const healthy = (row: number) => series.values[3 * row + 1]!;
    expect([at('stuck', 100), at('stuck', 250)]).toEqual([healthy(100), healthy(100)]);
    expect(at('shift', 150) - healthy(150)).toBeCloseTo(0.6, 9);
    expect(at('drift', 200) - healthy(200)).toBeCloseTo(0.45, 9);
    expect(at('decoupled', 120) - at('decoupled', 110)).toBeCloseTo(
      elsewhere.values[361]! - elsewhere.values[331]!,
      9,
    );
    const lost = columnOf(inject('dropout'), 1).slice(100).filter(Number.isNaN).length;
    expect(Math.abs(lost / 200 - 0.8)).toBeLessThan(0.08);
    const noise = columnOf(inject('noise'), 1)
      .slice(100)
      .map((value, i) => value - healthy(100 + i));
    const deviation = Math.sqrt(noise.reduce((sum, one) => sum + one * one, 0) / noise.length);
    expect(Math.abs(deviation - 0.3)).toBeLessThan(0.05);
  });
});

describe('gateFeatures', () => {
  it('sees a loose channel by lambda, and knows nothing of later rows', () => {
    const series = seriesOf(900, 4);
    const fault = {
      name: 'decoupled' as const,
      channel: 1,
      onset: 600,
      deviation: 1,
      elsewhere: seriesOf(900, 5),
    };
    const faulty = injectFault(series, fault, randomNumbers(1));
    const [healthy, loose] = [series, faulty].map((one) =>
      gateFeatures(one, channelsOf(3), spikesOf(3, 0.01), 300),
    );
    expect([...loose!.subarray(0, 600 * width)]).toEqual([...healthy!.subarray(0, 600 * width)]);
    const ratio = (table: Float64Array, row: number) =>
      table[row * width + gateFeatureNames.indexOf('lambdaOverReference')]!;
    expect(ratio(healthy!, 800)).toBeGreaterThan(0.8);
    expect(ratio(loose!, 800)).toBeLessThan(0.5);
    expect(loose!.every(Number.isFinite)).toBe(true);
  });
});

describe('faultyRows', () => {
  const directory = mkdtempSync(join(tmpdir(), 'dormouse-faults-'));
  afterAll(() => rmSync(directory, { recursive: true }));

  it('puts the same rows without the fault beside those with it, so that time tells nothing', () => {
    const { values } = seriesOf(2 * 900, 6);
    const lines = Array.from({ length: 1800 }, (_, row) =>
      [row, ...values.subarray(3 * row, 3 * row + 3)].join(','),
    );
    writeFileSync(join(directory, 'a.csv'), `time,a,b,c\n${lines.join('\n')}\n`);
    const description = {
      name: 'rig',
      task: 'forecast',
      horizon: 1,
      time: 'time',
      channels: { a: '', b: '', c: '' },
    };
    const split = {
      train: [['a.csv', 0, 1790]],
      validation: [['a.csv', 1790, 1795]],
      test: [['a.csv', 1795, 1800]],
    };
    writeFileSync(
      join(directory, 'recording.json'),
      JSON.stringify({ ...description, rows: rowsOf(split), files: ['a.csv'], intervalS: 1, source: 'made' }),
    );
    const recording = openRecording(directory);
    const segments = [0, 900].map((from) => sliceSeries(readSeries(recording, 'a.csv'), from, from + 900));
    const { table, labels, files } = faultyRows(recording, segments, 'shift');
    expect(labels.reduce((sum, label) => sum + label, 0)).toBe(labels.length / 2);
    expect([...new Set(files)]).toEqual([0, 1]);
    // Streams come in pairs: faulty, healthy. Neither the rate nor any other column knows where it is in the file.
    const first = labels.indexOf(0);
    expect([...labels.subarray(0, first)].every((label) => label === 1)).toBe(true);
    expect(labels.subarray(first, 2 * first).every((label) => label === 0)).toBe(true);
    expect(table.length).toBe(labels.length * width);
  });
});

function rowsOf(split: Record<string, (string | number)[][]>): Record<string, number[]> {
  return Object.fromEntries(
    Object.entries(split).map(([name, [range]]) => [name, range!.slice(1) as number[]]),
  );
}
