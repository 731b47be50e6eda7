/** The long-context kernels in plain TypeScript: slow and obvious; WebAssembly must give the same bits. */
import { clamp, round } from '../integer.ts';
import { ACTIVATION_MAX, ACTIVATION_ZERO, PROBABILITY_ONE } from '../limits.ts';
import {
  CODE_MAX,
  type HeadAttention,
  int4Unit,
  type LongContextKernels,
  type LongContextShape,
} from './long-context-contract.ts';
import { weighScores } from './softmax-truth.ts';

export class TruthLongContextKernels implements LongContextKernels {
  readonly #shape: LongContextShape;
  readonly #int8: Int8Array;
  readonly #uint8: Uint8Array;
  readonly #int16: Int16Array;
  readonly #int32: Int32Array;
  readonly #float32: Float32Array;
  readonly #unit: number;

  constructor(memory: WebAssembly.Memory, shape: LongContextShape) {
    this.#shape = shape;
    this.#unit = int4Unit(shape);
    this.#int8 = new Int8Array(memory.buffer);
    this.#uint8 = new Uint8Array(memory.buffer);
    this.#int16 = new Int16Array(memory.buffer);
    this.#int32 = new Int32Array(memory.buffer);
    this.#float32 = new Float32Array(memory.buffer);
  }

  takeQuery(query: number): void {
    const { heads, headStride, scratch } = this.#shape;
    for (let head = 0; head < heads; head++) {
      const first = head * headStride;
      this.#int16.set(this.#rotate(this.#bytes(query + first)), scratch.query / 2 + first);
    }
  }

  packInt4(from: number, to: number): void {
    const { heads, headStride } = this.#shape;
    for (let head = 0; head < heads; head++) {
      const values = this.#rotate(this.#bytes(from + head * headStride));
      const largest = Math.max(...values.map(Math.abs));
      const code = (i: number) => round(values[i]! * (CODE_MAX / Math.max(largest, 1)));
      for (let i = 0; i < headStride; i += 16) {
        for (let j = 0; j < 8; j++) {
          this.#int8[to + (head * headStride + i) / 2 + j] = (code(i + j) & 15) | (code(i + j + 8) << 4);
        }
      }
      this.#int16[(to + (heads * headStride) / 2) / 2 + head] = largest;
    }
  }

  attendHead({ attention, head, keys, values, count, context }: HeadAttention): void {
    const { isInt4, headStride, scratch } = this.#shape;
    const first = head * headStride;
    const query = this.#int16.subarray(scratch.query / 2 + first, scratch.query / 2 + first + headStride);
    const at = Array.from({ length: count }, (_, i) => ({
      offset: this.#int32[scratch.offsets / 4 + i]!,
      age: this.#int32[scratch.ages / 4 + i]!,
    }));
    const scores = at.map(({ offset, age }) => {
      const sum = this.#components(keys + offset, head).reduce((all, k, d) => all + k * query[d]!, 0);
      const score = isInt4 ? round(sum * this.#largest(keys + offset, head) * this.#unit) : sum;
      return score + this.#int32[attention.ageBias / 4 + head * attention.biasStride + age]!;
    });
    const { weights, total } = weighScores(this.#int32.buffer as ArrayBuffer, attention, head, scores);
    const scales = at.map(({ offset }) => (isInt4 ? this.#largest(values + offset, head) : 1));
    const largest = Math.max(1, ...scales);
    const shares = weights.map((weight, i) =>
      round(weight * scales[i]! * (PROBABILITY_ONE / (total * largest))),
    );
    const sums: number[] = Array(headStride).fill(0);
    at.forEach(({ offset }, i) => {
      this.#components(values + offset, head).forEach((value, d) => {
        sums[d]! += shares[i]! * value;
      });
    });
    const contextScale = this.#float32[attention.contextScale / 4 + head]!;
    const scale = isInt4 ? contextScale * largest * this.#unit : contextScale;
    this.#rotate(sums).forEach((sum, d) => {
      this.#uint8[context + first + d] = clamp(ACTIVATION_ZERO + round(sum * scale), 0, ACTIVATION_MAX);
    });
  }

  scoreBlocks(query: number, sums: number, blocks: number, scores: number): void {
    const { heads, headStride } = this.#shape;
    for (let block = 0; block < blocks; block++) {
      const first = sums / 2 + block * heads * headStride;
      let score = 0;
      for (let d = 0; d < headStride; d++) score += this.#int8[query + d]! * this.#int16[first + d]!;
      this.#int32[scores / 4 + block] = score;
    }
  }

  #bytes(at: number): number[] {
    return [...this.#int8.subarray(at, at + this.#shape.headStride)];
  }

  /** One head's keys or values, or their codes, in the slot at `slot`. */
  #components(slot: number, head: number): number[] {
    const { isInt4, headStride } = this.#shape;
    if (!isInt4) return this.#bytes(slot + head * headStride);
    return Array.from({ length: headStride }, (_, d) => {
      const byte = this.#int8[slot + (head * headStride + d - (d % 16)) / 2 + (d % 8)]!;
      return d % 16 < 8 ? (byte << 28) >> 28 : byte >> 4;
    });
  }

  #largest(slot: number, head: number): number {
    return this.#int16[(slot + (this.#shape.heads * this.#shape.headStride) / 2) / 2 + head]!;
  }

  /** A Walsh-Hadamard transform by its definition, if the rings are rotated. */
  #rotate(values: readonly number[]): number[] {
    if (!this.#shape.rotates) return [...values];
    return values.map((_, row) =>
      values.reduce((sum, value, column) => sum + (isOdd(row & column) ? -value : value), 0),
    );
  }
}

/** Whether so many bits are set. */
function isOdd(bits: number): boolean {
  let odd = false;
  for (let rest = bits; rest > 0; rest &= rest - 1) odd = !odd;
  return odd;
}
