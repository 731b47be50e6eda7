/** A model as a .tflite file: float32, or with the integer weights that TensorFlow Lite calls dynamic range. */
import { Builder } from 'flatbuffers';

/** Numbers of the TensorFlow Lite schema. */
const FLOAT32 = 0;
const INT32 = 2;
const INT8 = 9;
const codes = {
  add: 0,
  concatenation: 2,
  fullyConnected: 9,
  multiply: 18,
  reshape: 22,
  softmax: 25,
  transpose: 39,
  mean: 40,
  split: 49,
  slice: 65,
  reciprocalRoot: 76,
  square: 92,
  batchMatMul: 126,
  gelu: 150,
};
const CODE_BYTE_MAX = 127;
/** [type of the options, [field, kind, value] ...] of those operators whose defaults do not do. */
const optionsOf = {
  softmax: () => [9, [0, 'Float32', 1]],
  concatenation: (axis) => [10, [0, 'Int32', axis]],
  mean: () => [27, [0, 'Int8', 1]],
  split: (count) => [35, [0, 'Int32', count]],
};

/** Tensors are numbers; operators are added in the order in which they run. */
class Graph {
  tensors = [];
  buffers = [new Uint8Array(0)];
  operators = [];

  tensor(shape, type = FLOAT32, data = undefined, scale = undefined) {
    const buffer =
      data === undefined ? 0 : this.buffers.push(new Uint8Array(data.buffer, 0, data.byteLength)) - 1;
    return this.tensors.push({ shape, type, buffer, scale }) - 1;
  }

  constant(values, shape) {
    return this.tensor(shape, FLOAT32, Float32Array.from(values));
  }

  integers(values) {
    return this.tensor([values.length], INT32, Int32Array.from(values));
  }

  operator(name, inputs, shapes, option) {
    const outputs = shapes.map((shape) => this.tensor(shape));
    this.operators.push({ name, inputs, outputs, options: optionsOf[name]?.(option) });
    return outputs;
  }

  node(name, inputs, shape, option) {
    return this.operator(name, inputs, [shape], option)[0];
  }

  shape(tensor) {
    return this.tensors[tensor].shape;
  }

  finish(inputs, outputs) {
    return new Writer(this).finish(inputs, outputs);
  }
}

class Writer {
  constructor(graph) {
    this.graph = graph;
    this.builder = new Builder(1 << 20);
    this.names = [...new Set(graph.operators.map(({ name }) => name))];
  }

  finish(inputs, outputs) {
    const { builder, graph } = this;
    const buffers = this.offsets(
      graph.buffers.map((data) => this.table(1, [[0, 'Offset', this.bytes(data)]])),
    );
    const tensors = this.offsets(graph.tensors.map((tensor, index) => this.tensor(tensor, index)));
    const operators = this.offsets(graph.operators.map((operator) => this.operator(operator)));
    const subgraph = this.table(5, [
      [0, 'Offset', tensors],
      [1, 'Offset', this.int32s(inputs)],
      [2, 'Offset', this.int32s(outputs)],
      [3, 'Offset', operators],
      [4, 'Offset', builder.createString('main')],
    ]);
    const operatorCodes = this.offsets(
      this.names.map((name) =>
        this.table(4, [
          [0, 'Int8', Math.min(codes[name], CODE_BYTE_MAX)],
          [2, 'Int32', 1],
          [3, 'Int32', codes[name]],
        ]),
      ),
    );
    const model = this.table(8, [
      [0, 'Int32', 3],
      [1, 'Offset', operatorCodes],
      [2, 'Offset', this.offsets([subgraph])],
      [3, 'Offset', builder.createString('dormouse')],
      [4, 'Offset', buffers],
    ]);
    builder.finish(model, 'TFL3');
    return builder.asUint8Array().slice();
  }

  tensor({ shape, type, buffer, scale }, index) {
    const fields = [
      [0, 'Offset', this.int32s(shape)],
      [1, 'Int8', type],
      [2, 'Int32', buffer],
      [3, 'Offset', this.builder.createString(`t${index}`)],
    ];
    if (scale !== undefined) fields.push([4, 'Offset', this.quantisation(scale)]);
    return this.table(9, fields);
  }

