/** The long-context kernels in WebAssembly SIMD, behind their contract; the same for the exact and the relaxed build. */
import { wasmBase64 } from './generated/long-context.ts';
import type { HeadAttention, LongContextKernels, LongContextShape } from './long-context-contract.ts';
import { compileBase64 } from './wasm-module.ts';

type Kernel = (...numbers: number[]) => void;

interface Exports {
  readonly widen: Kernel;
  readonly rotateQuery: Kernel;
  readonly packInt4: Kernel;
  readonly attend: Kernel;
  readonly scoreBlocks: Kernel;
}

let compiled: WebAssembly.Module | undefined;

export class WasmLongContextKernels implements LongContextKernels {
  readonly #shape: LongContextShape;
  readonly #exports: Exports;
  readonly #width: number;

  constructor(memory: WebAssembly.Memory, shape: LongContextShape) {
    this.#shape = shape;
    this.#width = shape.heads * shape.headStride;
    compiled ??= compileBase64(wasmBase64);
    this.#exports = new WebAssembly.Instance(compiled, { env: { memory } }).exports as unknown as Exports;
  }

  takeQuery(query: number): void {
    const { heads, headStride, rotates, scratch } = this.#shape;
    if (rotates) this.#exports.rotateQuery(query, scratch.query, heads, headStride, scratch.rotation);
    else this.#exports.widen(query, scratch.query, this.#width);
  }

  packInt4(from: number, to: number): void {
    const { heads, headStride, rotates, scratch } = this.#shape;
    this.#exports.packInt4(from, to, heads, headStride, Number(rotates), scratch.rotation);
  }

  attendHead({ attention, head, keys, values, count, context }: HeadAttention): void {
    const { headStride, isInt4, rotates, scratch } = this.#shape;
    const first = head * headStride;
    // Two codes lie in a byte; behind them, in each slot, the largest component of every head.
    const place = isInt4 ? first / 2 : first;
    const largest = this.#width / 2 + 2 * head;
    this.#exports.attend(
      Number(isInt4),
      Number(rotates),
      scratch.query + 2 * first,
      keys + place,
      values + place,
      keys + largest,
      values + largest,
      scratch.offsets,
      scratch.ages,
      scratch.scores,
      scratch.probabilities,
      scratch.rotation,
      count,
      headStride,
      attention.ageBias + 4 * head * attention.biasStride,
      attention.sink + 4 * head,
      attention.exponentScale + 4 * head,
      attention.contextScale + 4 * head,
      attention.exponentTable,
      context + first,
    );
  }

  scoreBlocks(query: number, sums: number, blocks: number, scores: number): void {
    this.#exports.scoreBlocks(query, sums, this.#width, this.#shape.headStride, blocks, scores);
  }
}
