/**
 * docs/integer-rules.md in doubles, without roundings and without an exporter: what every exported form must compute.
 */
import { headSize } from '../../src/engine/config.ts';
import { ACTIVATION_ZERO, LOGIT_ONE } from '../../src/engine/limits.ts';
import type { Gain, LayerWeights, Linear, Model } from '../../src/engine/model.ts';

type Row = Float64Array<ArrayBuffer>;

const clip = (value: number, low: number, high: number) => Math.min(Math.max(value, low), high);

/** Logits in units of 1.0, [rows][outputs], of `rows` ticks from an empty past; features Q10 as the engine takes them. */
export function floatLogits({ config, weights }: Model, features: Int16Array, rows: number): Row[] {
  const input = Array.from({ length: rows }, (_, row) =>
    Float64Array.from(features.subarray(row * config.features, (row + 1) * config.features)),
  );
  let x = input.map((row) => linear(weights.embedding, row).map((value) => clip(value, -32767, 32767)));
  for (const layer of weights.layers) {
    const normed = x.map((row) => normalise(row, layer.attentionGain));
    x = attend(layer, normed, headSize(config), config.window).map((row, i) => add(x[i]!, layer.output, row));
    x = x.map((row) => add(row, layer.down, activate(layer, normalise(row, layer.feedForwardGain))));
  }
  return x.map((row, i) => {
    const beside = linear(weights.linear!, input[i]!);
    return linear(weights.head, normalise(row, weights.headGain)).map((v, o) => (v + beside[o]!) / LOGIT_ONE);
  });
}

function linear({ weight, bias, multiplier }: Linear, x: Row): Row {
  return Float64Array.from(multiplier, (scale, o) => {
    let sum = bias[o]!;
    for (let j = 0; j < x.length; j++) sum += weight[o * x.length + j]! * x[j]!;
    return sum * scale;
  });
}

function add(x: Row, matrix: Linear, change: Row): Row {
  const changes = linear(matrix, change);
  return x.map((value, c) => clip(value + changes[c]!, -32767, 32767));
}

function normalise(x: Row, gain: Gain): Row {
  const root = Math.max(1, Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length));
  return x.map((value, c) =>
    clip(ACTIVATION_ZERO + (value * (typeof gain === 'number' ? gain : gain[c]!)) / root, 0, 127),
  );
}

function activate({ up, gelu }: LayerWeights, normed: Row): Row {
  return linear(up, normed).map((value) => {
    const at = clip(value, -128, 127) + 128;
    const low = Math.floor(at);
    const next = gelu[Math.min(low + 1, 255)]!;
    return gelu[low]! + (next - gelu[low]!) * (at - low);
  });
}

function attend(layer: LayerWeights, normed: Row[], size: number, window: number): Row[] {
  const project = (matrix: Linear) => normed.map((row) => linear(matrix, row).map((v) => clip(v, -127, 127)));
  const [query, key, value] = [project(layer.query), project(layer.key), project(layer.value)];
  return query.map((q, row) =>
    Float64Array.from(q, (_, c) => {
      const head = Math.floor(c / size);
      const exponent = (layer.exponentScale[head]! * Math.LN2) / 256;
      let total = Math.exp(layer.sink[head]! * exponent);
      let sum = 0;
      for (let age = 0; age < window && age <= row; age++) {
        let score = layer.ageBias[head * window + age]!;
        for (let d = head * size; d < (head + 1) * size; d++) score += q[d]! * key[row - age]![d]!;
        const weight = Math.exp(score * exponent);
        total += weight;
        sum += weight * value[row - age]![c]!;
      }
      return clip(ACTIVATION_ZERO + (32767 * layer.contextScale[head]! * sum) / total, 0, 127);
    }),
  );
}

/** Cosine of the angle between two lists of numbers. */
export function cosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    ab += a[i]! * b[i]!;
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}
