/** How far a model's attention is from that of the same weights with dense int8: what it gives, and what that changes. */
import { Engine } from '../engine/engine.ts';
import { ACTIVATION_ZERO, LOGIT_ONE } from '../engine/limits.ts';
import type { Model } from '../engine/model.ts';
import { append, type Token } from './attention-samples.ts';

export interface ContextError {
  /** Cosine between what attention gives and what dense int8 gives, all heads of the last layer, mean over tokens. */
  readonly cosine: number;
  /** Root mean square of the difference over that of dense int8. */
  readonly relativeError: number;
  /** Root mean square difference of the logits. */
  readonly logitError: number;
  /** Means per token. */
  readonly macs: number;
  readonly kvReadBytes: number;
  readonly kvWriteBytes: number;
  /** Of keys, values and what belongs to them, for one stream. */
  readonly ringBytes: number;
}

/** Over the tokens that have a window's past. `dense`: see `denseOf`. Throws RangeError if there are none. */
export function contextError(
  dense: Model,
  model: Model,
  streams: readonly (readonly Token[])[],
): ContextError {
  const sums = { tokens: 0, cosine: 0, difference: 0, size: 0, logits: 0, macs: 0, read: 0, written: 0 };
  for (const tokens of streams) {
    const [reference, engine] = [new Engine(dense), new Engine(model)];
    const [expected, got] = [contextOf(reference), contextOf(engine)];
    for (const [at, token] of tokens.entries()) {
      append(reference, token);
      append(engine, token);
      if (at < dense.config.window) continue;
      sums.tokens++;
      addContexts(sums, expected, got);
      for (const [i, logit] of reference.logits.entries()) {
        sums.logits += ((logit - engine.logits[i]!) / LOGIT_ONE) ** 2 / reference.logits.length;
      }
      sums.macs += engine.stats.macs;
      sums.read += engine.stats.kvReadBytes;
      sums.written += engine.stats.kvWriteBytes;
    }
  }
  if (sums.tokens === 0) throw new RangeError('tokens: expected more than a window of one stream');
  return {
    cosine: sums.cosine / sums.tokens,
    relativeError: Math.sqrt(sums.difference / sums.size),
    logitError: Math.sqrt(sums.logits / sums.tokens),
    macs: sums.macs / sums.tokens,
    kvReadBytes: sums.read / sums.tokens,
    kvWriteBytes: sums.written / sums.tokens,
    ringBytes: ringBytes(new Engine(model)),
  };
}

/** Of keys, values and what belongs to them, for all streams. */
export function ringBytes({ memoryPlan }: Engine): number {
  return memoryPlan.regions.reduce((sum, { owner, bytes }) => sum + (owner === 'kv' ? bytes : 0), 0);
}

/** What the attention of the last layer that ran gives the row of a step. */
function contextOf({ memory, memoryPlan: { layout } }: Engine): Uint8Array {
  return new Uint8Array(memory.buffer, layout.context, layout.contextBytes);
}

function addContexts(
  sums: { cosine: number; difference: number; size: number },
  expected: Uint8Array,
  got: Uint8Array,
): void {
  let [product, left, right] = [0, 0, 0];
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [expected[i]! - ACTIVATION_ZERO, got[i]! - ACTIVATION_ZERO];
    product += a * b;
    left += a * a;
    right += b * b;
    sums.difference += (a - b) ** 2;
  }
  sums.size += left;
  sums.cosine += left * right === 0 ? Number(left === right) : product / Math.sqrt(left * right);
}
