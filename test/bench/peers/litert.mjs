/**
 * LiteRT.js, TensorFlow Lite in WebAssembly. It is made for web pages and workers; it runs in Node when it is given
 * the two things of a worker that it asks for.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { runInThisContext } from 'node:vm';
import { makeTflite } from './tflite.mjs';

const require = createRequire(import.meta.url);
let loading;

async function load() {
  const { loadLiteRt, loadAndCompile, Tensor } = await import('@litertjs/core');
  const directory = join(dirname(require.resolve('@litertjs/core')), '../wasm/');
  const worker = {
    self: globalThis,
    importScripts: (path) => runInThisContext(readFileSync(path, 'utf8'), { filename: path }),
    Module: { locateFile: (file) => join(directory, file), print: () => {}, printErr: () => {} },
    require,
    __filename: join(directory, 'worker.js'),
    __dirname: directory,
  };
  Object.assign(globalThis, worker);
  // It says that there is no graphics processor here, which is so.
  const { error, warn } = console;
  console.error = console.warn = () => {};
  await loadLiteRt(directory);
  Object.assign(console, { error, warn });
  return { loadAndCompile, Tensor };
}

export async function litert(subject, model) {
  const { loadAndCompile, Tensor } = await (loading ??= load());
  const network = subject.dequantise(model);
  const forms = [];
  for (const precision of ['float32', 'int8']) {
    for (const [workload, form] of [
      ['prefill', 'window'],
      ['step', 'step'],
    ]) {
      const bytes = makeTflite(network, { form, precision });
      const compiled = await loadAndCompile(bytes, { accelerator: 'wasm', cpuOptions: { numThreads: 1 } });
      forms.push({
        peer: 'litert',
        precision,
        workload,
        form: 'public',
        asynchronous: true,
        ...runner(Tensor, compiled, model.config, workload === 'step'),
      });
    }
  }
  return forms;
}

/** The past stays in its own memory: what one call returns is what the next one takes. */
function runner(Tensor, compiled, { features, sequence, layers, heads, window, hidden }, isStep) {
  const shape = [isStep ? 1 : sequence, features];
  const data = new Float32Array(shape[0] * shape[1]);
  const pastShape = [2 * layers, heads, window - 1, hidden / heads];
  let past = isStep
    ? Tensor.fromTypedArray(new Float32Array(pastShape.reduce((a, b) => a * b)), pastShape)
    : undefined;
  let logits;
  return {
    features: data,
    async run() {
      const input = Tensor.fromTypedArray(data, shape);
      const [result, next] = await compiled.run(isStep ? [input, past] : [input]);
      logits = result.toTypedArray();
      result.delete();
      input.delete();
      past?.delete();
      past = next;
    },
    logits: () => logits,
  };
}