  /** One scale for each row, zero at 0. */
  quantisation(scale) {
    const bytes = new Uint8Array(Float32Array.from(scale).buffer);
    const scales = this.vector(bytes, 4, scale.length);
    const zeros = this.vector(new Uint8Array(8 * scale.length), 8, scale.length);
    return this.table(7, [
      [2, 'Offset', scales],
      [3, 'Offset', zeros],
      [6, 'Int32', 0],
    ]);
  }

  operator({ name, inputs, outputs, options }) {
    const fields = [
      [0, 'Int32', this.names.indexOf(name)],
      [1, 'Offset', this.int32s(inputs)],
      [2, 'Offset', this.int32s(outputs)],
    ];
    if (options !== undefined) {
      const [type, ...settings] = options;
      fields.push([3, 'Int8', type], [4, 'Offset', this.table(settings.length, settings)]);
    }
    return this.table(5, fields);
  }

  /** A table; what it refers to was written before. A default of null writes the field always. */
  table(size, fields) {
    this.builder.startObject(size);
    for (const [field, kind, value] of fields)
      this.builder[`addField${kind}`](field, value, kind === 'Offset' ? 0 : null);
    return this.builder.endObject();
  }

  int32s(values) {
    return this.vector(new Uint8Array(Int32Array.from(values).buffer), 4, values.length);
  }

  bytes(data) {
    return this.vector(data, 1, data.length, 16);
  }

  vector(bytes, size, count, alignment = size) {
    const { builder } = this;
    builder.startVector(size, count, alignment);
    for (let i = bytes.length - 1; i >= 0; i--) builder.addInt8(bytes[i]);
    return builder.endVector();
  }

  offsets(list) {
    this.builder.startVector(4, list.length, 4);
    for (const offset of [...list].reverse()) this.builder.addOffset(offset);
    return this.builder.endVector();
  }
}

/** The bytes of a .tflite file: inputs features and, of a step, past; outputs logits and, of a step, the next past. */
export function makeTflite(model, { form, precision }) {
  return new Exporter(model, form, precision).export();
}

class Exporter {
  constructor(model, form, precision) {
    this.model = model;
    this.precision = precision;
    this.isStep = form === 'step';
    this.rows = this.isStep ? 1 : model.config.sequence;
    this.graph = new Graph();
    this.present = [];
  }

  export() {
    const { graph, rows, model, isStep } = this;
    const { config, embedding, head, headGain, linear, layers } = model;
    const { heads, window, hidden } = config;
    const features = graph.tensor([rows, config.features]);
    const pastShape = [2 * layers.length, heads, window - 1, hidden / heads];
    const past = isStep ? graph.tensor(pastShape) : undefined;
    if (isStep) this.takePast(past, pastShape);
    let x = this.linear(features, embedding);
    for (const [index, layer] of layers.entries()) {
      const context = this.attention(
        this.linear(this.normalise(x), layer.queryKeyValue, layer.attentionGain),
        layer,
        index,
      );
      x = this.add(x, this.linear(context, layer.output));
      const up = this.linear(this.normalise(x), layer.up, layer.feedForwardGain);
      x = this.add(x, this.linear(graph.node('gelu', [up], graph.shape(up)), layer.down));
    }
    const logits = this.add(this.linear(this.normalise(x), head, headGain), this.linear(features, linear));
    if (!isStep) return graph.finish([features], [logits]);
    return graph.finish([features, past], [logits, this.returnPast(past, pastShape)]);
  }

  /** Gains are part of the weights' scales: one operation less. */
  linear(x, { outputs, inputs, weight, scale, bias }, gain = 1) {
    const { graph } = this;
    const scales = scale.map((one) => one * gain);
    const matrix =
      this.precision === 'int8'
        ? graph.tensor([outputs, inputs], INT8, weight.slice(), scales)
        : graph.constant(
            Float32Array.from(weight, (one, i) => one * scales[Math.floor(i / inputs)]),
            [outputs, inputs],
          );
    return graph.node('fullyConnected', [x, matrix, graph.constant(bias, [outputs])], [this.rows, outputs]);
  }

