/**
 * The plain truth: every kernel as docs/integer-rules.md writes it, one number at a time.
 *
 * Slow and obvious; the other kernels must give the same bits.
 */
import { clamp, round } from '../integer.ts';
import { ACTIVATION_MAX, ACTIVATION_ZERO, PROBABILITY_ONE, RESIDUAL_MAX, WEIGHT_MAX } from '../limits.ts';
import type { AttentionLayout, Matrix } from '../memory-layout.ts';
import { padded } from '../memory-plan.ts';
import type { Kernels } from './contract.ts';
import { weighScores } from './softmax-truth.ts';

type Numbers = { readonly [index: number]: number };

export class TruthKernels implements Kernels {
  readonly name = 'truth';
  readonly #int8: Int8Array;
  readonly #uint8: Uint8Array;
  readonly #int16: Int16Array;
  readonly #int32: Int32Array;
  readonly #float32: Float32Array;
  readonly #float64: Float64Array;

  constructor(memory: WebAssembly.Memory) {
    this.#int8 = new Int8Array(memory.buffer);
    this.#uint8 = new Uint8Array(memory.buffer);
    this.#int16 = new Int16Array(memory.buffer);
    this.#int32 = new Int32Array(memory.buffer);
    this.#float32 = new Float32Array(memory.buffer);
    this.#float64 = new Float64Array(memory.buffer);
  }

  pack(matrix: Matrix, weight: Int8Array): void {
    this.#int8.set(weight, matrix.weight);
  }

  embed(features: number, matrix: Matrix, residual: number, rows: number): void {
    for (let row = 0; row < rows; row++) {
      for (let c = 0; c < matrix.outputs; c++) {
        const value = this.#linear(matrix, this.#int16, features / 2 + row * matrix.inputs, c);
        this.#int16[residual / 2 + row * matrix.outputs + c] = clamp(value, -RESIDUAL_MAX, RESIDUAL_MAX);
      }
    }
  }

  normalise(residual: number, gain: number, hidden: number, activations: number, rows: number): void {
    const stride = padded(hidden);
    for (let row = 0; row < rows; row++) {
      const x = residual / 2 + row * stride;
      const scale = (gain * 256) / this.#root(x, hidden);
      for (let c = 0; c < stride; c++) {
        const normed = ACTIVATION_ZERO + round(this.#int16[x + c]! * scale);
        this.#uint8[activations + row * stride + c] = clamp(normed, 0, ACTIVATION_MAX);
      }
    }
  }

  normaliseChannels(
    residual: number,
    gains: number,
    hidden: number,
    activations: number,
    rows: number,
  ): void {
    const stride = padded(hidden);
    for (let row = 0; row < rows; row++) {
      const x = residual / 2 + row * stride;
      const unit = 256 / this.#root(x, hidden);
      for (let c = 0; c < stride; c++) {
        const normed = ACTIVATION_ZERO + round(this.#int16[x + c]! * this.#float32[gains / 4 + c]! * unit);
        this.#uint8[activations + row * stride + c] = clamp(normed, 0, ACTIVATION_MAX);
      }
    }
  }

  /** The root mean square in Q8 of the row at `x`, an int16 index; at least 256. */
  #root(x: number, hidden: number): number {
    let sum = 0;
    for (let c = 0; c < hidden; c++) sum += this.#int16[x + c]! ** 2;
    const meanSquare = Math.floor(sum / hidden);
    return Math.max(256, Math.floor(Math.sqrt(65536 * meanSquare)));
  }

  project(activations: number, matrix: Matrix, projected: number, stride: number, rows: number): void {
    for (let row = 0; row < rows; row++) {
      for (let c = 0; c < matrix.outputs; c++) {
        const value = this.#linear(matrix, this.#uint8, activations + row * matrix.inputs, c);
        this.#int8[projected + row * stride + c] = clamp(value, -WEIGHT_MAX, WEIGHT_MAX);
      }
    }
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
    const { width } = attention;
    this.#int8.copyWithin(keys + self * width, queryKeyValue + width, queryKeyValue + 2 * width);
    this.#int8.copyWithin(values + self * width, queryKeyValue + 2 * width, queryKeyValue + 3 * width);
    this.#float64[positions / 8 + self] = position;

    const visible = [{ slot: self, age: 0 }];
    for (let i = 0; i < filled; i++) {
      const slot = (newest - i + attention.slots) % attention.slots;
      const age = position - this.#float64[positions / 8 + slot]!;
      if (age >= window) break;
      visible.push({ slot, age });
    }
    if (attention.spikeThreshold !== 0) {
      this.#countSpikes(attention, queryKeyValue, keys, values, visible, context);
      return visible.length;
    }
    for (let head = 0; head < attention.heads; head++) {
      this.#attendHead(attention, head, queryKeyValue, keys, values, visible, context);
    }
    return visible.length;
  }

  #countSpikes(
    { width, spikeThreshold }: AttentionLayout,
    query: number,
    keys: number,
    values: number,
    visible: readonly { slot: number }[],
    context: number,
  ): void {
    for (let d = 0; d < width; d++) {
      const count = visible.filter(
        ({ slot }) => this.#int8[keys + slot * width + d]! > 0 && this.#int8[values + slot * width + d]! > 0,
      ).length;
      const fires = this.#int8[query + d]! > 0 && count >= this.#int32[spikeThreshold / 4 + d]!;
      this.#uint8[context + d] = fires ? ACTIVATION_MAX : ACTIVATION_ZERO;
    }
  }

