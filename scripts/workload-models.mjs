/**
 * Makes targets/models/workloads/NAME.safetensors, which `dormouse bench workloads` plays: for each workload, generate
 * a recording, train on its first part, tune on its first two. The third, which the benchmark plays, is never read.
 *
 * node scripts/workload-models.mjs [NAME ...]     after `npm run build`; some minutes each
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../dist/dormouse.mjs', import.meta.url));
const models = fileURLToPath(new URL('../targets/models/workloads/', import.meta.url));

/** Share of the dense quality that is asked on the rows that choose: more than the benchmark asks on others. */
const retentions = { streaming: 0.993, interactive: 0.985, continuous: 0.985, 'safety-critical': 0.985 };
const rows = '120000';
// These plants are the same next week: levels, flags and gaps can be believed.
const recipe = ['--level-jitter', '0', '--channel-dropout', '0', '--event-shuffle', '0.1'];
recipe.push('--steps', '200', '--learning-rate', '0.002');

function dormouse(...args) {
  const { status } = spawnSync(process.execPath, [program, ...args], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(retentions);
const unknown = names.find((name) => !Object.hasOwn(retentions, name));
if (unknown !== undefined) {
  console.error(`expected workloads (${Object.keys(retentions).join(', ')}), got '${unknown}'`);
  process.exit(2);
}

mkdirSync(models, { recursive: true });
for (const name of names) {
  const folder = mkdtempSync(join(tmpdir(), 'dormouse-workload-'));
  const trained = join(folder, `${name}.safetensors`);
  dormouse('generate', name, '-o', folder, '--rows', rows, '--seed', '1');
  dormouse('train', folder, '-o', trained, ...recipe);
  const retention = String(retentions[name]);
  const tuned = join(models, `${name}.safetensors`);
  const asked = ['--retention', retention, '--trials', '120', '--first-heartbeats', '1,2,4'];
  dormouse('tune', folder, '--model', trained, ...asked, '-o', tuned);
  rmSync(folder, { recursive: true });
}
