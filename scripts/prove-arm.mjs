#!/usr/bin/env node
/**
 * Proof on ARM without an ARM machine: builds dist/pi5 and runs its executable under user-mode QEMU as Cortex-A53, A72
 * and A76 (Pi Zero 2 W and 3, Pi 4, Pi 5).
 *
 *   node scripts/prove-arm.mjs            all of it, a quarter of an hour and more for each processor
 *   node scripts/prove-arm.mjs --quick    shorter runs, one suite of the bench, no golden hash (that of runtimes.mjs)
 *   node scripts/prove-arm.mjs --cpu NAME[,NAME]   cortex-a53, cortex-a72, cortex-a76 (default: all three)
 *
 * Each processor: --version, doctor, a demo with its own broker and one of a minute through Mosquitto, every suite of
 * `bench --quick`, the golden hash, and a replay of a minute through Mosquitto whose results must equal those of the same
 * program on this x64, text for text. Everything runs in an empty folder, as on a device that has nothing but the executable.
 * Then the package goes into an empty folder: files, modes, user, unit, upgrade, removal, purge. What is missing here
 * (qemu-user, mosquitto, dpkg, root) is told and left out. Exits 1 if anything is not as it should be.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { pageProblem } from './package/elf.mjs';
import { nodeBinary } from './package/node-binary.mjs';
import { findMosquitto, proveEqualOutputs, withBroker } from './prove/gateways.mjs';
import { installationObstacle, proveInstallation } from './prove/installation.mjs';
import { runProgram } from './prove/program.mjs';
import { armRoot } from './runtimes/binaries.mjs';
import { bundleGolden } from './runtimes/bundles.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const place = join(root, 'build/prove');
const dist = join(root, 'dist/pi5');
const allCpus = ['cortex-a53', 'cortex-a72', 'cortex-a76'];
const { values: options } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, cpu: { type: 'string' } },
});
const { quick } = options;
const cpus = options.cpu?.split(',') ?? allCpus;
const unknown = cpus.find((cpu) => !allCpus.includes(cpu));
if (unknown !== undefined) throw new Error(`--cpu: expected ${allCpus.join(', ')}, got '${unknown}'`);
const steps = 1000;
const demoSeconds = quick ? 5 : 20;
/** Minutes of the room; replayed in 60 s by the long form. */
const ticks = quick ? 500 : 1440;
/** The suite of the short form: messages through a whole gateway. */
const quickSuites = ['gateway'];
/** Pages of any kernel for arm64; those of the Pi 5 have 16 KiB. */
const pageSizes = [4096, 16_384, 65_536];
// V8 reserves 8 GiB of addresses around each WebAssembly memory, whose page tables QEMU would fill and never free.
const env = { NODE_OPTIONS: '--disable-wasm-trap-handler' };
const mosquitto = findMosquitto();
/** Nothing beside the program to read from. */
const cwd = mkdtempSync(join(tmpdir(), 'dormouse-alone-'));

let failures = 0;

/** Does it, and tells what came of it; a failure is told and counted. */
async function prove(what, action) {
  const startedMs = performance.now();
  try {
    const found = await action();
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    process.stdout.write(`${what}: ${found} (${seconds} s)\n`);
  } catch (error) {
    failures++;
    process.stdout.write(`${what}: FAILED, ${error.message}\n`);
  }
}

function leftOut(what, why) {
  process.stdout.write(`${what}: left out, ${why}\n`);
}

function provePages() {
  const executable = readFileSync(join(dist, 'dormouse'));
  for (const bytes of pageSizes) {
    const problem = pageProblem(executable, bytes);
    if (problem !== undefined) throw new Error(`pages of ${bytes} bytes: ${problem}`);
  }
  return `loads on kernels with pages of ${pageSizes.map((bytes) => `${bytes / 1024} KiB`).join(', ')}`;
}

