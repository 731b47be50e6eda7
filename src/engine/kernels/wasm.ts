/** The WebAssembly SIMD kernels behind the contract: one class, two builds. */
import type { AttentionLayout, Matrix } from '../memory-layout.ts';
import { padded } from '../memory-plan.ts';
import type { Kernels, MatrixInput } from './contract.ts';
import { wasmBase64 as exactBase64 } from './generated/exact.ts';
import { wasmBase64 as relaxedBase64 } from './generated/relaxed.ts';
import { compileBase64 } from './wasm-module.ts';

type Kernel = (...numbers: number[]) => number;

interface Exports {
  readonly embed: Kernel;
  readonly normalise: Kernel;
  readonly normaliseChannels: Kernel;
  readonly project: Kernel;
  readonly attend: Kernel;
  readonly countSpikes: Kernel;
  readonly addProjection: Kernel;
  readonly activate: Kernel;
  readonly storeLogits: Kernel;
  readonly blend: Kernel;
  readonly addLinearLogits: Kernel;
}

/** Outputs that one block of packed weights holds. */
const BLOCK = 16;

/** Int16 inputs meet weights in pairs. */
const PAIR = 2;

/**
 * The builds: their bytes (relaxed holds only what it does otherwise than exact), and how many activations meet one lane of
 * weights at a time.
 */
const builds = {
  exact: { base64: exactBase64, group: 2 },
  relaxed: { base64: relaxedBase64, group: 4 },
} as const;

export type WasmBuild = keyof typeof builds;

const compiled: { [build in WasmBuild]?: WebAssembly.Module } = {};

/** Compiled once per process. Throws WebAssembly.CompileError where (relaxed) SIMD is missing. */
function compile(build: WasmBuild): WebAssembly.Module {
  const { base64 } = builds[build];
  compiled[build] ??= compileBase64(base64);
  return compiled[build];
}

function instantiate(build: WasmBuild, memory: WebAssembly.Memory): object {
  return new WebAssembly.Instance(compile(build), { env: { memory } }).exports;
}

export class WasmKernels implements Kernels {
  readonly name: WasmBuild;
  readonly #exports: Exports;
  readonly #memory: WebAssembly.Memory;
  readonly #widened: number;

  /** `widened`: scratch for the widest activations of all rows as int16. */
  constructor(build: WasmBuild, memory: WebAssembly.Memory, widened: number) {
    this.name = build;
    this.#memory = memory;
    this.#widened = widened;
    const own = build === 'exact' ? {} : instantiate(build, memory);
    this.#exports = { ...instantiate('exact', memory), ...own } as Exports;
  }

  /** [outputs / 16][inputs / group][16 outputs][group inputs]. */
  pack(matrix: Matrix, weight: Int8Array, input: MatrixInput): void {
    const group = input === 'features' ? PAIR : builds[this.name].group;
    // A group is one word: a quarter of the turns that bytes would take, in a process that is cold.
    const Words = group === PAIR ? Int16Array : Int32Array;
    const from = new Words(weight.buffer as ArrayBuffer, weight.byteOffset);
    const packed = new Words(this.#memory.buffer, matrix.weight, weight.length / group);
    const groups = matrix.inputs / group;
    let to = 0;
    for (let block = 0; block < matrix.outputs; block += BLOCK) {
      for (let g = 0; g < groups; g++) {
        for (let c = block; c < block + BLOCK; c++) packed[to++] = from[c * groups + g]!;
      }
    }
  }

  embed(features: number, at: Matrix, residual: number, rows: number): void {
    this.#exports.embed(features, at.weight, at.bias, at.multiplier, residual, at.inputs, at.outputs, rows);
  }

  normalise(residual: number, gain: number, hidden: number, activations: number, rows: number): void {
    this.#exports.normalise(residual, gain, hidden, padded(hidden), activations, rows);
  }

  normaliseChannels(
    residual: number,
    gains: number,
    hidden: number,
    activations: number,
    rows: number,
  ): void {
    this.#exports.normaliseChannels(residual, gains, hidden, padded(hidden), activations, rows);
  }

  project(activations: number, at: Matrix, projected: number, stride: number, rows: number): void {
    const { weight, bias, multiplier, inputs, outputs } = at;
    this.#exports.project(
      activations,
      weight,
      bias,
      multiplier,
      projected,
      inputs,
      outputs,
      rows,
      this.#widened,
      stride,
    );
  }

  attend(
    attention: AttentionLayout,
    queryKeyValue: number,
    keys: number,
    values: number,
    positions: number,
    self: number,
    newest: number,
    filled: number,
    position: number,
    window: number,
    context: number,
  ): number {
    if (attention.spikeThreshold !== 0) {
      return this.#exports.countSpikes(
        queryKeyValue,
        keys,
        values,
        positions,
        self,
        newest,
        filled,
        position,
        window,
        context,
        attention.width,
        attention.spikeThreshold,
        attention.slots,
        attention.scratch,
      );
    }
    return this.#exports.attend(
      queryKeyValue,
      keys,
      values,
      positions,
      self,
      newest,
      filled,
      position,
      window,
      context,
      attention.heads,
      attention.headStride,
      attention.width,
      attention.biasStride,
      attention.ageBias,
      attention.sink,
      attention.exponentScale,
      attention.contextScale,
      attention.exponentTable,
      attention.slots,
      attention.scratch,
    );
  }

  addProjection(activations: number, at: Matrix, residual: number, rows: number): void {
    const { weight, bias, multiplier, inputs, outputs } = at;
    this.#exports.addProjection(
      activations,
      weight,
      bias,
      multiplier,
      residual,
      inputs,
      outputs,
      rows,
      this.#widened,
    );
  }

  activate(activations: number, at: Matrix, gelu: number, activated: number, rows: number): void {
    const { weight, bias, multiplier, inputs, outputs } = at;
    this.#exports.activate(
      activations,
      weight,
      bias,
      multiplier,
      activated,
      inputs,
      outputs,
      rows,
      this.#widened,
      gelu,
    );
  }

  score(activations: number, at: Matrix, scores: number, rows: number): void {
    const { weight, bias, multiplier, inputs, outputs } = at;
    this.#exports.storeLogits(
      activations,
      weight,
      bias,
      multiplier,
      scores,
      inputs,
      outputs,
      rows,
      this.#widened,
    );
  }

  blend(residual: number, before: number, gateQ15: number, count: number): void {
    this.#exports.blend(residual, before, gateQ15, count);
  }

  addFeatures(features: number, at: Matrix, sums: number, rows: number): void {
    const { weight, bias, multiplier, inputs, outputs } = at;
    this.#exports.addLinearLogits(features, weight, bias, multiplier, sums, inputs, outputs, rows);
  }
}
