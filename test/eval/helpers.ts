/** Recordings for these tests: small made ones in memory, and the real ones that may lie beside the checkout. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Recording, Series } from '../../src/recording/recording.ts';
import { randomNumbers } from '../../src/statistics/random.ts';

const dataDirectory = fileURLToPath(new URL('../../../shared/data/', import.meta.url));

/** The directory of a real recording, or null, with a notice, when it is not there. */
export function realRecording(name: string): string | null {
  const directory = `${dataDirectory}${name}`;
  if (existsSync(`${directory}/recording.json`)) return directory;
  console.warn(`skipped: the recording '${name}' is not at ../shared/data/${name}`);
  return null;
}

export function makeRecording(changes: Partial<Recording>): Recording {
  return {
    name: 'made',
    task: 'classify',
    channels: [
      { name: 'a', unit: '' },
      { name: 'b', unit: '' },
    ],
    intervalMs: 1000,
    source: 'made for this test',
    directory: '.',
    timeColumn: 'time',
    labelColumn: 'label',
    ignoredColumns: [],
    train: [],
    validation: [],
    test: [],
    calibrationRows: 0,
    ...changes,
  };
}

/** `values[row]` are the channels of a row; a second between rows. */
export function makeSeries(
  name: string,
  values: readonly (readonly number[])[],
  labels: readonly number[] | null,
): Series {
  return {
    name,
    rows: values.length,
    timeMs: Float64Array.from(values, (_, row) => row * 1000),
    values: Float64Array.from(values.flat()),
    labels: labels === null ? null : Int8Array.from(labels),
  };
}

/** Roughly normal: the sum of twelve uniform numbers less six. */
export function makeNormal(seed: number): () => number {
  const random = randomNumbers(seed);
  return () => Array.from({ length: 12 }, random).reduce((sum, x) => sum + x, -6);
}
