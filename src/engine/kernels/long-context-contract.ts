/**
 * What kernels must compute for rings of int4 and heads with patterns, beside those of contract.ts: the plain truth
 * (long-context-truth.ts) and WebAssembly SIMD (long-context-wasm.ts) give the same bits. The formulas: docs/integer-rules.md.
 *
 * Pointers are byte offsets into the engine's memory. A slot is int8[width], or int4[width] and behind it int16[heads]:
 * the largest size of a component in each head.
 */
import type { AttentionLayout } from '../memory-layout.ts';

/** One head's attention: where its numbers lie. */
export interface HeadAttention {
  attention: AttentionLayout;
  head: number;
  /** The ring's first slot. */
  keys: number;
  values: number;
  /** Positions in the lists. */
  count: number;
  /** uint8[width]. */
  context: number;
}

/** Scratch of one attention: a widened query, and lists of `window` entries and one more. */
export interface AttentionScratch {
  /** int16[width]. */
  readonly query: number;
  /** int32: bytes from the ring's first slot to each visible one, and its age. */
  readonly offsets: number;
  readonly ages: number;
  /** int32, int16. */
  readonly scores: number;
  readonly probabilities: number;
  /** int32[headStride]. */
  readonly rotation: number;
}

export interface LongContextKernels {
  /** A query int8[width] -> int16[width] in the scratch, each head rotated if the rings are. */
  takeQuery(query: number): void;

  /** Keys or values int8[width] -> one slot of int4. */
  packInt4(from: number, to: number): void;

  /** One head of the query in the scratch attends to the `count` slots that the lists name -> its part of the context. */
  attendHead(one: HeadAttention): void;

  /** How well each of `blocks` sums of keys int16[width] from `sums` on meets a query's head int8 -> int32[blocks]. */
  scoreBlocks(query: number, sums: number, blocks: number, scores: number): void;
}

/** What does not change from call to call. */
export interface LongContextShape {
  readonly heads: number;
  readonly headStride: number;
  readonly isInt4: boolean;
  readonly rotates: boolean;
  readonly scratch: AttentionScratch;
}

/** The largest code of four bits, as symmetric as int8. */
export const CODE_MAX = 7;

/** What a score or a context of int4 is multiplied with, apart from the scales: a rotation and its inverse grow by the size. */
export function int4Unit({ headStride, rotates }: LongContextShape): number {
  return 1 / (CODE_MAX * (rotates ? headStride : 1));
}
