/** The softmax of the plain truth, before it is divided. */
import { round } from '../integer.ts';
import { EXPONENT_MAX, TABLE_SIZE } from '../limits.ts';
import type { AttentionLayout } from '../memory-layout.ts';

/** What each score weighs, Q16, and all of them with the sink of that head, which has no value. */
export function weighScores(
  memory: ArrayBuffer,
  attention: AttentionLayout,
  head: number,
  scores: readonly number[],
): { weights: number[]; total: number } {
  const sink = new Int32Array(memory, attention.sink, attention.heads)[head]!;
  const scale = new Float32Array(memory, attention.exponentScale, attention.heads)[head]!;
  const table = new Int32Array(memory, attention.exponentTable, TABLE_SIZE);
  const top = Math.max(sink, ...scores);
  const exponential = (score: number) => {
    const steps = Math.min(round((top - score) * scale), EXPONENT_MAX);
    return table[steps & 255]! >> (steps >> 8);
  };
  const weights = scores.map(exponential);
  return { weights, total: weights.reduce((sum, weight) => sum + weight, exponential(sink)) };
}
