/** Lays a model's weights and tables out in the engine's memory, padded with zeros to whole vectors. */
import { headSize, type TransformerConfig } from './config.ts';
import type { Kernels, MatrixInput } from './kernels/contract.ts';
import type { LayerLayout, Matrix, MemoryLayout } from './memory-plan.ts';
import type { LayerWeights, Linear, Model } from './model.ts';

/** Where a true row or column stands among the padded ones. */
type Place = (index: number) => number;

const inPlace: Place = (index) => index;

/** A linear layer of the file that fills a part of a matrix in memory. */
interface Part {
  readonly linear: Linear;
  readonly rowAt: Place;
}

export function writeWeights(
  memory: WebAssembly.Memory,
  layout: MemoryLayout,
  kernels: Kernels,
  model: Model,
): void {
  const { weights, config } = model;
  const writer = new Writer(memory, kernels);
  writer.single(layout.embedding, weights.embedding, config.features, 'features');
  writer.single(layout.head, weights.head, config.hidden);
  writer.single(layout.linear, weights.linear, config.features, 'features');
  writer.ints(layout.exponentTable, weights.exponentTable);
  for (const [index, layer] of weights.layers.entries())
    writeLayer(writer, layout.layers[index]!, layer, config);
}

function writeLayer(writer: Writer, at: LayerLayout, layer: LayerWeights, config: TransformerConfig): void {
  const size = headSize(config);
  const stride = at.attention.headStride;
  const headPlace: Place = (index) => Math.floor(index / size) * stride + (index % size);
  const parts = [layer.query, layer.key, layer.value].map((linear, part) => ({
    linear,
    rowAt: (row: number) => part * at.attention.width + headPlace(row),
  }));
  writer.matrix(at.queryKeyValue, parts, config.hidden, inPlace);
  writer.matrix(at.output, [{ linear: layer.output, rowAt: inPlace }], config.hidden, headPlace);
  writer.single(at.up, layer.up, config.hidden);
  writer.bytes(at.gelu, layer.gelu);
  writer.single(at.down, layer.down, config.feedForward);
  writer.ints(at.attention.ageBias, layer.ageBias);
  writer.ints(at.attention.sink, layer.sink);
  writer.floats(at.attention.exponentScale, layer.exponentScale);
  writer.floats(at.attention.contextScale, layer.contextScale);
}

class Writer {
  readonly #memory: WebAssembly.Memory;
  readonly #kernels: Kernels;

  constructor(memory: WebAssembly.Memory, kernels: Kernels) {
    this.#memory = memory;
    this.#kernels = kernels;
  }

  single(at: Matrix, linear: Linear, columns: number, input: MatrixInput = 'activations'): void {
    this.matrix(at, [{ linear, rowAt: inPlace }], columns, inPlace, input);
  }

  matrix(
    at: Matrix,
    parts: readonly Part[],
    columns: number,
    columnAt: Place,
    input: MatrixInput = 'activations',
  ): void {
    const weight = new Int8Array(at.outputs * at.inputs);
    const bias = new Int32Array(at.outputs);
    const multiplier = new Float32Array(at.outputs);
    for (const { linear, rowAt } of parts) {
      for (let row = 0; row < linear.bias.length; row++) {
        const to = rowAt(row);
        bias[to] = linear.bias[row]!;
        multiplier[to] = linear.multiplier[row]!;
        for (let column = 0; column < columns; column++) {
          weight[to * at.inputs + columnAt(column)] = linear.weight[row * columns + column]!;
        }
      }
    }
    this.#kernels.pack(at, weight, input);
    this.ints(at.bias, bias);
    this.floats(at.multiplier, multiplier);
  }

  bytes(at: number, values: Uint8Array): void {
    new Uint8Array(this.#memory.buffer).set(values, at);
  }

  ints(at: number, values: Int32Array): void {
    new Int32Array(this.#memory.buffer, at).set(values);
  }

  floats(at: number, values: Float32Array): void {
    new Float32Array(this.#memory.buffer, at).set(values);
  }
}
