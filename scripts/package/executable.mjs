/** One file that holds Node, Dormouse and the shipped models: built on x64, for any Linux that Node knows. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { embedBlob, pageProblem } from './elf.mjs';
import { nodeBinary } from './node-binary.mjs';

/** The largest pages that a kernel of the architecture may have. */
const largestPageBytes = { arm64: 65_536, x64: 4096 };

/**
 * The executable's bytes. `main` is the bundle; `assets` are files by the names under which the program asks for them.
 * `directory` keeps Node's binaries.
 */
export async function buildExecutable({ architecture, main, assets, directory }) {
  const blob = await writeBlob({ main, assets, directory });
  const { node } = await nodeBinary(architecture, directory);
  const executable = embedBlob(readFileSync(node), blob);
  const problem = pageProblem(executable, largestPageBytes[architecture]);
  if (problem !== undefined) throw new Error(`executable for ${architecture}: ${problem}`);
  return executable;
}

/** Node writes its blob with the paths that it was given, so they are relative, and the same on every machine. */
async function writeBlob({ main, assets, directory }) {
  const work = join(directory, `blob-${process.pid}`);
  mkdirSync(work, { recursive: true });
  try {
    const files = { ...assets, 'dormouse.mjs': main };
    for (const [name, path] of Object.entries(files)) {
      mkdirSync(dirname(join(work, name)), { recursive: true });
      copyFileSync(path, join(work, name));
    }
    const config = {
      main: 'dormouse.mjs',
      mainFormat: 'module',
      output: 'blob',
      disableExperimentalSEAWarning: true,
      useCodeCache: false,
      // mqtt.js parses URLs the old way, and src/cli/program-pages.ts uses what is experimental in this one Node: on a
      // gateway that is nobody's concern.
      execArgv: ['--disable-warning=DEP0169', '--disable-warning=ExperimentalWarning'],
      execArgvExtension: 'env',
      assets: Object.fromEntries(Object.keys(files).map((name) => [name, name])),
    };
    writeFileSync(join(work, 'config.json'), JSON.stringify(config));
    const { node } = await nodeBinary(process.arch, directory);
    execFileSync(node, ['--experimental-sea-config', 'config.json'], { cwd: work, stdio: 'pipe' });
    return readFileSync(join(work, 'blob'));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