  #attendHead(
    attention: AttentionLayout,
    head: number,
    query: number,
    keys: number,
    values: number,
    visible: readonly { slot: number; age: number }[],
    context: number,
  ): void {
    const { headStride, width, biasStride } = attention;
    const first = head * headStride;
    const scores = visible.map(({ slot, age }) => {
      let score = this.#int32[attention.ageBias / 4 + head * biasStride + age]!;
      for (let d = 0; d < headStride; d++) {
        score += this.#int8[query + first + d]! * this.#int8[keys + slot * width + first + d]!;
      }
      return score;
    });
    const { weights, total } = weighScores(this.#int32.buffer as ArrayBuffer, attention, head, scores);
    const probabilities = weights.map((weight) => round(weight * (PROBABILITY_ONE / total)));
    const contextScale = this.#float32[attention.contextScale / 4 + head]!;
    for (let d = 0; d < headStride; d++) {
      let sum = 0;
      visible.forEach(({ slot }, i) => {
        sum += probabilities[i]! * this.#int8[values + slot * width + first + d]!;
      });
      this.#uint8[context + first + d] = clamp(
        ACTIVATION_ZERO + round(sum * contextScale),
        0,
        ACTIVATION_MAX,
      );
    }
  }

  addProjection(activations: number, matrix: Matrix, residual: number, rows: number): void {
    for (let row = 0; row < rows; row++) {
      for (let c = 0; c < matrix.outputs; c++) {
        const value = this.#linear(matrix, this.#uint8, activations + row * matrix.inputs, c);
        const at = residual / 2 + row * matrix.outputs + c;
        this.#int16[at] = clamp(this.#int16[at]! + value, -RESIDUAL_MAX, RESIDUAL_MAX);
      }
    }
  }

  activate(activations: number, matrix: Matrix, gelu: number, activated: number, rows: number): void {
    for (let row = 0; row < rows; row++) {
      for (let c = 0; c < matrix.outputs; c++) {
        const value = this.#linear(matrix, this.#uint8, activations + row * matrix.inputs, c);
        this.#uint8[activated + row * matrix.outputs + c] =
          this.#uint8[gelu + clamp(value, -128, 127) + 128]!;
      }
    }
  }

  score(activations: number, matrix: Matrix, scores: number, rows: number): void {
    for (let row = 0; row < rows; row++) {
      for (let c = 0; c < matrix.outputs; c++) {
        const value = this.#linear(matrix, this.#uint8, activations + row * matrix.inputs, c);
        this.#int32[scores / 4 + row * matrix.outputs + c] = value;
      }
    }
  }

  blend(residual: number, before: number, gateQ15: number, count: number): void {
    for (let i = 0; i < count; i++) {
      const from = this.#int16[before / 2 + i]!;
      const change = this.#int16[residual / 2 + i]! - from;
      this.#int16[residual / 2 + i] = from + Math.floor((change * gateQ15 + 16384) / 32768);
    }
  }

  addFeatures(features: number, matrix: Matrix, sums: number, rows: number): void {
    for (let row = 0; row < rows; row++) {
      for (let c = 0; c < matrix.outputs; c++) {
        const value = this.#linear(matrix, this.#int16, features / 2 + row * matrix.inputs, c);
        this.#int32[sums / 4 + row * matrix.outputs + c]! += value;
      }
    }
  }

  /** round((bias + W input) multiplier) of output c; `at` is an index into `input`. */
  #linear(matrix: Matrix, input: Numbers, at: number, c: number): number {
    let accumulator = this.#int32[matrix.bias / 4 + c]!;
    const weight = matrix.weight + c * matrix.inputs;
    for (let j = 0; j < matrix.inputs; j++) accumulator += this.#int8[weight + j]! * input[at + j]!;
    return round(accumulator * this.#float32[matrix.multiplier / 4 + c]!);
  }
}
