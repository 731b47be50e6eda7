/** The plant that has to be remembered is a recording, the same for a seed, whose newest readings do not tell the class. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openRecording, readSeries } from '../../src/recording/recording.ts';
import { runScript } from './built-script.ts';

const directory = mkdtempSync(join(tmpdir(), 'dormouse-rare-events-'));
afterAll(() => rmSync(directory, { recursive: true }));

test('a pulse is rare, and says what the valve is until the next', () => {
  expect(runScript('rare-events', directory, '3')).toMatchObject({ status: 0, stderr: '' });
  const { rows, values, labels } = readSeries(openRecording(directory), 'train.csv');
  expect(rows).toBe(20_000);
  let pulses = 0;
  let said = -1;
  for (let row = 0; row < rows; row++) {
    const above = values[3 * row]! - 100;
    if (Math.abs(above) > 2) {
      pulses++;
      said = above > 0 ? 1 : 0;
    }
    expect(labels![row]).toBe(said);
  }
  expect(pulses).toBeGreaterThan(rows / 100);
  expect(pulses).toBeLessThan(rows / 40);
  const first = readFileSync(join(directory, 'test.csv'));
  runScript('rare-events', directory, '3');
  expect(readFileSync(join(directory, 'test.csv')).equals(first)).toBe(true);
});

test('asks for a folder, and for a seed that is a number', () => {
  expect(runScript('rare-events')).toMatchObject({ status: 2, stdout: '' });
  expect(runScript('rare-events', directory, 'x')).toMatchObject({ status: 2, stdout: '' });
});
