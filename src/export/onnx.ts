/** A model as an ONNX graph: the function that the engine computes, in float32 and without its roundings. */
import { headSize } from '../engine/config.ts';
import { ACTIVATION_MAX, ACTIVATION_ZERO, RESIDUAL_MAX, TABLE_SIZE } from '../engine/limits.ts';
import type { Gain, Model } from '../engine/model.ts';
import { version } from '../version.ts';
import { dequantise, type RealLayer, type RealLinear, type RealTransformer } from './dequantise.ts';
import { OnnxGraph } from './onnx-graph.ts';

export interface OnnxOptions {
  /** Ticks that the graph takes at once; default the model's sequence. */
  readonly rows?: number;
  /**
   * window (default): a whole window of ticks from an empty past, `features` [rows, features] -> `logits`
   * [rows, outputs]. step: one tick, and `past` [2 layers, heads, window - 1, headSize] -> `next_past`: keys, then
   * values of each layer, oldest tick first. It knows no empty past: from whatever past, its outputs are right after
   * layers x (window - 1) ticks.
   */
  readonly form?: 'window' | 'step';
  /** int8: weights stay integers, activations are quantised on the fly (MatMulInteger); default float32. */
  readonly precision?: 'float32' | 'int8';
  /** Values saturate where the engine's integers do; default true. */
  readonly saturate?: boolean;
}

/** Attention biases of all rows together: beyond this the file would hold little else. */
const MASK_VALUES_MAX = 1 << 24;
/** Exponent of what must not be seen; finite, so that no runtime makes a NaN of it. */
const UNSEEN = -1e9;
/** One step of the residual stream squared: the engine's root mean square is never smaller. */
const EPSILON = 1;

/**
 * The bytes of an .onnx file. Throws RangeError if `rows` is out of range, for a step of a model without a past, or for
 * a model with routed layers (a graph without branches would compute what they save), rounds of refinement, spike
 * attention or a history.
 */
export function exportOnnx(model: Model, options: OnnxOptions = {}): Uint8Array {
  const { form = 'window', precision = 'float32', saturate = true } = options;
  const rows = form === 'step' ? 1 : (options.rows ?? model.config.sequence);
  requireRows(rows, model);
  if (model.config.routing !== undefined) {
    throw new RangeError('model: expected every token to go through every layer, got routed layers');
  }
  if (model.config.refinement !== undefined) {
    throw new RangeError('model: expected an answer after the last layer, got rounds of refinement');
  }
  if (model.config.history !== undefined) {
    throw new RangeError('model: expected a linear path of the present tick, got one over a history');
  }
  if (model.config.attention === 'spike') {
    throw new RangeError('model: expected softmax attention, got spike attention');
  }
  if (form === 'step' && model.config.window < 2) {
    throw new RangeError(`form step: expected a window of at least 2, got ${model.config.window}`);
  }
  return new Exporter(dequantise(model), { rows, form, precision, saturate }).export();
}

function requireRows(rows: number, { config }: Model): void {
  const max = Math.floor(Math.sqrt(MASK_VALUES_MAX / (config.heads * config.layers)));
  if (!Number.isInteger(rows) || rows < 1 || rows > max) {
    throw new RangeError(`rows: expected a whole number from 1 to ${max}, got ${rows}`);
  }
}

class Exporter {
  readonly #graph = new OnnxGraph();
  readonly #model: RealTransformer;
  readonly #options: Required<OnnxOptions>;
  /** Of a step: keys and values of each layer, before this tick and of it. */
  #pasts: readonly string[] = [];
  readonly #present: string[] = [];

  constructor(model: RealTransformer, options: Required<OnnxOptions>) {
    this.#model = model;
    this.#options = options;
  }

