#!/usr/bin/env node
/**
 * The engine against the runtimes that a user would pick instead: the same weights, the same workloads, one thread,
 * interleaved rounds in one process. First `npm ci --ignore-scripts` in this folder (one peer's script would fetch its
 * code for graphics processors), then
 *
 *   node test/bench/peers/run.mjs [--quick] [--json] [--peer NAME] [--preset NAME]
 *
 * Each peer is checked to compute the same function as a double-precision reference before it is timed. A peer that
 * does not run here is named with its reason.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { native, web } from './onnxruntime.mjs';
import { tensorflow } from './tensorflow.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../../..');
const COSINE_MIN = 0.99;
const EFFORTS = { quick: { rounds: 5, sliceMs: 20 }, full: { rounds: 15, sliceMs: 80 } };
const WARM_UP_ROUNDS = 4;
const PINNED = 'DORMOUSE_PEERS_PINNED';

const peers = {
  'onnxruntime-node': native,
  'onnxruntime-web': web,
  'tfjs-backend-wasm': tensorflow,
  litert: async (subject, model) => (await import('./litert.mjs')).litert(subject, model),
};

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    json: { type: 'boolean' },
    peer: { type: 'string', multiple: true },
    preset: { type: 'string', multiple: true },
  },
});
const effort = options.quick ? EFFORTS.quick : EFFORTS.full;

/** Runs again on one core, where that can be asked for; false if this is that run or it cannot. */
function pinned() {
  if (process.env[PINNED] !== undefined) return false;
  const core = String(availableParallelism() - 1);
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const env = { ...process.env, [PINNED]: core };
  const { error, status } = spawnSync('taskset', ['-c', core, ...again], { stdio: 'inherit', env });
  if (error !== undefined) return false;
  process.exitCode = status ?? 1;
  return true;
}

/** The engine and its models, from source. */
async function loadSubject() {
  const { build } = await import(pathToFileURL(join(root, 'node_modules/esbuild/lib/main.js')));
  const outfile = join(root, 'build/peers/subject.mjs');
  mkdirSync(dirname(outfile), { recursive: true });
  await build({
    entryPoints: [join(here, 'subject.ts')],
    outfile,
    bundle: true,
    minify: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    define: { DORMOUSE_VERSION: '"bench"' },
  });
  return import(pathToFileURL(outfile));
}

function dormouse(subject, model) {
  const engine = new subject.Engine(model);
  const { write } = engine.plans[0];
  const { features: width, sequence, outputs } = model.config;
  const common = { peer: 'dormouse', precision: 'int8', asynchronous: false, kernel: engine.kernel };
  const prefill = (wanted) => {
    const features = new Int16Array(sequence * width);
    return {
      ...common,
      workload: 'prefill',
      form: wanted,
      features,
      run() {
        engine.reset(0);
        engine.prefill(0, features, sequence, write, wanted);
      },
      logits: () =>
        wanted === 'last'
          ? engine.logits
          : Float64Array.from({ length: sequence * outputs }, (_, i) =>
              engine.rowLogits(Math.floor(i / outputs)).at(i % outputs),
            ),
    };
  };
  const one = new Int16Array(width);
  const stepper = new subject.Engine(model);
  const step = { ...common, workload: 'step', form: 'step', features: one, logits: () => stepper.logits };
  return [{ ...step, run: () => stepper.step(0, one, write) }, prefill('all'), prefill('last')];
}

/** The cosine of what this form computes with the reference. */
async function check(form, { ticks, reference, model, subject }) {
  const { features: width, sequence, outputs } = model.config;
  const give = (part) =>
    form.features.set(form.peer === 'dormouse' ? part : Float32Array.from(part, (v) => v / 1024));
  if (form.workload === 'prefill') {
    give(ticks.subarray(0, sequence * width));
    await form.run();
    const wanted = reference.window.flatMap((row) => [...row]);
    return subject.cosine(form.logits(), form.form === 'last' ? wanted.slice(-outputs) : wanted);
  }
  const got = [];
  for (let tick = 0; tick < ticks.length / width; tick++) {
    give(ticks.subarray(tick * width, (tick + 1) * width));
    await form.run();
    got.push(...form.logits());
  }
  // The first ticks of a peer's step have a past that never was.
  const warm = model.config.layers * (model.config.window - 1);
  const wanted = reference.steps.flatMap((row) => [...row]);
  return subject.cosine(got.slice(warm * outputs), wanted.slice(warm * outputs));
}

function makeReference(subject, model) {
  const { features: width, sequence, layers, window } = model.config;
  const count = layers * (window - 1) + sequence;
  const ticks = subject.randomFeatures(count * width, 1);
  const steps = subject.floatLogits(model, ticks, count);
  return { ticks, model, subject, reference: { steps, window: steps.slice(0, sequence) } };
}

async function runSlice(form, sliceMs, into) {
  const end = performance.now() + sliceMs;
  let now = performance.now();
  while (now < end) {
    if (form.asynchronous) await form.run();
    else form.run();
    const after = performance.now();
    into.push((after - now) * 1000);
    now = after;
  }
}

async function measure(forms, { letCompile }) {
  const samples = forms.map(() => []);
  for (let round = 0; round < WARM_UP_ROUNDS; round++) {
    for (const form of forms) await runSlice(form, effort.sliceMs, []);
    await letCompile();
  }
  for (let round = 0; round < effort.rounds; round++) {
    for (const [index, form] of forms.entries()) await runSlice(form, effort.sliceMs, samples[index]);
    await letCompile();
  }
  return samples.map((list) => {
    const sorted = Float64Array.from(list).sort();
    const quantile = (share) => Number(sorted[Math.floor(share * (sorted.length - 1))].toPrecision(4));
    return { median: quantile(0.5), p99: quantile(0.99), p999: quantile(0.999), samples: sorted.length };
  });
}