async function proveVersion([command, ...args]) {
  const { stdout } = await runProgram(command, [...args, '--version'], { env, cwd });
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  if (stdout !== `${version}\n`) throw new Error(`expected ${version}, got ${stdout}`);
  return version;
}

/** Through a broker of its own, or that of `url`. */
async function proveDemo([command, ...args], seconds, url) {
  const broker = url === undefined ? [] : ['--broker', url];
  const words = ['demo', '--seconds', String(seconds), '--speed', '600', '--plain', ...broker];
  const { stdout } = await runProgram(command, [...args, ...words], { env, cwd });
  const found = /^ {2}ticks +(\d+):[\s\S]*^ {2}accuracy +(\S+ %)/m.exec(stdout);
  if (found === null || Number(found[1]) === 0)
    throw new Error(`expected ticks and their accuracy, got ${stdout}`);
  return `${found[1]} ticks, ${found[2]} right`;
}

/** The golden program is none of the executable's commands, so it runs on the very Node that is inside. */
async function proveGolden(emulator, node) {
  const [command, ...args] = emulator;
  const { stdout } = await runProgram(command, [...args, node, join(place, 'golden.mjs'), String(steps)], {
    env,
  });
  const { vectors } = JSON.parse(readFileSync(join(root, 'test/vectors/golden.json'), 'utf8'));
  const expected = vectors.find((vector) => vector.steps === steps).sha256;
  for (const { kernel, sha256 } of JSON.parse(stdout).hashes) {
    for (const [set, hash] of Object.entries(expected))
      if (sha256[set] !== hash) throw new Error(`${kernel}, ${set}: expected ${hash}, got ${sha256[set]}`);
  }
  return `${steps} steps, equal with every kernel`;
}

/** Of the machine alone, and with the package's config and a real broker if there is one. */
async function proveDoctor([command, ...args]) {
  const { stdout } = await runProgram(command, [...args, 'doctor', '--json'], { env, cwd });
  const { findings } = JSON.parse(stdout);
  const textOf = (name) => findings.find(({ check }) => check === name)?.text;
  if (!/ on arm64$/.test(textOf('node')) || !/^relaxed/.test(textOf('kernel')))
    throw new Error(`expected arm64 and relaxed kernels, got ${stdout}`);
  return [textOf('node'), `kernel ${textOf('kernel')}`, ...(await doctorWithBroker(command, args))].join(
    '; ',
  );
}

async function doctorWithBroker(command, args) {
  if (mosquitto === undefined) return ['no broker to ask'];
  const model = join(root, 'targets/models/occupancy.safetensors');
  const { stdout } = await withBroker(mosquitto, (url) => {
    const config = join(cwd, 'gateway.yaml');
    const ledger = { directory: join(cwd, 'ledger') };
    const source = { topic: 'office/room', object: true };
    // JSON is YAML
    writeFileSync(
      config,
      JSON.stringify({ gateway: 'office', target: 'pi5', model, mqtt: { url }, source, ledger }),
    );
    return runProgram(command, [...args, 'doctor', config, '--json'], { env, cwd });
  });
  const { ok, findings } = JSON.parse(stdout);
  if (!ok) throw new Error(`expected no failure, got ${stdout}`);
  return [`${findings.length} findings with a config and Mosquitto, none of them a failure`];
}

/** The names of all suites, from what the program says of itself. */
async function suitesOf() {
  const { stdout } = await runProgram(process.execPath, [
    join(root, 'build/package/dormouse.mjs'),
    'bench',
    '--help',
  ]);
  const lines = /^Suites.*\n([\s\S]*?)\n\n/m.exec(stdout)[1];
  return lines.split('\n').map((line) => line.trim().split(' ')[0]);
}

async function proveBench([command, ...args], suite) {
  const words = [...args, 'bench', suite, '--quick', '--json'];
  const { stdout } = await runProgram(command, words, { env, cwd, seconds: 3600 });
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const wrong = lines.find((line) => line.suite !== suite || !(line.median > 0));
  if (wrong !== undefined) throw new Error(`expected cases of ${suite} with a median, got ${stdout}`);
  return `${lines.length} cases (times of an emulator mean nothing)`;
}