  export(): Uint8Array {
    const { config, embedding, layers, head, headGain, linear } = this.#model;
    const { rows, form } = this.#options;
    const graph = this.#graph;
    const features = graph.input('features', [rows, config.features]);
    if (form === 'step') this.#takePast();
    let x = this.#clip(this.#linear(features, embedding), RESIDUAL_MAX);
    for (const [index, layer] of layers.entries()) {
      x = this.#add(
        x,
        this.#linear(this.#attention(this.#normalise(x, layer.attentionGain), layer, index), layer.output),
      );
      x = this.#add(
        x,
        this.#linear(this.#activate(this.#normalise(x, layer.feedForwardGain), layer), layer.down),
      );
    }
    const fromHead = this.#linear(this.#normalise(x, headGain), head);
    const logits = graph.node('Add', [fromHead, this.#linear(features, linear)]);
    graph.output('logits', logits, [rows, config.outputs]);
    if (form === 'step') this.#returnPast();
    return graph.finish('dormouse', version);
  }

  #linear(x: string, linear: RealLinear): string {
    return this.#options.precision === 'int8' ? this.#integerLinear(x, linear) : this.#floatLinear(x, linear);
  }

  #floatLinear(x: string, { outputs, inputs, weight, scale, bias }: RealLinear): string {
    const matrix = new Float32Array(inputs * outputs);
    for (let o = 0; o < outputs; o++) {
      for (let j = 0; j < inputs; j++) matrix[j * outputs + o] = weight[o * inputs + j]! * scale[o]!;
    }
    return this.#graph.node('Gemm', [
      x,
      this.#graph.constant(matrix, [inputs, outputs]),
      this.#graph.constant(bias, [outputs]),
    ]);
  }

  #integerLinear(x: string, { outputs, inputs, weight, scale, bias }: RealLinear): string {
    const graph = this.#graph;
    const matrix = new Int8Array(inputs * outputs);
    for (let o = 0; o < outputs; o++) {
      for (let j = 0; j < inputs; j++) matrix[j * outputs + o] = weight[o * inputs + j]!;
    }
    const [quantised, step, zero] = graph.nodes('DynamicQuantizeLinear', [x], 3);
    const product = graph.node('MatMulInteger', [
      quantised!,
      graph.int8Constant(matrix, [inputs, outputs]),
      zero!,
    ]);
    const steps = graph.node('Mul', [step!, graph.constant(scale, [outputs])]);
    const scaled = graph.node('Mul', [graph.node('Cast', [product], { to: 1 }), steps]);
    return graph.node('Add', [scaled, graph.constant(bias, [outputs])]);
  }

  /** x gain / root mean square, in the steps of a normed activation; the same nodes that others fuse. */
  #normalise(x: string, gain: Gain): string {
    const graph = this.#graph;
    const { hidden } = this.#model.config;
    const meanSquare = graph.node('ReduceMean', [graph.node('Pow', [x, graph.constant([2], [])])], {
      axes: [-1],
      keepdims: 1,
    });
    const root = graph.node('Sqrt', [graph.node('Add', [meanSquare, graph.constant([EPSILON], [])])]);
    const unit = graph.node('Div', [x, root]);
    const gains = typeof gain === 'number' ? new Float32Array(hidden).fill(gain) : gain;
    return this.#clip(
      graph.node('Mul', [unit, graph.constant(gains, [hidden])]),
      ACTIVATION_MAX - ACTIVATION_ZERO,
      -ACTIVATION_ZERO,
    );
  }

  #add(x: string, change: string): string {
    return this.#clip(this.#graph.node('Add', [x, change]), RESIDUAL_MAX);
  }

  #clip(x: string, high: number, low = -high): string {
    return this.#options.saturate ? this.#alwaysClip(x, low, high) : x;
  }

  #alwaysClip(x: string, low: number, high: number): string {
    return this.#graph.node('Clip', [x, this.#graph.constant([low], []), this.#graph.constant([high], [])]);
  }

  #activate(normed: string, layer: RealLayer): string {
    const graph = this.#graph;
    const { gelu } = layer;
    const up = this.#linear(normed, layer.up);
    if (gelu === null) return this.#lookUp(up, layer.table);
    const half = TABLE_SIZE / 2;
    const x = this.#clip(up, gelu.center + (half - 1) * gelu.step, gelu.center - half * gelu.step);
    const erf = graph.node('Erf', [graph.node('Div', [x, graph.constant([Math.SQRT2], [])])]);
    const product = graph.node('Mul', [x, graph.node('Add', [erf, graph.constant([1], [])])]);
    const activated = graph.node('Mul', [product, graph.constant([0.5], [])]);
    return this.#clip(
      activated,
      (ACTIVATION_MAX - gelu.zero) * gelu.outputStep,
      -gelu.zero * gelu.outputStep,
    );
  }

  /** A table that is no GELU is looked up. */
  #lookUp(up: string, table: Uint8Array): string {
    const graph = this.#graph;
    const half = TABLE_SIZE / 2;
    const clipped = this.#alwaysClip(graph.node('Round', [up]), -half, half - 1);
    const index = graph.node('Cast', [graph.node('Add', [clipped, graph.constant([half], [])])], { to: 6 });
    return graph.node('Gather', [graph.constant(table, [TABLE_SIZE]), index], { axis: 0 });
  }

  #attention(normed: string, layer: RealLayer, index: number): string {
    const graph = this.#graph;
    const { hidden } = this.#model.config;
    const { rows, form } = this.#options;
    const all = this.#saturateProjections(this.#linear(normed, layer.queryKeyValue), layer.saturation);
    const { query, keys, values, biases } =
      form === 'step' ? this.#stepParts(all, layer, index) : this.#windowParts(all, layer);
    const scores = graph.node('Add', [graph.node('MatMul', [query, keys]), biases]);
    const context = graph.node('MatMul', [graph.node('Softmax', [scores], { axis: -1 }), values]);
    const together = form === 'step' ? context : graph.node('Transpose', [context], { perm: [1, 0, 2] });
    const flat = graph.node('Reshape', [together, graph.integers([rows, hidden])]);
    return this.#clip(flat, ACTIVATION_MAX - ACTIVATION_ZERO, -ACTIVATION_ZERO);
  }

  #saturateProjections(x: string, saturation: Float64Array): string {
    if (!this.#options.saturate) return x;
    const graph = this.#graph;
    const size = [saturation.length];
    const low = graph.node('Max', [
      x,
      graph.constant(
        saturation.map((limit) => -limit),
        size,
      ),
    ]);
    return graph.node('Min', [low, graph.constant(saturation, size)]);
  }

  /** The sink is one more key and value, both zero, whose score is all bias. */
  #windowParts(all: string, layer: RealLayer): AttentionParts {
    const graph = this.#graph;
    const { config } = this.#model;
    const { heads } = config;
    const { rows } = this.#options;
    const size = headSize(config);
    const split = graph.node('Reshape', [all, graph.integers([rows, 3 * heads, size])]);
    const byHead = graph.node('Transpose', [split], { perm: [1, 0, 2] });
    const [query, key, value] = graph.nodes('Split', [byHead], 3, { axis: 0 });
    const transposed = graph.node('Transpose', [key!], { perm: [0, 2, 1] });
    const zeros = new Float32Array(heads * size);
    const keys = graph.node('Concat', [graph.constant(zeros, [heads, size, 1]), transposed], { axis: 2 });
    const values = graph.node('Concat', [graph.constant(zeros, [heads, 1, size]), value!], { axis: 1 });
    return {
      query: query!,
      keys,
      values,
      biases: graph.constant(this.#windowBiases(layer), [heads, rows, rows + 1]),
    };
  }

  #windowBiases({ ageBias, sink }: RealLayer): Float32Array {
    const { heads, window } = this.#model.config;
    const { rows } = this.#options;
    const biases = new Float32Array(heads * rows * (rows + 1)).fill(UNSEEN);
    for (let head = 0; head < heads; head++) {
      for (let row = 0; row < rows; row++) {
        const at = (head * rows + row) * (rows + 1);
        biases[at] = sink[head]!;
        for (let age = 0; age < window && age <= row; age++) {
          biases[at + 1 + row - age] = ageBias[head * window + age]!;
        }
      }
    }
    return biases;
  }

  /** Sink, past and present; what is new waits for `#returnPast`. */
  #stepParts(all: string, { ageBias, sink }: RealLayer, index: number): AttentionParts {
    const graph = this.#graph;
    const { config } = this.#model;
    const { heads, window } = config;
    const size = headSize(config);
    const shape = graph.integers([1, heads, 1, size]);
    const [query, key, value] = graph
      .nodes('Split', [all], 3, { axis: 1 })
      .map((part) => graph.node('Reshape', [part, shape]));
    const nothing = graph.constant(new Float32Array(heads * size), [1, heads, 1, size]);
    const [keys, values] = [key!, value!].map((own, which) => {
      this.#present.push(own);
      return graph.node('Concat', [nothing, this.#pasts[2 * index + which]!, own], { axis: 2 });
    });
    const biases = new Float32Array(heads * (window + 1));
    for (let head = 0; head < heads; head++) {
      biases[head * (window + 1)] = sink[head]!;
      for (let age = 0; age < window; age++) {
        biases[head * (window + 1) + window - age] = ageBias[head * window + age]!;
      }
    }
    return {
      query: query!,
      keys: graph.node('Transpose', [keys!], { perm: [0, 1, 3, 2] }),
      values: values!,
      biases: graph.constant(biases, [1, heads, 1, window + 1]),
    };
  }

  #pastShape(): number[] {
    const { config } = this.#model;
    return [2 * config.layers, config.heads, config.window - 1, headSize(config)];
  }

  #takePast(): void {
    const shape = this.#pastShape();
    this.#pasts = this.#graph.nodes('Split', [this.#graph.input('past', shape)], shape[0]!, { axis: 0 });
  }

  /** The past without its oldest tick, and this tick. */
  #returnPast(): void {
    const graph = this.#graph;
    const shape = this.#pastShape();
    const present = graph.node('Concat', this.#present, { axis: 0 });
    const ranges = [[1], [shape[2]!], [2]].map((range) => graph.integers(range));
    const recent = graph.node('Slice', ['past', ...ranges]);
    graph.output('next_past', graph.node('Concat', [recent, present], { axis: 2 }), shape);
  }
}

interface AttentionParts {
  /** [heads, rows, headSize]; of a step, each of these with a leading 1. */
  readonly query: string;
  /** [heads, headSize, seen]. */
  readonly keys: string;
  /** [heads, seen, headSize]. */
  readonly values: string;
  /** [heads, rows, seen]. */
  readonly biases: string;
}
