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
    ...['--', ...sizes],
  );
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const found = stdout
    .trim()
    .split('\n')
    .map((line) => /^seed 1, (.*), (dense|gated): (\d\.\d{4}), (\d+) MACs a row$/.exec(line)!.slice(1));
  const names = ['as it was', 'shifted by 0', 'waves of 20', 'waves of 40'];
  expect(found.map(([name, kind]) => `${name}, ${kind}`)).toEqual(
    names.flatMap((name) => [`${name}, dense`, `${name}, gated`]),
  );
  const [asItWas, shifted] = [found.slice(0, 2), found.slice(2, 4)].map((lines) =>
    lines.map(([, , accuracy, macs]) => [accuracy, macs]),
  );
  expect(shifted).toEqual(asItWas);
  const macs = found.map((line) => Number(line[3]));
  expect(macs[1]).toBeLessThan(macs[0]!);
});

test.skipIf(!built)('says what is wrong with a fold', () => {
  for (const fold of ['0..9000', '5..5', 'all']) {
    const told = { status: 2, stderr: `--fold ${fold}: expected FROM..TO within the 300 training rows\n` };
    expect(runScript('left-out', recording, '--fold', fold, '--', ...sizes)).toMatchObject(told);
  }
  const told = 'expected DIRECTORY and --fold FROM..TO\n';
  expect(runScript('left-out', recording)).toMatchObject({ status: 2, stderr: told });
});
