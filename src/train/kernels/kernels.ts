/** The trainer's WebAssembly kernels: byte addresses and counts in, nothing out. See assembly/ for each contract. */
import { compileBase64 } from '../../engine/kernels/wasm-module.ts';
import { wasmBase64 } from './generated/training.ts';

type Address = number;

export const NN = 0;
export const NT = 1;
export const TN = 2;

export interface TrainingKernels {
  gemm(
    form: number,
    m: number,
    n: number,
    k: number,
    a: Address,
    lda: number,
    b: Address,
    ldb: number,
    c: Address,
    ldc: number,
    accumulate: number,
    scratch: Address,
  ): void;
  add(y: Address, x: Address, count: number): void;
  addBias(y: Address, bias: Address, rows: number, columns: number): void;
  sumColumns(y: Address, sums: Address, rows: number, columns: number): void;
  addResidual(
    out: Address,
    x: Address,
    branch: Address,
    keep: Address,
    sequences: number,
    count: number,
  ): void;
  scaleSequences(out: Address, x: Address, keep: Address, sequences: number, count: number): void;
  gelu(x: Address, y: Address, count: number): void;
  geluBackward(x: Address, dy: Address, count: number): void;
  maskClipped(x: Address, dy: Address, low: number, high: number, count: number): void;
  maskColumns(x: Address, dy: Address, limits: Address, rows: number, columns: number): void;
  rmsNorm(x: Address, n: Address, inverse: Address, rows: number, columns: number): void;
  rmsNormBackward(
    dn: Address,
    n: Address,
    inverse: Address,
    dx: Address,
    rows: number,
    columns: number,
  ): void;
  attention(
    qkv: Address,
    probability: Address,
    context: Address,
    ageBias: Address,
    sink: Address,
    present: Address,
    sights: Address,
    most: number,
    sequences: number,
    length: number,
    heads: number,
    size: number,
    window: number,
  ): void;
  attentionBackward(
    qkv: Address,
    probability: Address,
    dContext: Address,
    dQkv: Address,
    dAgeBias: Address,
    dSink: Address,
    sights: Address,
    most: number,
    sequences: number,
    length: number,
    heads: number,
    size: number,
    window: number,
    scratch: Address,
  ): void;
  sumOfSquares(x: Address, count: number): number;
  adamW(
    parameter: Address,
    gradient: Address,
    first: Address,
    second: Address,
    count: number,
    gradientScale: number,
    rate: number,
    beta1: number,
    beta2: number,
    epsilon: number,
    decay: number,
  ): void;
  splitFeatures(features: Address, high: Address, low: Address, real: Address, count: number): void;
  integerEmbedding(
    high: Address,
    low: Address,
    bias: Address,
    multiplier: Address,
    x: Address,
    real: Address,
    residualScale: number,
    rows: number,
    columns: number,
  ): void;
  integerNorm(
    x: Address,
    n: Address,
    real: Address,
    inverse: Address,
    gain: number,
    residualScale: number,
    rows: number,
    columns: number,
  ): void;
  integerQkv(
    acc: Address,
    bias: Address,
    multiplier: Address,
    scales: Address,
    real: Address,
    rows: number,
    columns: number,
  ): void;
  integerAttention(
    qkv: Address,
    probability: Address,
    context: Address,
    contextReal: Address,
    ageBias: Address,
    sink: Address,
    present: Address,
    exponentScale: Address,
    outScale: Address,
    table: Address,
    contextScale: number,
    sights: Address,
    most: number,
    sequences: number,
    length: number,
    heads: number,
    size: number,
    window: number,
    scratch: Address,
  ): void;
  int4Codes(
    qkv: Address,
    scales: Address,
    codes: Address,
    largest: Address,
    real: Address,
    rotates: number,
    rows: number,
    heads: number,
    size: number,
  ): void;
  int4Attention(
    codes: Address,
    largest: Address,
    probability: Address,
    context: Address,
    contextReal: Address,
    ageBias: Address,
    sink: Address,
    present: Address,
    exponentScale: Address,
    outScale: Address,
    table: Address,
    contextScale: number,
    rotates: number,
    sights: Address,
    most: number,
    sequences: number,
    length: number,
    heads: number,
    size: number,
    window: number,
    scratch: Address,
  ): void;
  integerResidual(
    x: Address,
    acc: Address,
    bias: Address,
    multiplier: Address,
    keep: Address,
    out: Address,
    real: Address,
    residualScale: number,
    sequences: number,
    rows: number,
    columns: number,
  ): void;
  integerGelu(
    acc: Address,
    bias: Address,
    multiplier: Address,
    table: Address,
    uReal: Address,
    gReal: Address,
    center: number,
    scale: number,
    zero: number,
    outScale: number,
    rows: number,
    columns: number,
  ): void;
  integerLogits(
    acc: Address,
    bias: Address,
    multiplier: Address,
    high: Address,
    low: Address,
    linearMultiplier: Address,
    logits: Address,
    real: Address,
    rows: number,
    columns: number,
  ): void;
}

let compiled: WebAssembly.Module | undefined;

/** One instance of the kernels over `memory`. */
export function instantiateKernels(memory: WebAssembly.Memory): TrainingKernels {
  compiled ??= compileBase64(wasmBase64);
  const instance = new WebAssembly.Instance(compiled, { env: { memory } });
  return instance.exports as unknown as TrainingKernels;
}

const WASM_PAGE_BYTES = 65536;

/** Adds up named regions; `memory()` makes a memory of exactly that size. */
export class Regions {
  /** Everything below is AssemblyScript's own. */
  #bytes = 1024;

  /** Byte address of room for `count` 4-byte numbers, aligned to 64 bytes, with a spare vector behind it. */
  words(count: number): Address {
    const address = this.#bytes;
    this.#bytes = Math.ceil((address + 4 * count + 16) / 64) * 64;
    return address;
  }

  memory(): WebAssembly.Memory {
    const pages = Math.ceil(this.#bytes / WASM_PAGE_BYTES);
    return new WebAssembly.Memory({ initial: pages, maximum: pages });
  }
}

/** Scratch words that `gemm` needs when no m exceeds `rows`. */
export function gemmScratchWords(rows: number): number {
  return 256 * (Math.ceil(rows / 4) * 4 + 8) + 32;
}
