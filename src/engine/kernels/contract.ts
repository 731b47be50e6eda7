/**
 * What a set of kernels must compute. There is one contract and several implementations that give the same bits:
 * the plain truth (truth.ts) and two builds of WebAssembly SIMD (wasm.ts). The formulas: docs/integer-rules.md.
 *
 * All pointers are byte offsets into the engine's memory. Rows lie one after another at the padded width of what
 * they hold: features int16[matrix.inputs], residual int16[padded(hidden)], activations uint8, logits int32.
 * Kernels take numbers and have no policy.
 */
import type { AttentionLayout, Matrix } from '../memory-layout.ts';

/** What a matrix is multiplied with: int16 features or uint8 activations. */
export type MatrixInput = 'features' | 'activations';

export interface Kernels {
  readonly name: KernelName;

  /** Lays out a padded row-major [outputs, inputs] matrix as this implementation likes to read it. */
  pack(matrix: Matrix, weight: Int8Array, input: MatrixInput): void;

  /** features -> residual: the first value of the residual stream. */
  embed(features: number, matrix: Matrix, residual: number, rows: number): void;

  /** RMSNorm: residual -> activations. `hidden` is the true width, without padding. */
  normalise(residual: number, gain: number, hidden: number, activations: number, rows: number): void;

  /** The same with a gain of its own for each channel: `gains` is float32[padded(hidden)]. */
  normaliseChannels(residual: number, gains: number, hidden: number, activations: number, rows: number): void;

  /** activations -> int8: queries, keys and values. `stride`: bytes from one projected row to the next. */
  project(activations: number, matrix: Matrix, projected: number, stride: number, rows: number): void;

  /**
   * Attention of one token. Copies its key and value into `self`, then attends to itself and to the slots of its
   * ring backwards from `newest`, `filled` at most, while their age is below `window`.
   * `keys`, `values`, `positions` point at the ring. Returns the positions attended to, itself included.
   * With spike thresholds in `attention` keys and values are counted, else weighed by a softmax.
   */
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
  ): number;

  /** activations -> added to the residual stream. */
  addProjection(activations: number, matrix: Matrix, residual: number, rows: number): void;

  /** activations -> GELU -> activations, through a 256-entry table. */
  activate(activations: number, matrix: Matrix, gelu: number, activated: number, rows: number): void;

  /** activations -> int32: logits of the head or of a router. */
  score(activations: number, matrix: Matrix, scores: number, rows: number): void;

  /** residual = before + (residual - before) gateQ15, of `count` int16; gateQ15 is 0 to 32768. */
  blend(residual: number, before: number, gateQ15: number, count: number): void;

  /** features (or other int16 inputs) -> added to int32. */
  addFeatures(features: number, matrix: Matrix, sums: number, rows: number): void;
}

/** truth: plain TypeScript. exact: WebAssembly SIMD. relaxed: WebAssembly relaxed SIMD. */
export type KernelName = 'truth' | 'exact' | 'relaxed';