async function collect(subject, model, left) {
  const forms = dormouse(subject, model);
  for (const [name, make] of Object.entries(peers)) {
    if (options.peer !== undefined && !options.peer.includes(name)) continue;
    try {
      forms.push(...(await make(subject, model)));
    } catch (error) {
      left.set(name, String(error.message ?? error).split('\n')[0]);
    }
  }
  return forms;
}

async function bench(subject, preset, left) {
  const model = subject.subjectModel(preset);
  const basis = makeReference(subject, model);
  const right = [];
  for (const form of await collect(subject, model, left)) {
    const cosine = await check(form, basis);
    if (cosine > COSINE_MIN) right.push({ form, cosine });
    else left.set(`${preset} ${nameOf(form)}`, `computes something else: cosine ${cosine.toFixed(4)}`);
  }
  const timings = await measure(
    right.map(({ form }) => form),
    subject,
  );
  const results = right.map(({ form, cosine }, index) => describe(preset, form, cosine, timings[index]));
  for (const one of results) one.ratio = ratio(one, results);
  return results;
}

const nameOf = ({ peer, precision, workload, form }) => `${peer} ${precision} ${workload} (${form})`;

function describe(preset, form, cosine, timing) {
  const { peer, precision, workload } = form;
  return {
    suite: 'peers',
    case: `${preset} ${nameOf(form)}`,
    unit: 'us',
    ...timing,
    cpu: cpus()[0]?.model ?? 'unknown',
    node: process.version,
    kernel: form.kernel ?? null,
    preset,
    peer,
    precision,
    workload,
    form: form.form,
    cosine: Number(cosine.toFixed(6)),
    pinned: process.env[PINNED] !== undefined,
  };
}

/** dormouse's median (of all positions, for a prefill) over this one's. */
function ratio(one, results) {
  const ours = results.find(({ peer, workload }) => peer === 'dormouse' && workload === one.workload);
  return Number((ours.median / one.median).toPrecision(3));
}

const isWasm = ({ peer }) => ['onnxruntime-web', 'tfjs-backend-wasm', 'litert'].includes(peer);
const isNative = ({ peer }) => peer === 'onnxruntime-node';

/** dormouse over the fastest of its kind, as one line each. */
function comparisons(results) {
  const ours = (workload, form) =>
    results.find((one) => one.peer === 'dormouse' && one.workload === workload && one.form === form);
  const fastest = (workload, which) =>
    results.filter((one) => one.workload === workload && which(one)).sort((a, b) => a.median - b.median)[0];
  const lines = [
    ['step over the fastest onnxruntime-node', ours('step', 'step'), fastest('step', isNative)],
    ['step over the fastest WebAssembly peer', ours('step', 'step'), fastest('step', isWasm)],
    ['prefill of all over the fastest WebAssembly peer', ours('prefill', 'all'), fastest('prefill', isWasm)],
    [
      'prefill of all over the fastest onnxruntime-node',
      ours('prefill', 'all'),
      fastest('prefill', isNative),
    ],
    [
      'prefill of the last over the fastest onnxruntime-node',
      ours('prefill', 'last'),
      fastest('prefill', isNative),
    ],
  ];
  return lines
    .filter(([, mine, theirs]) => mine !== undefined && theirs !== undefined)
    .map(([name, mine, theirs]) => ({
      suite: 'peers',
      comparison: `${mine.preset} ${name}`,
      unit: 'ratio',
      ratio: Number((mine.median / theirs.median).toPrecision(3)),
      median: mine.median,
      peerMedian: theirs.median,
      fastest: theirs.case,
      node: process.version,
    }));
}

function print(results, compared) {
  const { cpu, node, pinned: isPinned } = results[0];
  const kernel = results.find((one) => one.kernel !== null)?.kernel;
  console.log(
    `${results[0].preset}: ${cpu}, Node ${node}, ${kernel} kernels, one thread${isPinned ? ', pinned' : ''}`,
  );
  for (const workload of ['step', 'prefill']) {
    console.log(`${workload.padEnd(62)} median us    p99 us  dormouse/it  cosine`);
    for (const one of results
      .filter((line) => line.workload === workload)
      .sort((a, b) => a.median - b.median)) {
      const numbers = [
        String(one.median).padStart(9),
        String(one.p99).padStart(10),
        String(one.ratio).padStart(12),
      ];
      console.log(`  ${one.case.padEnd(60)} ${numbers.join('')}  ${one.cosine.toFixed(4)}`);
    }
  }
  for (const { comparison, ratio: share, fastest } of compared)
    console.log(`${comparison}: ${share} (${fastest})`);
  console.log();
}

async function main() {
  const subject = await loadSubject();
  const left = new Map();
  for (const preset of options.preset ?? presets) {
    const results = await bench(subject, preset, left);
    const compared = comparisons(results);
    if (options.json) for (const line of [...results, ...compared]) console.log(JSON.stringify(line));
    else print(results, compared);
  }
  for (const [peer, reason] of left) {
    console.log(
      options.json
        ? JSON.stringify({ suite: 'peers', leftOut: peer, reason })
        : `left out: ${peer}: ${reason}`,
    );
  }
}

const presets = ['micro', 'baseline'];

/** What is wrong with an option whose values come from a list, or nothing. */
function unknown(option, allowed) {
  const name = options[option]?.find((one) => !allowed.includes(one));
  return name === undefined ? null : `--${option}: expected one of ${allowed.join(', ')}, got '${name}'`;
}

const problem = unknown('peer', Object.keys(peers)) ?? unknown('preset', presets);
if (problem !== null) {
  console.error(problem);
  process.exitCode = 2;
} else if (!pinned()) await main();
