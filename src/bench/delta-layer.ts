/**
 * Would an exact integer delta layer pay? It keeps the accumulators of `W x` and adds one column of W for each input
 * that changed since the last token: the same integers as the whole product, for as much work as inputs changed.
 * Measured on the tokens of the workloads, for the two products where it could be used: the embedding, and the first
 * layer's queries, keys and values, whose inputs have passed a norm.
 */
import { chooseKernels } from '../engine/kernels/choose.ts';
import type { KernelName, Kernels } from '../engine/kernels/contract.ts';
import { assert } from '../engine/limits.ts';
import type { MemoryLayout } from '../engine/memory-layout.ts';
import { padded, planMemory } from '../engine/memory-plan.ts';
import type { Linear, Model } from '../engine/model.ts';
import { writeWeights } from '../engine/write-weights.ts';
import { encodeSeries } from '../train/tokens.ts';
import { type WorkloadName, workloads } from '../workloads/physics.ts';
import { type BenchResult, type Effort, measure, result, rounded } from './harness.ts';
import { workloadModel, workloadProtocol } from './workload-subject.ts';

const TOKENS = 512;
const WORKLOADS: readonly WorkloadName[] = ['streaming', 'safety-critical'];

export async function deltaLayer(effort: Effort, kernels?: KernelName): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  for (const name of WORKLOADS) {
    const model = workloadModel(name);
    const { series } = workloadProtocol(workloads[name], model, effort.quick ? 4000 : 20_000).tests[0]!;
    const { features, rows } = encodeSeries(series, { ...model.meaning, dense: false });
    const tokens = Math.min(TOKENS, rows.length);
    results.push(...(await measureDelta(name, model, features, tokens, effort, kernels)));
  }
  return results;
}

/** `features`: int16[tokens x features], as the gate makes them. */
export async function measureDelta(
  name: string,
  model: Model,
  features: Int16Array,
  tokens: number,
  effort: Effort,
  kernelName?: KernelName,
): Promise<BenchResult[]> {
  const dense = new FirstProducts(model, kernelName);
  const { features: width, hidden } = model.config;
  const normed = dense.normedOf(features, tokens);
  const { query, key, value } = model.weights.layers[0]!;
  const products = [
    {
      product: 'embedding',
      weights: [model.weights.embedding],
      inputs: features,
      width,
      run: () => dense.embed(),
    },
    {
      product: 'first q, k, v',
      weights: [query, key, value],
      inputs: normed,
      width: hidden,
      run: () => dense.project(),
    },
  ];
  const results: BenchResult[] = [];
  for (const { product, weights, inputs, width, run } of products) {
    const delta = new DeltaProduct(weights, width);
    const changed = changedShare(delta, weights, inputs, tokens, width);
    let token = 0;
    const advance = () => {
      token = (token + 1) % tokens;
      delta.update(inputs, token * width);
    };
    const cases = [
      { name: `${name}, ${product}, whole`, run, batch: 100 },
      { name: `${name}, ${product}, delta`, run: advance, batch: 100 },
    ];
    const [whole, columns] = await measure(cases, effort);
    const macs = delta.outputs * width;
    results.push(
      result('delta', cases[0]!.name, dense.kernels.name, whole!, { macs }),
      result('delta', cases[1]!.name, dense.kernels.name, columns!, {
        macs: Math.round(macs * changed),
        changedInputs: rounded(changed),
        // If columns were added as fast as the whole product is computed, and nothing else cost anything.
        atBestUs: rounded(whole!.medianUs * changed),
      }),
    );
  }
  return results;
}

/** Mean share of inputs that differ from the token before; on the way the accumulators are compared with `W x`. */
function changedShare(
  delta: DeltaProduct,
  weights: readonly Linear[],
  inputs: ArrayLike<number>,
  tokens: number,
  width: number,
): number {
  let changed = 0;
  delta.update(inputs, 0);
  for (let token = 1; token < tokens; token++) {
    changed += delta.update(inputs, token * width);
    const row = token % delta.outputs;
    assert(delta.sums[row] === dot(weights, row, inputs, token * width, width), 'a delta layer is exact');
  }
  return changed / ((tokens - 1) * width);
}

