/** Lays a model's weights and tables out in the engine's memory, padded with zeros to whole vectors. */
import { embeddingInputs, type HistoryConfig, headSize, type TransformerConfig } from './config.ts';
import type { Kernels, MatrixInput } from './kernels/contract.ts';
import type { FeedForwardLayout, HistoryLayout, LayerLayout, Matrix, MemoryLayout } from './memory-layout.ts';
import { padded } from './memory-plan.ts';
import type { FeedForwardWeights, Gain, HistoryWeights, LayerWeights, Linear, Model } from './model.ts';

/** So many numbers lie side by side in the file, and so far from run to run in memory: padding comes between. */
interface Run {
  readonly length: number;
  readonly stride: number;
}

/** A linear layer of the file that fills some rows of a matrix in memory, from row `first` on. */
interface Part {
  readonly linear: Linear;
  readonly first: number;
  readonly rows: Run;
}

export function writeWeights(
  memory: WebAssembly.Memory,
  layout: MemoryLayout,
  kernels: Kernels,
  model: Model,
): void {
  const { weights, config } = model;
  const writer = new Writer(memory, kernels);
  writeEmbedding(writer, layout, weights.embedding, config);
  writer.gain(layout.headGain, weights.headGain);
  writer.single(layout.head, weights.head, config.hidden);
  if (layout.linear !== undefined && weights.linear !== undefined) {
    writer.single(layout.linear, weights.linear, config.features, 'features');
  }
  if (layout.history !== undefined && weights.history !== undefined) {
    writeHistory(writer, layout.history, weights.history, config.history!);
  }
  writer.ints(layout.exponentTable, weights.exponentTable);
  if (layout.refinement !== undefined && weights.refinement !== undefined) {
    writeFeedForward(writer, layout.refinement, weights.refinement, config);
  }
  for (const [index, layer] of weights.layers.entries())
    writeLayer(writer, layout.layers[index]!, layer, config);
}

function writeLayer(writer: Writer, at: LayerLayout, layer: LayerWeights, config: TransformerConfig): void {
  const heads = { length: headSize(config), stride: at.attention.headStride };
  const parts = [layer.query, layer.key, layer.value].map((linear, part) => ({
    linear,
    first: part * at.attention.width,
    rows: heads,
  }));
  if (at.router !== undefined && layer.router !== undefined) {
    writer.single(at.router, layer.router, config.hidden);
  }
  writer.gain(at.attentionGain, layer.attentionGain);
  writer.matrix(at.queryKeyValue, parts, config.hidden);
  writer.single(at.output, layer.output, config.hidden, 'activations', heads);
  writeFeedForward(writer, at, layer, config);
  if (layer.spikeThreshold !== undefined) {
    const thresholds = new Int32Array(at.attention.width);
    copyRuns(layer.spikeThreshold, heads, thresholds, 0);
    writer.ints(at.attention.spikeThreshold, thresholds);
    return;
  }
  writer.ints(at.attention.ageBias, layer.ageBias);
  writer.ints(at.attention.sink, layer.sink);
  writer.floats(at.attention.exponentScale, layer.exponentScale);
  writer.floats(at.attention.contextScale, layer.contextScale);
}

function writeFeedForward(
  writer: Writer,
  at: FeedForwardLayout,
  { feedForwardGain, up, gelu, down }: FeedForwardWeights,
  { hidden, feedForward }: TransformerConfig,
): void {
  writer.gain(at.gain, feedForwardGain);
  writer.single(at.up, up, hidden);
  writer.bytes(at.gelu, gelu);
  writer.single(at.down, down, feedForward);
}

