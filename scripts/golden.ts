/**
 * Prints the golden hashes of this Node and machine with each kernel, or those named: `node golden.mjs [STEPS [KERNEL
 * ...]]` as JSON; a kernel that fails its self-test here has none. Tells to stderr how far it is.
 * With --write it renews test/vectors/golden.json from the plain truth.
 */
import { writeFileSync } from 'node:fs';
import { type GoldenOptions, goldenHash, goldenSets } from '../src/bench/golden.ts';
import { isTrusted, kernelNames } from '../src/engine/kernels/choose.ts';

const SHORT_STEPS = 1000;
const FULL_STEPS = 100_000;

/** By the name of the set of configurations. */
const hashesOf = (steps: number, options: GoldenOptions) =>
  Object.fromEntries(goldenSets.map((set) => [set, goldenHash(steps, { ...options, set })]));

if (process.argv.includes('--write')) {
  const vectors = [SHORT_STEPS, FULL_STEPS].map((steps) => ({
    steps,
    sha256: hashesOf(steps, { kernels: 'truth' }),
  }));
  writeFileSync(
    'test/vectors/golden.json',
    `${JSON.stringify({ generator: 'scripts/golden.ts --write', vectors }, null, 2)}\n`,
  );
} else {
  const steps = Number(process.argv[2] ?? SHORT_STEPS);
  const named = process.argv.slice(3);
  const wanted = kernelNames.filter((kernel) => named.length === 0 || named.includes(kernel));
  const hashes = wanted.map((kernel) => {
    const onProgress = (share: number) => process.stderr.write(`${kernel} ${Math.round(share * 100)} %\n`);
    return { kernel, sha256: isTrusted(kernel) ? hashesOf(steps, { kernels: kernel, onProgress }) : null };
  });
  process.stdout.write(`${JSON.stringify({ node: process.version, arch: process.arch, steps, hashes })}\n`);
}
