/** Node's binaries from npm's node-linux-* packages, and what runs those of another processor. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const armLibraries = ['libc6', 'libstdc++6', 'libgcc-s1', 'libatomic1'];
const quiet = { stdio: 'ignore' };

/** The node binary of an npm package, installed below `place` once. */
export function nodeBinary(place, nodePackage, version) {
  const prefix = join(place, `${nodePackage}-${version}`);
  const binary = join(prefix, 'node_modules', nodePackage, 'bin', 'node');
  if (existsSync(binary)) return binary;
  mkdirSync(prefix, { recursive: true });
  const flags = ['--no-save', '--force', '--no-audit', '--no-fund', '--prefix', prefix];
  execFileSync('npm', ['install', ...flags, `${nodePackage}@${version}`], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return binary;
}

/** A folder with arm64's C library, fetched below `place` once. Throws an Error that says what is missing. */
export function armRoot(place) {
  if (spawnSync('qemu-aarch64', ['--version']).status !== 0) {
    throw new Error('qemu-aarch64 is missing (Debian: apt-get install qemu-user)');
  }
  const folder = join(place, 'arm64-root');
  if (existsSync(join(folder, 'lib'))) return folder;
  const packages = join(place, 'arm64-packages');
  mkdirSync(packages, { recursive: true });
  try {
    execFileSync('dpkg', ['--add-architecture', 'arm64'], quiet);
    execFileSync('apt-get', ['update'], quiet);
    const names = armLibraries.map((name) => `${name}:arm64`);
    execFileSync('apt-get', ['download', ...names], { ...quiet, cwd: packages });
    for (const file of readdirSync(packages))
      execFileSync('dpkg', ['-x', join(packages, file), folder], quiet);
  } catch (error) {
    throw new Error(`its C library can't be fetched (${error.message.split('\n')[0]})`);
  }
  return folder;
}
