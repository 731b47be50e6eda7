/** `dormouse train` as a program: the file it makes, and its refusals. */
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadModel } from '../../src/engine/model-file.ts';
import { featureCount } from '../../src/gate/features.ts';
import { loadFloatModel } from '../../src/train/float-model.ts';
import { writeSmallRecording } from './small-recording.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'dormouse-train-'));
const program = join(directory, 'dormouse.mjs');
const recording = join(directory, 'recording');

beforeAll(async () => {
  // The whole program, as shipped: a training thread starts from the program's own file.
  await build({
    entryPoints: [join(root, 'src/cli/main.ts')],
    outfile: program,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    banner: { js: "import { createRequire as r_ } from 'node:module'; const require = r_(import.meta.url);" },
  });
  writeSmallRecording(recording);
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

function dormouse(...args: string[]) {
  return promisify(execFile)(process.execPath, [program, 'train', ...args], { cwd: directory });
}

it('makes the same file with one thread and with two, and says where it comes from', async () => {
  const common = ['--steps', '3', '--seed', '5', '-o', 'model.safetensors'];
  await dormouse(recording, ...common, '--threads', '1', '--quiet');
  const one = readFileSync(join(directory, 'model.safetensors'));
  const { stdout, stderr } = await dormouse(recording, ...common, '--threads', '2', '--json');
  const two = readFileSync(join(directory, 'model.safetensors'));
  expect(two.equals(one)).toBe(true);
  expect(stderr).toContain('3/3 int8');
  expect(JSON.parse(stdout)).toMatchObject({ output: 'model.safetensors', bytes: one.length, seed: 5 });
  const { provenance } = loadModel(new Uint8Array(one)).meaning;
  expect(provenance.command).toBe('dormouse train recording --steps 3 --seed 5 -o model.safetensors');
  expect(provenance.seed).toBe(5);
  expect(JSON.stringify(provenance)).not.toContain(directory);
  expect(provenance.trainingFiles).toEqual({ 'train.csv': expect.stringMatching(/^[0-9a-f]{64}$/) });
}, 60_000);

/** Kills a training process, as a power cut would, some time after its first checkpoint. */
function killLater(checkpoint: string, afterMs: number, ...args: string[]): Promise<void> {
  const child = spawn(process.execPath, [program, 'train', ...args], { cwd: directory });
  const watch = setInterval(() => {
    if (!existsSync(checkpoint)) return;
    clearInterval(watch);
    setTimeout(() => child.kill('SIGKILL'), afterMs);
  }, 5);
  return new Promise((resolve, reject) => {
    child.on('exit', (code, signal) => {
      clearInterval(watch);
      if (signal === 'SIGKILL') resolve();
      else reject(new Error(`expected to be killed, ended with code ${code}`));
    });
  });
}

it('goes on after a SIGKILL, and ends with the same file', async () => {
  const common = ['--steps', '9', '-o', 'killed.safetensors', '--threads', '1'];
  const model = join(directory, 'killed.safetensors');
  await dormouse(recording, ...common, '--quiet');
  const undisturbed = readFileSync(model);
  rmSync(model);
  expect(existsSync(`${model}.checkpoint`)).toBe(false);
  const everyStep = [...common, '--checkpoint-every', '0', '--quiet'];
  await killLater(`${model}.checkpoint`, 300 * Math.random(), recording, ...everyStep);
  expect(existsSync(model)).toBe(false);
  const { stderr } = await dormouse(recording, ...common, '--checkpoint-every', '0');
  expect(stderr).toMatch(/goes on after step \d+, from killed\.safetensors\.checkpoint/);
  expect(readFileSync(model).equals(undisturbed)).toBe(true);
  expect(existsSync(`${model}.checkpoint`)).toBe(false);
}, 60_000);

it('leaves channels out, sets nothing aside, takes other sizes and writes what it quantised', async () => {
  const data = ['--without', 'wave', '--validation-share', '0', '--steps', '3', '--quiet', '--json'];
  data.push('--leave-out', '0..100,250..300');
  const sizes = ['--window', '12', '--hidden', '32', '--layers', '1', '--float', 'float.safetensors'];
  const { stdout } = await dormouse(recording, ...data, ...sizes, '-o', 'part.safetensors');
  const { leftOut, ...result } = JSON.parse(stdout);
  expect(result).toMatchObject({ validation: null, exits: [], bestStep: 3 });
  // A share of the 150 rows that were left out.
  expect(leftOut.dense.accuracy * 150).toBeCloseTo(Math.round(leftOut.dense.accuracy * 150), 9);
  expect(leftOut.gated.tokenShare).toBeLessThan(1);
  const { meaning, config } = loadModel(readFileSync(join(directory, 'part.safetensors')));
  expect(meaning.channels.map(({ name }) => name)).toEqual(['level']);
  expect(meaning.provenance.validation).toEqual({ rows: 'none', step: 3 });
  expect(config.tiers.map(({ window }) => window)).toEqual([12, 6, 6]);
  expect(config.tiers.map(({ layers }) => layers)).toEqual([1, 1, 1]);
  expect([config.hidden, config.feedForward]).toEqual([32, 128]);
  const float = loadFloatModel(readFileSync(join(directory, 'float.safetensors')));
  expect(float.config).toEqual(config);
  expect(float.parameters.some((value) => value !== 0)).toBe(true);
}, 60_000);

it('trains all techniques at once, with two threads as with one', async () => {
  const techniques = ['--routing', '0.5', '--refinement', '2', '--attention', 'spike'];
  const common = [recording, '--steps', '3', ...techniques, '-o', 'techniques.safetensors'];
  const { stdout } = await dormouse(...common, '--threads', '1', '--quiet');
  expect(stdout).toMatch(/after layer 2: .*\n.*after refinement 1: .*\n.*after refinement 2: /);
  expect(stdout).toMatch(/through routed layers: [\d.]+ % of the tokens/);
  const model = join(directory, 'techniques.safetensors');
  const first = readFileSync(model);
  const { config } = loadModel(first);
  const routing = { layers: [1], capacity: 0.5 };
  expect(config).toMatchObject({ routing, refinement: { rounds: 2 }, attention: 'spike' });
  await dormouse(...common, '--threads', '2', '--quiet');
  expect(readFileSync(model).equals(first)).toBe(true);
}, 60_000);

it('makes a model that sees trends, with two threads as with one', async () => {
  const weeks = ['--level-wander', '0.2', '--leak', '5', '--leak-half-life', '20'];
  const asked = ['--features', 'trends', ...weeks, '--distillation', '0.5', '--no-line'];
  const common = [recording, '--steps', '3', ...asked, '-o', 'trends.safetensors', '--quiet'];
  await dormouse(...common, '--threads', '1');
  const first = readFileSync(join(directory, 'trends.safetensors'));
  const { config, meaning } = loadModel(first);
  expect(meaning.features).toBe('trends');
  expect(config.features).toBe(featureCount(2, 'trends'));
  await dormouse(...common, '--threads', '2');
  expect(readFileSync(join(directory, 'trends.safetensors')).equals(first)).toBe(true);
}, 60_000);

it('makes a model whose heads see what was pinned, in rings of four bits, with two threads as with one', async () => {
  const asked = ['--window', '24', '--pattern', 'vertical-slash:4,3', '--key-values', 'int4-rotated'];
  const common = [recording, '--steps', '3', ...asked, '-o', 'pinned.safetensors', '--quiet'];
  await dormouse(...common, '--threads', '1');
  const first = readFileSync(join(directory, 'pinned.safetensors'));
  const { patterns, keyValues } = loadModel(first).config;
  expect(keyValues).toBe('int4-rotated');
  expect(patterns).toEqual(Array(2).fill(Array(4).fill({ local: 4, pinned: 3 })));
  await dormouse(...common, '--threads', '2');
  expect(readFileSync(join(directory, 'pinned.safetensors')).equals(first)).toBe(true);
}, 60_000);

it('refuses a channel that counts rows, unless forced', async () => {
  const clocked = join(directory, 'clocked');
  writeSmallRecording(clocked, 300, { channels: { level: '', wave: '', row: '' } });
  const [header, ...lines] = readFileSync(join(recording, 'train.csv'), 'utf8').trim().split('\n');
  const counted = lines.map((line, row) => `${line},${row}`);
  writeFileSync(join(clocked, 'train.csv'), `${[`${header},row`, ...counted].join('\n')}\n`);
  const common = [clocked, '-o', 'clocked.safetensors', '--steps', '2', '--quiet'];
  await expect(dormouse(...common)).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining("channel 'row': expected readings that a sensor could repeat"),
  });
  await dormouse(...common, '--without', 'row');
  await dormouse(...common, '--force');
}, 60_000);

