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
import { workloadRecipe } from './recipes.mjs';

const program = fileURLToPath(new URL('../dist/dormouse.mjs', import.meta.url));
const models = fileURLToPath(new URL('../targets/models/workloads/', import.meta.url));

/** Share of the dense quality that is asked, at the lower end of its interval, on the rows that choose. */
const retentions = { streaming: 0.985, interactive: 0.98, continuous: 0.98, 'safety-critical': 0.98 };
const trainRows = '120000';
const tuneRows = {
  streaming: '120000',
  interactive: '40000',
  continuous: '40000',
  'safety-critical': '40000',
};

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
  const [forTraining, forTuning] = [join(folder, 'train'), join(folder, 'tune')];
  const trained = join(folder, `${name}.safetensors`);
  dormouse('generate', name, '-o', forTraining, '--rows', trainRows, '--seed', '1');
  dormouse('train', forTraining, '-o', trained, ...workloadRecipe);
  dormouse('generate', name, '-o', forTuning, '--rows', tuneRows[name], '--seed', '1');
  const asked = ['--retention', String(retentions[name]), '--trials', '150', '--first-heartbeats', '1,2,4'];
  dormouse('tune', forTuning, '--model', trained, ...asked, '-o', join(models, `${name}.safetensors`));
  rmSync(folder, { recursive: true });
}
