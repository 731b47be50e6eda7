/** Workloads as recordings: in memory for a benchmark, or as files that every command can read. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Recording, Series } from '../recording/recording.ts';
import { generate } from './generate.ts';
import { classes, FAULT_CLASS, type Physics } from './physics.ts';
import { sensorsOf } from './plant.ts';

/** Seeds of the three parts, so that nothing is scored that was trained or chosen on. */
export interface Seeds {
  readonly train: number;
  readonly validation: number;
  readonly test: number;
}

export interface Rows {
  readonly train: number;
  readonly validation: number;
  readonly test: number;
}

const parts = ['train', 'validation', 'test'] as const;
type Part = (typeof parts)[number];
export const defaultRows: Rows = { train: 30_000, validation: 15_000, test: 30_000 };
const fileOf = (part: Part) => `${part}.csv`;

/** What is to be learned of a plant: its regime, the ticks to come, or that a sensor is faulty. */
export type WorkloadTask =
  | { readonly kind: 'classify' | 'anomaly' }
  | { readonly kind: 'forecast'; readonly horizon: number };

/** Three different seeds from one. */
export function seedsOf(seed: number): Seeds {
  return { train: 3 * seed, validation: 3 * seed + 1, test: 3 * seed + 2 };
}

/** What a workload is, for everything that reads recordings. */
export function describe(physics: Physics, seeds: Seeds, directory = '.'): Recording {
  const whole = (part: Part) => [{ file: fileOf(part), from: 0, to: Number.POSITIVE_INFINITY }];
  return {
    name: physics.name,
    task: 'classify',
    classes: [...classes],
    channels: sensorsOf(physics).map(({ name, unit }) => ({ name, unit })),
    intervalMs: physics.intervalMs,
    source: `generated, seeds ${seeds.train}, ${seeds.validation}, ${seeds.test}: ${physics.plant}`,
    directory,
    timeColumn: 'time',
    labelColumn: 'label',
    ignoredColumns: [],
    train: whole('train'),
    validation: whole('validation'),
    test: whole('test'),
    calibrationRows: 0,
  };
}

/** The part's series, named as its file would be. */
export function generatePart(physics: Physics, part: Part, seeds: Seeds, rows: number): Series {
  return { ...generate(physics, seeds[part], rows).series, name: fileOf(part) };
}

/**
 * Writes train.csv, validation.csv, test.csv and recording.json into `directory`, which it makes if it must. The rows of
 * all tasks are the same; classes are the regimes and `fault`, labels of the other tasks 1 where a sensor is faulty.
 */
export function writeWorkload(
  directory: string,
  physics: Physics,
  seeds: Seeds,
  rows: Rows,
  task: WorkloadTask = { kind: 'classify' },
): void {
  mkdirSync(directory, { recursive: true });
  const { name, source, channels, intervalMs } = describe(physics, seeds);
  const labels =
    task.kind === 'classify' ? classes : classes.map((_, label) => Number(label === FAULT_CLASS));
  for (const part of parts) {
    const text = csvOf(generatePart(physics, part, seeds, rows[part]), physics, labels);
    writeFileSync(join(directory, fileOf(part)), text);
  }
  const description = {
    name,
    task: task.kind,
    ...(task.kind === 'classify' && { classes }),
    ...(task.kind === 'forecast' && { horizon: task.horizon }),
    time: 'time',
    label: 'label',
    channels: Object.fromEntries(channels.map((channel) => [channel.name, channel.unit])),
    intervalS: intervalMs / 1000,
    source,
    ...Object.fromEntries(parts.map((part) => [part, [fileOf(part)]])),
  };
  writeFileSync(join(directory, 'recording.json'), `${JSON.stringify(description, null, 2)}\n`);
}

/** `labels`: what is written for each class. */
function csvOf(series: Series, physics: Physics, labels: readonly (string | number)[]): string {
  const sensors = sensorsOf(physics);
  const lines = [['time', ...sensors.map(({ name }) => name), 'label'].join(',')];
  for (let row = 0; row < series.rows; row++) {
    const values = series.values.subarray(row * sensors.length, (row + 1) * sensors.length);
    const fields = Array.from(values, (value) => (Number.isNaN(value) ? '' : String(value)));
    lines.push(
      [new Date(series.timeMs[row]!).toISOString(), ...fields, labels[series.labels![row]!]!].join(','),
    );
  }
  return `${lines.join('\n')}\n`;
}
