/** The benchmark against other runtimes in its smallest form, where a peer is installed. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const here = fileURLToPath(new URL('peers/', import.meta.url));
const installed = existsSync(`${here}node_modules/onnxruntime-web`);
if (!installed) {
  console.warn('skipped: the peers are not installed (npm ci --ignore-scripts in test/bench/peers)');
}

function run(...args: string[]) {
  return spawnSync(process.execPath, [`${here}run.mjs`, ...args], { encoding: 'utf8' });
}

describe.skipIf(!installed)('the benchmark against peers', () => {
  test('times only what computes the same function, and compares it', () => {
    const { status, stdout, stderr } = run(
      '--quick',
      '--json',
      '--peer',
      'onnxruntime-web',
      '--preset',
      'micro',
    );
    expect(status, stderr).toBe(0);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.filter(({ leftOut }) => leftOut !== undefined)).toEqual([]);
    const forms = lines.filter((line) => line.case !== undefined);
    const names = forms.map(({ peer, precision, workload, form }) =>
      [peer, precision, workload, form].join(' '),
    );
    expect(names.sort()).toEqual([
      'dormouse int8 prefill all',
      'dormouse int8 prefill last',
      'dormouse int8 step step',
      'onnxruntime-web float32 prefill public',
      'onnxruntime-web float32 step public',
      'onnxruntime-web int8 prefill public',
      'onnxruntime-web int8 step public',
    ]);
    for (const form of forms) {
      expect(form.cosine, form.case).toBeGreaterThan(0.99);
      expect(form).toMatchObject({ suite: 'peers', unit: 'us', node: process.version });
      expect(form.median).toBeGreaterThan(0);
      expect(form.p99).toBeGreaterThanOrEqual(form.median);
    }
    const compared = lines.filter(({ comparison }) => comparison !== undefined);
    expect(compared.map(({ comparison }) => comparison)).toEqual([
      'micro step over the fastest WebAssembly peer',
      'micro prefill of all over the fastest WebAssembly peer',
    ]);
  });

  test.each([
    [
      '--peer',
      'tvm',
      "--peer: expected one of onnxruntime-node, onnxruntime-web, tfjs-backend-wasm, litert, got 'tvm'",
    ],
    ['--preset', 'huge', "--preset: expected one of micro, baseline, got 'huge'"],
  ])('refuses %s %s', (option, name, message) => {
    expect(run(option, name)).toMatchObject({ status: 2, stderr: `${message}\n` });
  });
});