it.each([
  [[], 'expected a recording'],
  [[recording], 'expected --output FILE'],
  [
    [recording, '-o', 'x', '--leave-out', '5..5'],
    "--leave-out: expected ranges FROM..TO with FROM < TO, got '5..5'",
  ],
  [[recording, '-o', 'x', '--preset', 'huge'], "--preset: expected one of micro, baseline, got 'huge'"],
  [[recording, '-o', 'x', '--steps', '2.5'], "--steps: expected a whole number, got '2.5'"],
  [[recording, '-o', 'x', '--channel-dropout', '2'], '--channel-dropout: expected a number from 0 to 0.9'],
  [[recording, '-o', 'x', '--routing', '2'], '--routing: expected a number from 0.001 to 1'],
  [
    [recording, '-o', 'x', '--routing', '0.5', '--layers', '1'],
    '--routing: expected at least 2 layers, got 1',
  ],
  [[recording, '-o', 'x', '--router', 'some'], "--router: expected one of learned, fixed, got 'some'"],
  [[recording, '-o', 'x', '--features', 'all'], "--features: expected one of changes, trends, got 'all'"],
  [[recording, '-o', 'x', '--attention', 'none'], "--attention: expected one of softmax, spike, got 'none'"],
  [
    [recording, '-o', 'x', '--pattern', 'vertical-slash:4'],
    '--pattern: expected a-shape:LOCAL, vertical-slash:LOCAL,PINNED or slash:LOCAL,AGE,AGE,..., ' +
      "got 'vertical-slash:4'",
  ],
  [[recording, '-o', 'x', '--pattern', 'vertical-slash:4,65'], '--pattern: expected a number from 1 to 64'],
])('refuses %j', async (args, message) => {
  await expect(dormouse(...args)).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining(message),
  });
});

it('fails with one sentence when there is no recording', async () => {
  const failure = { code: 1, stderr: expect.stringMatching(/^dormouse train: .*found nothing there\n$/) };
  await expect(dormouse(join(directory, 'nowhere'), '-o', 'x', '--quiet')).rejects.toMatchObject(failure);
});

it('does not leave out what is not there, or all there is', async () => {
  const refused = (names: string) => dormouse(recording, '-o', 'x', '--without', names, '--quiet');
  await expect(refused('lamp')).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining("expected a channel 'lamp', got level, wave"),
  });
  await expect(refused('level,wave')).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('expected a channel that is not left out'),
  });
});

it.each([
  [join(directory, 'nowhere', 'x'), 'no directory'],
  [directory, 'a directory'],
])('does not train for an output that cannot be written: %s', async (output, got) => {
  const stderr = expect.stringContaining(
    `--output ${output}: expected a file that can be written, got ${got}`,
  );
  await expect(dormouse(recording, '-o', output, '--steps', '10000000')).rejects.toMatchObject({
    code: 1,
    stderr,
  });
});
