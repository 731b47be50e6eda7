#!/usr/bin/env node
/**
 * What the engine costs beside its work: bytes of the bundles, time from spawn to first output against `node -e 0`,
 * and memory over bare Node after loading and after a million steps. Linux; run `npm run build` first.
 *
 *   node scripts/footprint.mjs [--quick] [MODEL]
 *
 * Measures the Node that runs it. Runs alternate, and medians are printed.
 */
import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const root = join(new URL('.', import.meta.url).pathname, '..');
const { values: options, positionals } = parseArgs({
  options: { quick: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const model = positionals[0] ?? join(root, 'targets/models/occupancy.safetensors');
const engine = join(root, 'dist/engine.mjs');
const starts = options.quick ? 5 : 31;
const steps = options.quick ? 10_000 : 1_000_000;

/** A program that loads the model and computes one output. */
const load = `
  import { readFileSync } from 'node:fs';
  import { Engine, loadModel } from ${JSON.stringify(engine)};
  const engine = new Engine(loadModel(readFileSync(${JSON.stringify(model)})));
  const features = new Int16Array(engine.config.features);
  engine.step(0, features, engine.plans[0].write);
`;
const firstOutput = `${load} process.stdout.write(engine.logits.join());`;
const rss = (name) => `process.stdout.write('${name} ' + process.memoryUsage.rss() + '\\n');`;
const bareMemory = rss('bare');
const loadedMemory = `${load}
  ${rss('loaded')}
  const run = (count) => { for (let i = 0; i < count; i++) engine.step(0, features, engine.plans[0].write); };
  run(${Math.min(steps, 20_000)});
  // What is compiled in the background has then been compiled.
  await new Promise((done) => setTimeout(done, 200));
  ${rss('warm')}
  run(${steps});
  ${rss('after')}`;

/** Runs a module given as text; its output, and milliseconds to the first of it, or to the end if there was none. */
function start(program, type = 'module') {
  const begin = performance.now();
  return new Promise((resolve, reject) => {
    let output = '';
    let firstMs;
    const child = spawn(process.execPath, [`--input-type=${type}`, '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child.stdout.on('data', (chunk) => {
      firstMs ??= performance.now() - begin;
      output += chunk;
    });
    child.on('close', (code) => {
      if (code !== 0) reject(new Error(`a measured program failed with code ${code}`));
      else resolve({ output, milliseconds: firstMs ?? performance.now() - begin });
    });
  });
}

function median(values) {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

async function coldStart() {
  const bare = [];
  const cold = [];
  for (let i = 0; i < starts; i++) {
    bare.push((await start('0', 'commonjs')).milliseconds);
    cold.push((await start(firstOutput)).milliseconds);
  }
  const [bareMs, coldMs] = [median(bare), median(cold)];
  console.log(
    `cold start   ${coldMs.toFixed(1)} ms from spawn to first output, ${(coldMs / bareMs).toFixed(2)} x node -e 0 (${bareMs.toFixed(1)} ms), medians of ${starts}`,
  );
}

async function memory() {
  const megabytes = { bare: [], loaded: [], warm: [], after: [] };
  for (let i = 0; i < 5; i++) {
    for (const program of [bareMemory, loadedMemory]) {
      for (const line of (await start(program)).output.trim().split('\n')) {
        const [name, bytes] = line.split(' ');
        megabytes[name].push(Number(bytes) / 2 ** 20);
      }
    }
  }
  const [bare, loaded, warm, after] = Object.values(megabytes).map(median);
  console.log(
    `RSS          ${bare.toFixed(1)} MB bare Node, ${(loaded - bare).toFixed(1)} MB more with the model loaded`,
  );
  console.log(
    `             ${(after - warm).toFixed(2)} MB growth over ${steps} steps (from load, compiling included: ${(after - loaded).toFixed(2)} MB), medians of 5`,
  );
}

console.log(`${cpus()[0]?.model}, Node ${process.version}`);
for (const file of ['engine.mjs', 'gateway.mjs', 'dormouse.mjs']) {
  console.log(`bundle       ${(statSync(join(root, 'dist', file)).size / 1000).toFixed(1)} kB ${file}`);
}
await coldStart();
await memory();
