import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openRecording, readSeries } from '../../src/recording/recording.ts';
import { Random } from '../../src/train/random.ts';
import { type Fault, faultKinds, injectFault } from '../../src/workloads/faults.ts';
import { generate } from '../../src/workloads/generate.ts';
import { FAULT_CLASS, workloadNames, workloads } from '../../src/workloads/physics.ts';
import { Plant } from '../../src/workloads/plant.ts';
import { generatePart, seedsOf, writeWorkload } from '../../src/workloads/recording.ts';
import { Rhythm } from '../../src/workloads/rhythm.ts';

/** FNV-1a over the bytes of the values. */
function hash(values: Float64Array): string {
  let state = 0x811c9dc5;
  for (const byte of new Uint8Array(values.buffer, values.byteOffset, values.byteLength)) {
    state = Math.imul(state ^ byte, 0x01000193) >>> 0;
  }
  return state.toString(16);
}

describe('Rhythm', () => {
  it.each([
    [8640, 0.1],
    [7, 0],
    [1.5, 0.75],
  ])('is a sine of %d ticks', (ticks, phase) => {
    const rhythm = new Rhythm(ticks, phase);
    for (let n = 1; n < 1000; n++)
      expect(rhythm.next()).toBeCloseTo(Math.sin(2 * Math.PI * (n / ticks + phase)), 9);
  });
});

describe('generate', () => {
  it.each(workloadNames)('%s: the same seed gives the same series, another seed another', (name) => {
    const first = generate(workloads[name], 7, 500);
    const again = generate(workloads[name], 7, 500);
    expect(hash(again.series.values)).toBe(hash(first.series.values));
    expect(again.series.labels).toEqual(first.series.labels);
    expect(hash(generate(workloads[name], 8, 500).series.values)).not.toBe(hash(first.series.values));
  });

  it('gives these bits on every machine', () => {
    expect(hash(generate(workloads.interactive, 1, 2000).series.values)).toMatchInlineSnapshot(`"dbc9b21a"`);
  });

  it('labels faulty ticks as faults, and all others by the regime of the plant', () => {
    const { series, faults } = generate(workloads['safety-critical'], 1, 20_000);
    const faulty = new Uint8Array(series.rows);
    for (const { from, to } of faults) faulty.fill(1, from, to);
    const labels = [...series.labels!];
    labels.forEach((label, row) => {
      expect(label === FAULT_CLASS).toBe(faulty[row] === 1);
    });
    expect(new Set(labels)).toEqual(new Set([0, 1, 2, 3]));
    expect(new Set(faults.map(({ kind }) => kind))).toEqual(new Set(faultKinds));
  });

  it('has events and faults as often as its physics says', () => {
    const rows = 200_000;
    const physics = { ...workloads.continuous, channels: 1, factors: 1 };
    const plant = new Plant({ ...physics, burst: { ...physics.burst, factor: 1 } }, 3);
    const out = new Float64Array(1);
    let changes = 0;
    for (let row = 0, before = 0; row < rows; row++, before = plant.regime) {
      plant.step(out);
      if (plant.regime !== before && row > 0) changes++;
    }
    expect(changes / (rows / physics.regimeTicks)).toBeCloseTo(1, 1);
    const { faults } = generate(physics, 3, rows);
    expect(faults.length / (rows / (physics.faultEveryTicks + physics.faultTicks))).toBeGreaterThan(0.75);
    expect(faults.length / (rows / (physics.faultEveryTicks + physics.faultTicks))).toBeLessThan(1.25);
  });

  it('has sensors that move with their common factor', () => {
    const physics = { ...workloads.streaming, faultEveryTicks: Number.MAX_VALUE };
    const { values, rows } = generate(physics, 2, 20_000).series;
    // Channels 0 and 2 hang on the first factor, 0 and 1 on different ones.
    expect(correlation(values, physics.channels, 0, 2, rows)).toBeGreaterThan(0.9);
    expect(correlation(values, physics.channels, 0, 1, rows)).toBeLessThan(0.9);
  });
});

