/** TensorFlow.js on its WebAssembly backend, with the operations that a user would write. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);

export async function tensorflow(subject, model) {
  // It recommends its native sibling to whoever runs Node.
  const warn = console.warn;
  console.warn = () => {};
  const tf = require('@tensorflow/tfjs');
  const wasm = require('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')), '/'));
  tf.enableProdMode();
  if (!(await tf.setBackend('wasm'))) throw new Error('the wasm backend does not start here');
  await tf.ready();
  console.warn = warn;
  const network = new Network(tf, subject.dequantise(model));
  const { features, sequence } = model.config;
  return [
    form('prefill', new Float32Array(sequence * features), (data) =>
      tf.tidy(() => network.window(tf.tensor2d(data, [sequence, features])).dataSync()),
    ),
    form('step', new Float32Array(features), (data) => network.step(tf, data)),
  ];
}

function form(workload, features, compute) {
  let logits;
  return {
    peer: 'tfjs-backend-wasm',
    precision: 'float32',
    workload,
    form: 'public',
    asynchronous: false,
    features,
    run() {
      logits = compute(features);
    },
    logits: () => logits,
  };
}

/** Gains are part of the next weights and the factors of GELU part of its neighbours: as few operations as can be. */
class Network {
  constructor(tf, model) {
    this.tf = tf;
    this.config = model.config;
    this.embedding = this.matrix(model.embedding);
    this.head = this.matrix(model.head, model.headGain);
    this.linear = this.matrix(model.linear);
    this.layers = model.layers.map((layer) => ({
      queryKeyValue: this.matrix(layer.queryKeyValue, layer.attentionGain),
      output: this.matrix(layer.output),
      up: this.matrix(layer.up, layer.feedForwardGain / Math.SQRT2, 1 / Math.SQRT2),
      down: this.matrix(layer.down, Math.SQRT1_2),
      windowBias: this.windowBias(layer),
      stepBias: this.stepBias(layer),
    }));
    const { heads, hidden, window } = this.config;
    this.size = hidden / heads;
    this.sink = tf.zeros([heads, 1, this.size]);
    this.pasts = this.layers.map(() => [0, 1].map(() => tf.zeros([heads, window - 1, this.size])));
  }

  matrix({ outputs, inputs, weight, scale, bias }, factor = 1, biasFactor = 1) {
    const values = new Float32Array(inputs * outputs);
    for (let o = 0; o < outputs; o++) {
      for (let j = 0; j < inputs; j++) values[j * outputs + o] = weight[o * inputs + j] * scale[o] * factor;
    }
    return {
      b: this.tf.tensor2d(values, [inputs, outputs]),
      bias: this.tf.tensor1d(Float32Array.from(bias, (value) => value * biasFactor)),
    };
  }

  windowBias({ ageBias, sink }) {
    const { heads, window, sequence } = this.config;
    const biases = new Float32Array(heads * sequence * (sequence + 1)).fill(-1e9);
    for (let head = 0; head < heads; head++) {
      for (let row = 0; row < sequence; row++) {
        const at = (head * sequence + row) * (sequence + 1);
        biases[at] = sink[head];
        for (let age = 0; age < window && age <= row; age++)
          biases[at + 1 + row - age] = ageBias[head * window + age];
      }
    }
    return this.tf.tensor3d(biases, [heads, sequence, sequence + 1]);
  }

  stepBias({ ageBias, sink }) {
    const { heads, window } = this.config;
    const biases = Array.from({ length: heads }, (_, head) => [
      [sink[head], ...ageBias.slice(head * window, (head + 1) * window).reverse()],
    ]);
    return this.tf.tensor3d(biases);
  }

  apply(a, { b, bias }) {
    return this.tf.fused.matMul({ a, b, bias });
  }

  normalise(x) {
    const { tf } = this;
    return tf.mul(x, tf.rsqrt(tf.mean(tf.square(x), -1, true)));
  }

  feedForward(x, { up, down }) {
    const { tf } = this;
    const half = this.apply(this.normalise(x), up);
    // half = x / sqrt 2; GELU = half (1 + erf(half)) / sqrt 2 x 1, the last factor is in `down`.
    return tf.add(x, this.apply(tf.mul(half, tf.add(tf.erf(half), 1)), down));
  }

  attend(query, keys, values, bias) {
    const { tf } = this;
    return tf.matMul(tf.softmax(tf.add(tf.matMul(query, keys, false, true), bias)), values);
  }

  logits(features, x) {
    return this.tf.add(this.apply(this.normalise(x), this.head), this.apply(features, this.linear));
  }

  window(features) {
    const { tf, size } = this;
    const { heads, sequence, hidden } = this.config;
    let x = this.apply(features, this.embedding);
    for (const layer of this.layers) {
      const all = tf.reshape(this.apply(this.normalise(x), layer.queryKeyValue), [sequence, 3 * heads, size]);
      const [query, key, value] = tf.split(tf.transpose(all, [1, 0, 2]), 3, 0);
      const keys = tf.concat([this.sink, key], 1);
      const values = tf.concat([this.sink, value], 1);
      const context = tf.transpose(this.attend(query, keys, values, layer.windowBias), [1, 0, 2]);
      x = tf.add(x, this.apply(tf.reshape(context, [sequence, hidden]), layer.output));
      x = this.feedForward(x, layer);
    }
    return this.logits(features, x);
  }

  step(tf, data) {
    const { size } = this;
    const { heads, hidden, window } = this.config;
    const next = [];
    const logits = tf.tidy(() => {
      const features = tf.tensor2d(data, [1, data.length]);
      let x = this.apply(features, this.embedding);
      for (const [index, layer] of this.layers.entries()) {
        const all = this.apply(this.normalise(x), layer.queryKeyValue);
        const [query, key, value] = tf.split(tf.reshape(all, [3 * heads, 1, size]), 3, 0);
        const [keys, values] = [key, value].map((own, i) =>
          tf.concat([this.sink, this.pasts[index][i], own], 1),
        );
        next.push(
          [keys, values].map((ring) => tf.keep(tf.slice(ring, [0, 2, 0], [heads, window - 1, size]))),
        );
        const context = this.attend(query, keys, values, layer.stepBias);
        x = tf.add(x, this.apply(tf.reshape(context, [1, hidden]), layer.output));
        x = this.feedForward(x, layer);
      }
      return this.logits(features, x).dataSync();
    });
    tf.dispose(this.pasts);
    this.pasts = next;
    return logits;
  }
}
