/** onnxruntime-node and onnxruntime-web, each in every form of call that could be its fastest. */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

const options = {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  graphOptimizationLevel: 'all',
  logSeverityLevel: 3,
};

/** Graphs of one model: both precisions, a whole window and a step with its past given and returned. */
function graphs(subject, model) {
  const made = [];
  for (const precision of ['float32', 'int8']) {
    for (const form of ['window', 'step']) {
      const bytes = subject.exportOnnx(model, { form, precision, saturate: false });
      made.push({ precision, workload: form === 'window' ? 'prefill' : 'step', bytes });
    }
  }
  return made;
}

const sizeOf = (shape) => shape.reduce((size, n) => size * n, 1);

/**
 * Tensors for one session: inputs, and outputs made beforehand. The past of a step alternates between two sets,
 * so that what one call returns is what the next one takes, and nothing is copied or allocated in JavaScript.
 */
function buffers(Tensor, session) {
  const tensor = ({ shape }) => new Tensor('float32', new Float32Array(sizeOf(shape)), shape);
  const features = tensor(session.inputMetadata.find(({ name }) => name === 'features'));
  const logits = tensor(session.outputMetadata.find(({ name }) => name === 'logits'));
  const pasts = session.inputMetadata.filter(({ name }) => name !== 'features');
  const sets = [0, 1].map(() => pasts.map((past) => [past.name, tensor(past)]));
  const feeds = sets.map((set) => ({ features, ...Object.fromEntries(set) }));
  const fetches = [1, 0].map((other) => ({
    logits,
    ...Object.fromEntries(sets[other].map(([name, past]) => [`next_${name}`, past])),
  }));
  return { features, logits, feeds, fetches, pasts: pasts.map(({ name }) => name) };
}

/** Preallocated outputs. `run(feeds, fetches)` may return a promise. */
function preallocated(Tensor, session, run) {
  const { features, logits, feeds, fetches } = buffers(Tensor, session);
  let turn = 0;
  return {
    features: features.data,
    run() {
      const done = run(feeds[turn], fetches[turn]);
      turn ^= 1;
      return done;
    },
    logits: () => logits.data,
  };
}

/** What the documentation shows: results are new tensors, and the next call takes them. */
function plain(Tensor, session, run, names) {
  const { features, feeds, pasts } = buffers(Tensor, session);
  const feed = feeds[0];
  let logits;
  const take = (results) => {
    logits = results.logits.data;
    for (const name of pasts) feed[name] = results[`next_${name}`];
  };
  return {
    features: features.data,
    run() {
      const results = run(feed, names);
      return results instanceof Promise ? results.then(take) : take(results);
    },
    logits: () => logits,
  };
}

export async function native(subject, model) {
  const ort = require('onnxruntime-node');
  const { binding, initOrt } = require('./node_modules/onnxruntime-node/dist/binding.js');
  initOrt();
  const forms = [];
  for (const { precision, workload, bytes } of graphs(subject, model)) {
    const session = await ort.InferenceSession.create(bytes, options);
    // The public call waits for setImmediate; what it then calls is synchronous and may be called directly.
    const direct = new binding.InferenceSession();
    direct.loadModel(bytes.buffer, bytes.byteOffset, bytes.byteLength, options);
    const names = Object.fromEntries(session.outputNames.map((name) => [name, null]));
    const name = (form) => ({
      peer: 'onnxruntime-node',
      precision,
      workload,
      form,
      asynchronous: form === 'public',
    });
    forms.push(
      {
        ...name('public'),
        ...preallocated(ort.Tensor, session, (feeds, fetches) => session.run(feeds, fetches)),
      },
      { ...name('direct'), ...plain(ort.Tensor, session, (feeds) => direct.run(feeds, names, {})) },
      {
        ...name('direct, preallocated'),
        ...preallocated(ort.Tensor, session, (feeds, fetches) => direct.run(feeds, fetches, {})),
      },
    );
  }
  return forms;
}

export async function web(subject, model) {
  const ort = await import('onnxruntime-web');
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = 'error';
  const forms = [];
  for (const { precision, workload, bytes } of graphs(subject, model)) {
    const session = await ort.InferenceSession.create(bytes, { ...options, executionProviders: ['wasm'] });
    // It does not fill outputs that were made beforehand in the processor's memory, so there is only this form.
    const name = { peer: 'onnxruntime-web', precision, workload, form: 'public', asynchronous: true };
    forms.push({ ...name, ...plain(ort.Tensor, session, (feeds) => session.run(feeds)) });
  }
  return forms;
}
