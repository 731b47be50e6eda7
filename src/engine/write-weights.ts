/** Lays a model's weights and tables out in the engine's memory, padded with zeros to whole vectors. */
import { headSize, type TransformerConfig } from './config.ts';
import type { Kernels, MatrixInput } from './kernels/contract.ts';
import type { LayerLayout, Matrix, MemoryLayout } from './memory-plan.ts';
import type { LayerWeights, Linear, Model } from './model.ts';

/** A linear layer of the file that fills some rows of a matrix in memory. */
interface Part {
  readonly linear: Linear;
  /** Where a true row stands among the padded ones. */
  readonly rowAt: (row: number) => number;
}

/** Columns that lie side by side in the file and in memory, and from one such run to the next in memory. */
interface Run {
  readonly columns: number;
  readonly stride: number;
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
  const parts = [layer.query, layer.key, layer.value].map((linear, part) => ({
    linear,
    rowAt: (row: number) => part * at.attention.width + Math.floor(row / size) * stride + (row % size),
  }));
  writer.matrix(at.queryKeyValue, parts, config.hidden);
  writer.single(at.output, layer.output, config.hidden, 'activations', { columns: size, stride });
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

  single(at: Matrix, linear: Linear, columns: number, input?: MatrixInput, run?: Run): void {
    this.matrix(at, [{ linear, rowAt: (row) => row }], columns, input, run);
  }

  matrix(
    at: Matrix,
    parts: readonly Part[],
    columns: number,
    input: MatrixInput = 'activations',
    run: Run = { columns, stride: columns },
  ): void {
    const weight = new Int8Array(at.outputs * at.inputs);
    const bias = new Int32Array(at.outputs);
    const multiplier = new Float32Array(at.outputs);
    for (const { linear, rowAt } of parts) {
      for (let row = 0; row < linear.bias.length; row++) {
        const to = rowAt(row);
        bias[to] = linear.bias[row]!;
        multiplier[to] = linear.multiplier[row]!;
        for (
          let first = 0, place = to * at.inputs;
          first < columns;
          first += run.columns, place += run.stride
        ) {
          const from = row * columns + first;
          weight.set(linear.weight.subarray(from, from + run.columns), place);
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
