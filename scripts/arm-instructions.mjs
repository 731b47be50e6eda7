#!/usr/bin/env node
/**
 * A cost model for ARM that does not depend on the machine it is made on: instructions per step, counted by a plugin of
 * user-mode QEMU, and from them an ESTIMATE of the time on each Raspberry Pi.
 *
 *   node scripts/arm-instructions.mjs [--json]     some minutes of one core
 *
 * Counts are differences between a long and a short run of the same program, so that starting and compiling cancel out;
 * V8's optimising compiler alone makes the WebAssembly, on the one thread that counts. They repeat within about one
 * percent. An estimate is instructions / (instructions per cycle x clock), where instructions per cycle is assumed, not measured: see `cores`.
 * Needs qemu-user and a C compiler (for the plugin of forty lines; nothing of it goes into Dormouse).
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { nodeBinary } from './package/node-binary.mjs';
import { runProgram } from './prove/program.mjs';
import { armRoot } from './runtimes/binaries.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const place = join(root, 'build/prove');

/** Assumed instructions per cycle of such code, low and high, with the reason; and the devices with that core. */
const cores = [
  {
    cpu: 'cortex-a53',
    perCycle: [0.5, 0.9],
    why: 'two in order, vectors of 64 bit',
    targets: ['zero2w', 'pi3'],
  },
  { cpu: 'cortex-a72', perCycle: [1, 1.8], why: 'three out of order, vectors half speed', targets: ['pi4'] },
  {
    cpu: 'cortex-a76',
    perCycle: [2, 3],
    why: 'four out of order, two vector units of 128 bit',
    targets: ['pi5'],
  },
];
const cases = [
  { preset: 'micro', tier: 0, kernels: ['relaxed', 'exact'], times: [4000, 8000] },
  { preset: 'micro', tier: 1, kernels: ['relaxed'], times: [4000, 9000] },
  { preset: 'baseline', tier: 0, kernels: ['relaxed'], times: [2000, 3000] },
  { preset: 'baseline', tier: 1, kernels: ['relaxed'], times: [2000, 4000] },
  { preset: 'micro', tier: 3, kernels: ['relaxed'], times: [20_000, 120_000] },
];

/** The number that QEMU wants a plugin to carry: 1 until QEMU 8, later ones tell theirs when they refuse. */
const pluginVersions = [1, 2, 3, 4, 5];

function compilePlugin(version) {
  const plugin = join(place, `instructions-${version}.so`);
  const source = join(root, 'scripts/prove/instructions.c');
  const flags = ['-O2', '-shared', '-fPIC', '-fvisibility=hidden', `-DPLUGIN_VERSION=${version}`];
  execFileSync('cc', [...flags, '-o', plugin, source], { stdio: 'inherit' });
  return plugin;
}

async function makeCounter() {
  const sysroot = armRoot(join(root, 'build/runtimes'));
  const { node } = await nodeBinary('arm64', join(root, 'build/package'));
  const program = join(place, 'steps.mjs');
  const entryPoints = [join(root, 'scripts/prove/steps.ts')];
  await build({ entryPoints, outfile: program, bundle: true, platform: 'node', format: 'esm' });
  const emulate = (plugin, cpu, args) =>
    runProgram('qemu-aarch64', ['-cpu', cpu, '-L', sysroot, '-plugin', plugin, node, ...args], {
      seconds: 3600,
    });
  const plugin = await workingPlugin((candidate) => emulate(candidate, cores[0].cpu, ['--version']));
  return async (cpu, args) => {
    const { stderr } = await emulate(plugin, cpu, ['--no-liftoff', '--predictable', program, ...args]);
    return Number(/^instructions (\d+)$/m.exec(stderr)[1]);
  };
}

async function workingPlugin(run) {
  let reason;
  for (const version of pluginVersions) {
    const plugin = compilePlugin(version);
    try {
      await run(plugin);
      return plugin;
    } catch (error) {
      reason = error;
    }
  }
  throw reason;
}

async function measure(count, { cpu }, { preset, tier, times }, kernels) {
  const [few, many] = times;
  const runs = [];
  for (const repeat of times) runs.push(await count(cpu, [preset, String(tier), kernels, String(repeat)]));
  return Math.round((runs[1] - runs[0]) / (many - few));
}

/** Microseconds on each device with that core: [low, high]. */
function estimates({ perCycle: [low, high], targets }, instructions) {
  return targets.map((name) => {
    const { cpu } = JSON.parse(readFileSync(join(root, 'targets', name, 'target.json'), 'utf8'));
    return {
      target: name,
      estimatedUs: [high, low].map((ipc) => Number((instructions / (ipc * cpu.clockMHz)).toPrecision(2))),
    };
  });
}

function lineOf({ preset, tier, kernels, cpu, instructions, devices }) {
  const what = `${preset} ${tier === 3 ? 'skipped tick' : `tier ${tier} step`}, ${kernels}`;
  const times = devices.map(({ target, estimatedUs: [low, high] }) => `${target} ${low} to ${high} us`);
  return `${what.padEnd(32)} ${cpu}  ${String(instructions).padStart(8)} instructions  estimated: ${times.join(', ')}`;
}

mkdirSync(place, { recursive: true });
const count = await makeCounter();
const json = process.argv.includes('--json');
if (!json) {
  for (const { cpu, perCycle, why } of cores)
    process.stdout.write(`assumed for ${cpu}: ${perCycle.join(' to ')} instructions per cycle (${why})\n`);
}
for (const one of cases) {
  for (const kernels of one.kernels) {
    for (const core of cores) {
      const instructions = await measure(count, core, one, kernels);
      const { preset, tier } = one;
      const result = {
        preset,
        tier,
        kernels,
        cpu: core.cpu,
        instructions,
        devices: estimates(core, instructions),
      };
      process.stdout.write(json ? `${JSON.stringify(result)}\n` : `${lineOf(result)}\n`);
    }
  }
}
