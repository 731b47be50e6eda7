import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { saveModel } from '../../src/engine/model-file.ts';
import { Random } from '../../src/train/random.ts';
import { tinyModel } from '../engine/tiny-model.ts';
import { isBuilt, runScript } from './built-script.ts';

const CALIBRATION = 150;
const ROWS = 500;
const FAULT: readonly [number, number] = [300, 350];

const built = isBuilt();
const folder = mkdtempSync(join(tmpdir(), 'dormouse-coverage-'));
const [recording, modelPath] = [join(folder, 'recording'), join(folder, 'model.safetensors')];
afterAll(() => rmSync(folder, { recursive: true }));

const chart = { calibrationTicks: CALIBRATION, levelHalfLife: 3, surpriseHalfLife: 3, release: 0.75 };
const model = tinyModel({
  config: { outputs: 4 },
  meaning: {
    task: { kind: 'anomaly', threshold: 3, chart },
    spikes: { delta: [1, 1], heartbeat: [5, 5], refractory: [0, 0] },
  },
});
writeFileSync(modelPath, saveModel(model));

const names = model.meaning.channels.map(({ name }) => name);
mkdirSync(recording);
writeFileSync(
  join(recording, 'recording.json'),
  JSON.stringify({
    name: 'made',
    task: 'anomaly',
    time: 'time',
    label: 'label',
    channels: Object.fromEntries(names.map((name) => [name, ''])),
    files: ['test.csv'],
    perFile: { trainRows: CALIBRATION, testRows: `${CALIBRATION}..end` },
    intervalS: 1,
    source: 'made up',
  }),
);

/** Readings around 20, which scatter so many times as much once the model is calibrated. */
function writeReadings(scatter: number): void {
  const random = new Random(1);
  const rows = Array.from({ length: ROWS }, (_, row) => {
    const isFaulty = row >= FAULT[0] && row < FAULT[1];
    const spread = row < CALIBRATION ? 1 : scatter;
    const readings = names.map(() => 20 + spread * random.normal() + (isFaulty ? 50 : 0));
    return [row, ...readings, isFaulty ? 1 : 0].join(',');
  });
  writeFileSync(join(recording, 'test.csv'), `time,${names.join(',')},label\n${rows.join('\n')}\n`);
}

/** The lines of the table: [age, readings, share of them inside in percent], and that of all. */
function coverage(scatter: number) {
  writeReadings(scatter);
  const { status, stdout, stderr } = runScript('interval-coverage', modelPath, recording);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const cells = [...stdout.matchAll(/^\| (\d+|all) \| (\d+) \| ([\d.]+) % \|$/gm)];
  const lines = cells.map(([, age, readings, inside]) => [age!, Number(readings), Number(inside)] as const);
  return { ages: lines.slice(0, -1), all: lines.at(-1)! };
}

test.skipIf(!built)('counts every reading that is no anomaly once, by the age of the output', () => {
  const { ages, all } = coverage(1);
  expect(all[0]).toBe('all');
  expect(ages.length).toBeGreaterThan(1);
  expect(ages.reduce((sum, [, readings]) => sum + readings, 0)).toBe(all[1]);
  const expected = names.length * (ROWS - CALIBRATION - (FAULT[1] - FAULT[0]));
  expect(Math.abs(all[1] - expected)).toBeLessThanOrEqual(2 * names.length);
});

test.skipIf(!built)('finds fewer inside where they scatter more than when the model was calibrated', () => {
  expect(coverage(10).all[2]).toBeLessThan(coverage(1).all[2]);
});

test.skipIf(!built)('asks for a model and a folder', () => {
  expect(runScript('interval-coverage', modelPath)).toMatchObject({ status: 2, stdout: '' });
});
