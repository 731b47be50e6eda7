import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UsageError } from '../../src/cli/command.ts';
import { command } from '../../src/cli/lambda.ts';
import { randomNumbers } from '../engine/tiny-model.ts';
import { captureOutput } from './captured-output.ts';

let directory = '';
const output = captureOutput();

function csv(seed: number, rows: number, anomalousFrom: number): string {
  const random = randomNumbers(seed);
  const lines = Array.from({ length: rows }, (_, row) => {
    const [factor, loose] = [random(), random()];
    const values = [0, 1, 2].map(
      (channel) => (row >= anomalousFrom && channel === 0 ? loose : factor) + 0.1 * random(),
    );
    return `${row},${values.join(',')},${row >= anomalousFrom ? 1 : 0}`;
  });
  return `time,a,b,c,label\n${lines.join('\n')}\n`;
}

function writeRecording(files: number, rows: number): void {
  const names = Array.from({ length: files }, (_, index) => `${index}.csv`);
  for (const [index, name] of names.entries())
    writeFileSync(join(directory, name), csv(index + 1, rows, rows - 150));
  writeFileSync(
    join(directory, 'recording.json'),
    JSON.stringify({
      name: 'rig',
      task: 'anomaly',
      time: 'time',
      label: 'label',
      channels: { a: '', b: '', c: '' },
      files: names,
      perFile: { trainRows: 330, testRows: '330..end' },
      intervalS: 1,
      source: 'made for this test',
    }),
  );
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-lambda-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

describe('lambda', () => {
  it('prints what lambda adds on the labelled files', async () => {
    writeRecording(6, 520);
    expect(await command.run([directory, '--json'])).toBe(0);
    const [labelled, ...others] = output.written
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(others).toEqual([]); // too few training rows in a stretch
    expect(labelled).toMatchObject({ anomalies: 'labelled', files: 6, rows: 6 * 190 });
    expect(labelled.anomalous).toBeCloseTo(150 / 190, 9);
    // Nothing moves further than before; only the channel's company is gone.
    expect(labelled.withLambda.gain).toBeGreaterThan(0);
    expect(labelled.withLambda.interval[0]).toBeLessThanOrEqual(labelled.withLambda.gain);
    output.written = '';
    await command.run([directory]);
    expect(output.written).toMatch(/^anomalies +files +anomalous +novelty +lambda +\+ lambda/);
    expect(output.written).toMatch(
      /\nlabelled +6 +0\.789 +0\.\d{3} +0\.\d{3} +\+0\.\d{3} \([+-]\d\.\d{3} to [+-]\d\.\d{3}\)/,
    );
  }, 20_000);

  it('asks for a recording', async () => {
    await expect(command.run([])).rejects.toThrow(UsageError);
    await expect(command.run(['a', 'b'])).rejects.toThrow(/expected one recording, got also 'b'/);
  });
});
