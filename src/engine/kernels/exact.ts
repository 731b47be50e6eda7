/** The WebAssembly SIMD kernels behind the contract. */
import type { AttentionLayout, Matrix } from '../memory-plan.ts';
import { padded } from '../memory-plan.ts';
import type { Kernels } from './contract.ts';
import { wasmBase64 } from './generated/exact.ts';

type Kernel = (...numbers: number[]) => number;

interface Exports {
  readonly embed: Kernel;
  readonly normalise: Kernel;
  readonly project: Kernel;
  readonly attend: Kernel;
  readonly addProjection: Kernel;
  readonly activate: Kernel;
  readonly storeLogits: Kernel;
  readonly addLinearLogits: Kernel;
}

/** Outputs that one block of packed weights holds. */
const BLOCK = 16;

let compiled: WebAssembly.Module | undefined;

/** Compiled once per process. Throws WebAssembly.CompileError where SIMD is missing. */
function compile(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(
    Uint8Array.from(atob(wasmBase64), (character) => character.charCodeAt(0)),
  );
  return compiled;
}

export class ExactKernels implements Kernels {
  readonly name = 'exact';
  readonly #exports: Exports;
  readonly #memory: WebAssembly.Memory;
  readonly #widened: number;

  /** `widened`: scratch for the widest activations of all rows as int16. */
  constructor(memory: WebAssembly.Memory, widened: number) {
    this.#memory = memory;
    this.#widened = widened;
    this.#exports = new WebAssembly.Instance(compile(), { env: { memory } }).exports as unknown as Exports;
  }

  /** [outputs / 16][inputs / 2][16 outputs][2 inputs]. */
  pack(matrix: Matrix, weight: Int8Array): void {
    const packed = new Int8Array(this.#memory.buffer, matrix.weight, weight.length);
    let to = 0;
    for (let block = 0; block < matrix.outputs; block += BLOCK) {
      for (let j = 0; j < matrix.inputs; j += 2) {
        for (let c = block; c < block + BLOCK; c++) {
          packed[to++] = weight[c * matrix.inputs + j]!;
          packed[to++] = weight[c * matrix.inputs + j + 1]!;
        }
      }
    }
  }

  embed(features: number, at: Matrix, residual: number, rows: number): void {
    this.#exports.embed(features, at.weight, at.bias, at.multiplier, residual, at.inputs, at.outputs, rows);
  }

  normalise(residual: number, gain: number, hidden: number, activations: number, rows: number): void {
    this.#exports.normalise(residual, gain, hidden, padded(hidden), activations, rows);
  }

  project(activations: number, at: Matrix, projected: number, rows: number): void {
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

  logits(
    activations: number,
    head: Matrix,
    features: number,
    linear: Matrix,
    logits: number,
    rows: number,
  ): void {
    const { weight, bias, multiplier, inputs, outputs } = head;
    this.#exports.storeLogits(
      activations,
      weight,
      bias,
      multiplier,
      logits,
      inputs,
      outputs,
      rows,
      this.#widened,
    );
    this.#exports.addLinearLogits(
      features,
      linear.weight,
      linear.bias,
      linear.multiplier,
      logits,
      linear.inputs,
      linear.outputs,
      rows,
    );
  }
}
