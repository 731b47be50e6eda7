/**
 * Trains the models that `dormouse bench ablation --models DIRECTORY` looks for: for each workload and each recording
 * one per technique that needs training, and the plain one of a recording that none is shipped of. Those that are
 * there already are left as they are.
 *
 * node scripts/ablation-models.mjs DIRECTORY [RECORDINGS]     after `npm run build`; about half a minute a model
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ablationModels, recordingRecipes, workloadRecipe, workloads } from './recipes.mjs';

const program = fileURLToPath(new URL('../dist/dormouse.mjs', import.meta.url));
const trainRows = '120000';

function dormouse(...args) {
  const { status } = spawnSync(process.execPath, [program, ...args], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

/** Those that are not there yet; only then is the recording made. */
function trainAll(name, recipe, plain, recordingOf) {
  const wanted = ablationModels(name, recipe, plain)
    .map(([file, added]) => [join(target, file), added])
    .filter(([path]) => !existsSync(path));
  if (wanted.length === 0) return;
  const recording = recordingOf();
  for (const [path, added] of wanted) dormouse('train', recording, '-o', path, ...recipe, ...added);
}

const [target, recordings] = process.argv.slice(2);
if (target === undefined) {
  console.error('usage: node scripts/ablation-models.mjs DIRECTORY [RECORDINGS]');
  process.exit(2);
}
mkdirSync(target, { recursive: true });
for (const name of workloads) {
  const folder = mkdtempSync(join(tmpdir(), 'dormouse-ablation-'));
  trainAll(name, workloadRecipe, false, () => {
    dormouse('generate', name, '-o', folder, '--rows', trainRows, '--seed', '1');
    return folder;
  });
  rmSync(folder, { recursive: true });
}
for (const [name, recipe] of Object.entries(recordingRecipes)) {
  const recording = recordings && join(recordings, name);
  if (!recording || !existsSync(recording)) continue;
  const isShipped = existsSync(
    fileURLToPath(new URL(`../targets/models/${name}.safetensors`, import.meta.url)),
  );
  trainAll(name, recipe, !isShipped, () => recording);
}
