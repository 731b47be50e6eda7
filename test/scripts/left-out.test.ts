import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { writeSmallRecording } from '../cli/small-recording.ts';
import { isBuilt, runScript } from './built-script.ts';

const built = isBuilt();
const folder = mkdtempSync(join(tmpdir(), 'dormouse-left-out-'));
const recording = join(folder, 'recording');
writeSmallRecording(recording, 300);
afterAll(() => rmSync(folder, { recursive: true }));

const sizes = ['--hidden', '8', '--layers', '1', '--steps', '4', '--threads', '1'];

test.skipIf(!built)('scores the rows that were left out, as they were and disturbed', () => {
  const { status, stdout, stderr } = runScript(
    'left-out',
    recording,
    ...['--fold', '0..150', '--fold', '150..300', '--channel', 'level', '--shift', '0', '--waves', '40'],
    ...['--leak', '1', '--leak-half-life', '20', '--widths', '1,3', '--policies', 'events'],
    ...['--', ...sizes],
  );
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const found = stdout
    .trim()
    .split('\n')
    .map((line) =>
      /^seed 1, (.*), (dense|gated|gated, \d times as wide|gated, events): (\d\.\d{4}), (\d+) MACs a row$/
        .exec(line)!
        .slice(1),
    );
  const leaks = 'leaks 1 times as fast';
  const names = ['as it was', 'shifted by 0', 'waves of 20', 'waves of 40', leaks, `${leaks} while on`];
  const kinds = ['dense', 'gated', 'gated, 1 times as wide', 'gated, 3 times as wide', 'gated, events'];
  expect(found.map(([name, kind]) => `${name}, ${kind}`)).toEqual(
    names.flatMap((name) => kinds.map((kind) => `${name}, ${kind}`)),
  );
  const resultsOf = (wanted: string) =>
    found.filter(([name]) => name === wanted).map(([, , accuracy, macs]) => [accuracy, macs]);
  for (const same of ['shifted by 0', leaks, `${leaks} while on`]) {
    expect(resultsOf(same)).toEqual(resultsOf('as it was'));
  }
  const [dense, gated, asWide, wider, events] = resultsOf('as it was').map(([, macs]) => Number(macs));
  expect(asWide).toBe(gated);
  // The default.
  expect(events).toBe(gated);
  expect(gated).toBeLessThan(dense!);
  expect(wider).toBeLessThan(gated!);
});

test.skipIf(!built)('says what is wrong with a fold', () => {
  for (const fold of ['0..9000', '5..5', 'all']) {
    const told = { status: 2, stderr: `--fold ${fold}: expected FROM..TO within the 300 training rows\n` };
    expect(runScript('left-out', recording, '--fold', fold, '--', ...sizes)).toMatchObject(told);
  }
  const told = 'expected DIRECTORY and --fold FROM..TO\n';
  expect(runScript('left-out', recording)).toMatchObject({ status: 2, stderr: told });
});
