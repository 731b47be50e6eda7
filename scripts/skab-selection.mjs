#!/usr/bin/env node
/**
 * How well a model's control chart finds faults, and how well others would: on the rows that training may see, with faults
 * injected at random times. No scored row is read. After `npm run build` (the kernels), and a training:
 *
 *   node scripts/skab-selection.mjs DIRECTORY MODEL [--sets 24] ['{"threshold": 2.5, "unit": "strangest"}' ...]
 *
 * Each JSON object is one more chart: what it names differs from the model's own (null takes a setting away). Prints, for
 * stretches of the recording without anomalies and for halves of the calibration rows, dense and gated: F1, its
 * interval beside the first, rates of false and missed rows, false alarms per day of quiet, NAB; and the rivals.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const { values, positionals } = parseArgs({
  options: { sets: { type: 'string', default: '24' } },
  allowPositionals: true,
});
const [directory, model, ...charts] = positionals;
if (model === undefined || !/^[1-9]\d*$/.test(values.sets))
  throw new Error('expected DIRECTORY MODEL [--sets N] [JSON ...]');

const scratch = mkdtempSync(join(tmpdir(), 'dormouse-selection-'));
const program = join(scratch, 'main.mjs');
await build({
  entryPoints: [join(import.meta.dirname, 'skab-selection/main.ts')],
  bundle: true,
  platform: 'node',
  format: 'esm',
  outfile: program,
  logLevel: 'error',
  define: { DORMOUSE_VERSION: '"selection"' },
});
const { status } = spawnSync(process.execPath, [program, directory, model, values.sets, ...charts], {
  stdio: 'inherit',
});
rmSync(scratch, { recursive: true });
process.exitCode = status ?? 1;