function dot(
  weights: readonly Linear[],
  row: number,
  inputs: ArrayLike<number>,
  at: number,
  width: number,
): number {
  const rows = weights[0]!.bias.length;
  const { weight } = weights[Math.floor(row / rows)]!;
  let sum = 0;
  for (let i = 0; i < width; i++) sum += weight[(row % rows) * width + i]! * inputs[at + i]!;
  return sum;
}

/** Accumulators of one or more products with the same inputs, kept up to date column by column. */
export class DeltaProduct {
  readonly outputs: number;
  /** [outputs], without bias. */
  readonly sums: Int32Array;
  readonly #last: Int32Array;
  /** [inputs, outputs]. */
  readonly #columns: Int8Array;

  constructor(weights: readonly Linear[], inputs: number) {
    const rows = weights.flatMap(({ weight, bias }) =>
      Array.from(bias, (_, row) => weight.subarray(row * inputs, (row + 1) * inputs)),
    );
    this.outputs = rows.length;
    this.sums = new Int32Array(rows.length);
    this.#last = new Int32Array(inputs);
    this.#columns = new Int8Array(inputs * rows.length);
    for (const [row, weight] of rows.entries()) {
      for (let i = 0; i < inputs; i++) this.#columns[i * rows.length + row] = weight[i]!;
    }
  }

  /** Takes the inputs from `at` on; returns how many changed. */
  update(inputs: ArrayLike<number>, at: number): number {
    const { sums, outputs } = this;
    const last = this.#last;
    const columns = this.#columns;
    let changed = 0;
    for (let i = 0; i < last.length; i++) {
      const step = inputs[at + i]! - last[i]!;
      if (step === 0) continue;
      changed++;
      last[i] = inputs[at + i]!;
      const column = i * outputs;
      for (let row = 0; row < outputs; row++) sums[row]! += Math.imul(step, columns[column + row]!);
    }
    return changed;
  }
}

/** The engine's own kernels and memory, one token, up to the first projection. */
class FirstProducts {
  readonly kernels: Kernels;
  readonly #model: Model;
  readonly #memory: WebAssembly.Memory;
  readonly #at: MemoryLayout;

  constructor(model: Model, kernelName?: KernelName) {
    const { layout, totalBytes } = planMemory(model.config, 1, 1);
    const pages = totalBytes / 65_536;
    this.#memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.kernels = chooseKernels(this.#memory, layout.widened, kernelName);
    writeWeights(this.#memory, layout, this.kernels, model);
    this.#model = model;
    this.#at = layout;
  }

  embed(): void {
    this.kernels.embed(this.#at.features, this.#at.embedding, this.#at.residual, 1);
  }

  project(): void {
    const { normed, queryKeyValue, queryKeyValueBytes, layers } = this.#at;
    this.kernels.project(normed, layers[0]!.queryKeyValue, queryKeyValue, queryKeyValueBytes, 1);
  }

  /** uint8[tokens x hidden]: what the first layer projects. */
  normedOf(features: Int16Array, tokens: number): Uint8Array {
    const { features: width, hidden } = this.#model.config;
    const at = this.#at;
    const { attentionGain } = this.#model.weights.layers[0]!;
    assert(typeof attentionGain === 'number', 'one gain for all channels');
    const taken = new Int16Array(this.#memory.buffer, at.features, padded(width));
    const normed = new Uint8Array(this.#memory.buffer, at.normed, hidden);
    const all = new Uint8Array(tokens * hidden);
    for (let token = 0; token < tokens; token++) {
      taken.set(features.subarray(token * width, (token + 1) * width));
      this.embed();
      this.kernels.normalise(at.residual, attentionGain, hidden, at.normed, 1);
      all.set(normed, token * hidden);
    }
    return all;
  }
}