  add(a, b) {
    return this.graph.node('add', [a, b], this.graph.shape(a));
  }

  normalise(x) {
    const { graph, rows } = this;
    const shape = graph.shape(x);
    const squares = graph.node('square', [x], shape);
    const mean = graph.node('mean', [squares, graph.integers([1])], [rows, 1]);
    return graph.node('multiply', [x, graph.node('reciprocalRoot', [mean], [rows, 1])], shape);
  }

  attention(all, layer, index) {
    const { graph, rows } = this;
    const { heads, hidden } = this.model.config;
    const size = hidden / heads;
    const [query, key, value] = this.byHead(all);
    const keys = this.ring(key, 2 * index);
    const values = this.ring(value, 2 * index + 1);
    const seen = graph.shape(keys)[2];
    const transposed = graph.node('transpose', [keys, graph.integers([0, 1, 3, 2])], [1, heads, size, seen]);
    const product = graph.node('batchMatMul', [query, transposed], [1, heads, rows, seen]);
    const scores = this.add(product, graph.constant(this.biases(layer, seen), [1, heads, rows, seen]));
    const weights = graph.node('softmax', [scores], graph.shape(scores));
    const context = graph.node('batchMatMul', [weights, values], [1, heads, rows, size]);
    const together = this.isStep
      ? context
      : graph.node('transpose', [context, graph.integers([0, 2, 1, 3])], [1, rows, heads, size]);
    return graph.node('reshape', [together, graph.integers([rows, hidden])], [rows, hidden]);
  }

  /** Queries, keys and values, each [1, heads, rows, size]. */
  byHead(all) {
    const { graph, rows } = this;
    const { heads, hidden } = this.model.config;
    const size = hidden / heads;
    const shape = [1, rows, 3 * heads, size];
    const split = graph.node('reshape', [all, graph.integers(shape)], shape);
    const byHead = this.isStep
      ? graph.node('reshape', [all, graph.integers([1, 3 * heads, 1, size])], [1, 3 * heads, 1, size])
      : graph.node('transpose', [split, graph.integers([0, 2, 1, 3])], [1, 3 * heads, rows, size]);
    const one = [1, heads, rows, size];
    return graph.operator('split', [graph.tensor([], INT32, Int32Array.of(1)), byHead], [one, one, one], 3);
  }

  /** The sink, the past and what is new. */
  ring(own, which) {
    const { graph } = this;
    const [, heads, rows, size] = graph.shape(own);
    const nothing = graph.constant(new Float32Array(heads * size), [1, heads, 1, size]);
    const before = this.isStep ? [this.pasts[which]] : [];
    this.present.push(own);
    const seen = 1 + rows + (this.isStep ? this.model.config.window - 1 : 0);
    return graph.node('concatenation', [nothing, ...before, own], [1, heads, seen, size], 2);
  }

  biases({ ageBias, sink }, seen) {
    const { heads, window } = this.model.config;
    const { rows, isStep } = this;
    const biases = new Float32Array(heads * rows * seen).fill(-1e9);
    for (let head = 0; head < heads; head++) {
      for (let row = 0; row < rows; row++) {
        const at = (head * rows + row) * seen;
        biases[at] = sink[head];
        const newest = isStep ? seen - 1 : row + 1;
        for (let age = 0; age < window && age < newest; age++)
          biases[at + newest - age] = ageBias[head * window + age];
      }
    }
    return biases;
  }

  takePast(past, [count, ...shape]) {
    const { graph } = this;
    const axis = graph.tensor([], INT32, Int32Array.of(0));
    const shapes = Array.from({ length: count }, () => [1, ...shape]);
    this.pasts = graph.operator('split', [axis, past], shapes, count);
  }

  returnPast(past, shape) {
    const { graph } = this;
    const [count, heads, length, size] = shape;
    const present = graph.node('concatenation', this.present, [count, heads, 1, size], 0);
    const kept = [count, heads, length - 1, size];
    const recent = graph.node('slice', [past, graph.integers([0, 0, 1, 0]), graph.integers(kept)], kept);
    return graph.node('concatenation', [recent, present], shape, 2);
  }
}