function correlation(values: Float64Array, channels: number, a: number, b: number, rows: number): number {
  const mean = (c: number) => {
    let sum = 0;
    for (let row = 0; row < rows; row++) sum += values[row * channels + c]!;
    return sum / rows;
  };
  const [ma, mb] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let row = 0; row < rows; row++) {
    const [x, y] = [values[row * channels + a]! - ma, values[row * channels + b]! - mb];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / Math.sqrt(aa * bb);
}

describe('injectFault', () => {
  const healthy = Float64Array.from({ length: 20 }, (_, i) => i); // 10 rows, 2 channels
  const broken = (kind: Fault['kind']) => {
    const values = healthy.slice();
    const fault = { kind, channel: 1, from: 3, to: 5, size: 10 };
    injectFault(values, healthy, 2, fault, new Random(1));
    return values;
  };

  it.each([
    ['stuck', [5, 5]],
    ['drift', [12, 19]],
    ['decoupling', [17, 19]],
    ['shift', [17, 19]],
    ['dropout', [Number.NaN, Number.NaN]],
  ] as const)('%s breaks its rows of its channel and no other', (kind, expected) => {
    const values = broken(kind);
    expect([values[7], values[9]]).toEqual(expected);
    values.forEach((value, i) => {
      if (i !== 7 && i !== 9) expect(value).toBe(healthy[i]);
    });
  });

  it('noise has the deviation that was asked for', () => {
    const values = new Float64Array(5000);
    const fault: Fault = { kind: 'noise', channel: 0, from: 0, to: 5000, size: 3 };
    injectFault(values, values.slice(), 1, fault, new Random(1));
    const square = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    expect(Math.sqrt(square)).toBeCloseTo(3, 1);
  });
});

describe('writeWorkload for other tasks', () => {
  it.each([{ kind: 'anomaly' }, { kind: 'forecast', horizon: 3 }] as const)(
    'has the same rows, and labels that say whether a sensor is faulty: $kind',
    (task) => {
      const directory = mkdtempSync(join(tmpdir(), 'dormouse-workload-'));
      const physics = workloads['safety-critical'];
      const seeds = seedsOf(4);
      writeWorkload(directory, physics, seeds, { train: 3000, validation: 300, test: 600 }, task);
      const recording = openRecording(directory);
      expect(recording).toMatchObject({ task: task.kind });
      expect(recording.classes).toBeUndefined();
      expect(recording.horizon).toBe(task.kind === 'forecast' ? 3 : undefined);
      const series = readSeries(recording, 'train.csv');
      const made = generatePart(physics, 'train', seeds, 3000);
      expect(series.values).toEqual(made.values);
      expect([...series.labels!]).toEqual([...made.labels!].map((label) => Number(label === FAULT_CLASS)));
      expect(new Set(series.labels)).toEqual(new Set([0, 1]));
      rmSync(directory, { recursive: true });
    },
  );
});

describe('writeWorkload', () => {
  it('writes files that are read back as the very series that was generated', () => {
    const directory = mkdtempSync(join(tmpdir(), 'dormouse-workload-'));
    const physics = workloads['safety-critical'];
    const seeds = seedsOf(4);
    writeWorkload(directory, physics, seeds, { train: 900, validation: 300, test: 600 });
    const recording = openRecording(directory);
    expect(recording).toMatchObject({ name: 'safety-critical', task: 'classify', intervalMs: 100 });
    for (const [part, rows] of [
      ['train', 900],
      ['validation', 300],
      ['test', 600],
    ] as const) {
      expect(recording[part].map(({ file }) => file)).toEqual([`${part}.csv`]);
      expect(readSeries(recording, `${part}.csv`)).toEqual(generatePart(physics, part, seeds, rows));
    }
    rmSync(directory, { recursive: true });
  });
});
