/** One program each of what every runtime must run: the golden hash, and the engine's tests. */
import { readdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');
const common = { bundle: true, platform: 'node', target: 'node20', format: 'esm', logLevel: 'warning' };

export async function bundleGolden(outfile) {
  await build({ ...common, outfile, entryPoints: [join(root, 'scripts/golden.ts')] });
}

/** The test files below a folder of the repository, as paths from its root. */
export function testFilesBelow(folder) {
  return readdirSync(join(root, folder), { recursive: true })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => `${folder}/${name}`)
    .sort();
}

/** A program that runs these test files (paths from the root, or absolute), or those that its arguments name. */
export async function bundleTests(files, outfile) {
  const imports = files.map(
    (file) => `${JSON.stringify(file)}: () => import(${JSON.stringify(resolve(root, file))})`,
  );
  const contents = `
    import { runTests } from './engine-tests.ts';
    await runTests({ ${imports.join(', ')} }, process.argv.slice(2));`;
  await build({
    ...common,
    outfile,
    stdin: { contents, resolveDir: here, loader: 'ts' },
    alias: { vitest: join(here, 'vitest-alone.ts') },
  });
}