async function writeRoom() {
  const outfile = join(place, 'room.mjs');
  await build({
    entryPoints: [join(root, 'scripts/prove/room.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
  });
  const { stdout } = await runProgram(process.execPath, [outfile, String(ticks)]);
  const messages = join(place, 'room.ndjson');
  writeFileSync(messages, stdout);
  return messages;
}

async function proveOutputs(emulators) {
  const programs = [
    { name: 'x64', command: [process.execPath, join(dist, 'gateway.mjs')] },
    ...emulators.map(({ cpu, command }) => ({
      name: cpu,
      env,
      command: [...command, join(dist, 'dormouse')],
    })),
  ];
  const sha256 = await proveEqualOutputs({
    mosquitto,
    programs,
    model: join(root, 'targets/models/occupancy.safetensors'),
    messages: await writeRoom(),
    ticks,
    ...(quick ? {} : { rate: ticks }),
    seconds: 600,
  });
  return `${ticks} results from Mosquitto, equal on x64 and ${cpus.join(', ')}: ${sha256.slice(0, 16)}`;
}

async function emulatorsOf() {
  try {
    const sysroot = armRoot(join(root, 'build/runtimes'));
    return cpus.map((cpu) => ({ cpu, command: ['qemu-aarch64', '-cpu', cpu, '-L', sysroot] }));
  } catch (error) {
    leftOut('arm64', error.message);
    return [];
  }
}

function buildTarget(env = {}) {
  const options = { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, ...env } };
  execFileSync(process.execPath, [join(root, 'build.mjs'), '--target', 'pi5'], options);
  return readFileSync(join(dist, 'SHA256SUMS'), 'utf8');
}

function proveReproducible(first) {
  const second = buildTarget({ TZ: 'Asia/Tokyo', LC_ALL: 'C' });
  if (second !== first) throw new Error(`expected the same bytes again, got\n${first}and then\n${second}`);
  return 'two builds, equal bytes';
}

mkdirSync(place, { recursive: true });
const sums = buildTarget();
await prove('build', () => proveReproducible(sums));
await bundleGolden(join(place, 'golden.mjs'));
await prove('executable', provePages);
const emulators = await emulatorsOf();
const { node } = await nodeBinary('arm64', join(root, 'build/package'));
const suites = quick ? quickSuites : await suitesOf();
for (const { cpu, command } of emulators) {
  const program = [...command, join(dist, 'dormouse')];
  await prove(`${cpu} --version`, () => proveVersion(program));
  await prove(`${cpu} doctor`, () => proveDoctor(program));
  await prove(`${cpu} demo of ${demoSeconds} s, broker of its own`, () => proveDemo(program, demoSeconds));
  if (!quick && mosquitto !== undefined) {
    const demo = () => withBroker(mosquitto, (url) => proveDemo(program, 60, url));
    await prove(`${cpu} demo of 60 s, Mosquitto`, demo);
  }
  for (const suite of suites) await prove(`${cpu} bench ${suite} --quick`, () => proveBench(program, suite));
  if (!quick) await prove(`${cpu} golden hash`, () => proveGolden(command, node));
}
if (mosquitto === undefined) leftOut('outputs', 'mosquitto is missing (Debian: apt-get install mosquitto)');
else if (emulators.length > 0) await prove('outputs', () => proveOutputs(emulators));
const obstacle = installationObstacle();
const deb = readdirSync(dist).find((name) => name.endsWith('.deb'));
if (obstacle !== undefined) leftOut('package', obstacle);
else await prove('package', () => proveInstallation(join(dist, deb)).join('; '));
rmSync(cwd, { recursive: true });
process.stdout.write(failures === 0 ? 'all as it should be\n' : `${failures} failures\n`);
process.exitCode = failures === 0 ? 0 : 1;
