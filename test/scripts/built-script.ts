/** Scripts that people run by hand, as they run them: with what `npm run build` has made. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const fileOf = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** Whether there is a build to run them with; if not, says so. */
export function isBuilt(): boolean {
  const built = ['dist/index.mjs', 'dist/dormouse.mjs'].every((path) => existsSync(fileOf(path)));
  if (!built) console.warn('skipped without a built dist/: npm run build');
  return built;
}

/** Runs scripts/NAME.mjs. */
export function runScript(name: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [fileOf(`scripts/${name}.mjs`), ...args], {
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}