/** Features and the components of each channel's past are padded apart. */
function writeEmbedding(
  writer: Writer,
  { embedding: at }: MemoryLayout,
  embedding: Linear,
  config: TransformerConfig,
): void {
  const { features, history } = config;
  if (history === undefined) {
    writer.single(at, embedding, features, 'features');
    return;
  }
  const [from, rank] = [embeddingInputs(config), history.ranks[0]];
  const weight = new Int8Array(config.hidden * at.inputs);
  for (let row = 0; row < config.hidden; row++) {
    const own = embedding.weight.subarray(row * from, (row + 1) * from);
    weight.set(own.subarray(0, features), row * at.inputs);
    for (let channel = 0; channel < history.channels; channel++) {
      const first = features + channel * rank;
      const place = padded(features) + channel * padded(rank);
      weight.set(own.subarray(first, first + rank), row * at.inputs + place);
    }
  }
  writer.single(at, { ...embedding, weight }, at.inputs, 'features');
}

function writeHistory(
  writer: Writer,
  { bases, readouts }: HistoryLayout,
  { basis, readout }: HistoryWeights,
  { rows, ranks }: HistoryConfig,
): void {
  // Its bias is made for every tick.
  writer.single(bases[0]![0]!, basis, rows, 'features');
  for (const [tier, at] of readouts.entries()) {
    const first = firstColumns(readout, ranks[0], ranks[tier]!);
    writer.single(at, first, ranks[tier]!, 'features');
  }
}

function firstColumns({ weight, ...rest }: Linear, columns: number, kept: number): Linear {
  const own = new Int8Array(rest.bias.length * kept);
  for (let row = 0; row < rest.bias.length; row++) {
    own.set(weight.subarray(row * columns, row * columns + kept), row * kept);
  }
  return { weight: own, ...rest };
}

class Writer {
  readonly #memory: WebAssembly.Memory;
  readonly #kernels: Kernels;

  constructor(memory: WebAssembly.Memory, kernels: Kernels) {
    this.#memory = memory;
    this.#kernels = kernels;
  }

  single(at: Matrix, linear: Linear, columns: number, input?: MatrixInput, run?: Run): void {
    const rows = { length: linear.bias.length, stride: linear.bias.length };
    this.matrix(at, [{ linear, first: 0, rows }], columns, input, run);
  }

  matrix(
    at: Matrix,
    parts: readonly Part[],
    columns: number,
    input: MatrixInput = 'activations',
    run: Run = { length: columns, stride: columns },
  ): void {
    const weight = new Int8Array(at.outputs * at.inputs);
    const bias = new Int32Array(at.outputs);
    const multiplier = new Float32Array(at.outputs);
    for (const { linear, first, rows } of parts) {
      copyRuns(linear.bias, rows, bias, first);
      copyRuns(linear.multiplier, rows, multiplier, first);
      copyMatrix(linear.weight, columns, run, rows, weight.subarray(first * at.inputs), at.inputs);
    }
    this.#kernels.pack(at, weight, input);
    this.ints(at.bias, bias);
    this.floats(at.multiplier, multiplier);
  }

  /** A gain that is one number stays in the model. */
  gain(at: number, gain: Gain): void {
    if (typeof gain !== 'number') this.floats(at, gain);
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

/** Few long copies where nothing lies between: a view for each row is a millisecond's garbage in a cold process. */
function copyRuns<T extends Int8Array | Int32Array | Float32Array>(
  from: T,
  run: Run,
  to: T,
  first: number,
): void {
  if (run.length === run.stride) {
    to.set(from, first);
    return;
  }
  for (let start = 0, place = first; start < from.length; start += run.length, place += run.stride) {
    to.set(from.subarray(start, start + run.length), place);
  }
}

/** Rows of `columns` numbers, in runs, to rows of `width`, which lie in runs themselves. */
function copyMatrix(
  from: Int8Array,
  columns: number,
  run: Run,
  rows: Run,
  to: Int8Array,
  width: number,
): void {
  if (columns === width) {
    copyRuns(from, { length: rows.length * width, stride: rows.stride * width }, to, 0);
    return;
  }
  for (let row = 0; row * columns < from.length; row++) {
    const place = Math.floor(row / rows.length) * rows.stride + (row % rows.length);
    copyRuns(from.subarray(row * columns, (row + 1) * columns), run, to, place * width);
  }
}
