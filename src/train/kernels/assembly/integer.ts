/**
 * The engine's integer rules (docs/integer-rules.md) on whole numbers held in float32 arrays, for
 * quantisation-aware training. Products of int8 and u7 below 2^24 are exact in float32, so `gemm` gives the engine's
 * accumulators; everything after them is computed in float64, as the rules say. Each kernel writes the whole number
 * (for the next product) and the real value it stands for (for the backward pass).
 */
import { dot } from './math';
import { ageAt, listOf, seenBy } from './sight';

export const ABSENT: i32 = i32.MIN_VALUE;

// @ts-ignore: decorator
@inline
export function clamp(value: f64, low: f64, high: f64): f64 {
  return Math.min(Math.max(value, low), high);
}

/** round((acc + bias) multiplier). */
// @ts-ignore: decorator
@inline
function requantise(acc: f64, bias: usize, multiplier: usize, at: usize): f64 {
  return nearest<f64>((acc + <f64>load<i32>(bias + at)) * <f64>load<f32>(multiplier + at));
}

/** Features (int16) as high * 128 + low with low in 0..127, so that both products are exact; and as reals. */
export function splitFeatures(features: usize, high: usize, low: usize, real: usize, count: i32): void {
  for (let i = 0; i < count; i++) {
    const feature = <i32>load<i16>(features + (<usize>i << 1));
    const at = <usize>i << 2;
    store<f32>(high + at, <f32>(feature >> 7));
    store<f32>(low + at, <f32>(feature & 127));
    store<f32>(real + at, <f32>feature / 1024);
  }
}

/** Rule 1. */
export function integerEmbedding(
  high: usize, low: usize, bias: usize, multiplier: usize, x: usize, real: usize, residualScale: f32,
  rows: i32, columns: i32,
): void {
  for (let i = 0; i < rows * columns; i++) {
    const at = <usize>i << 2;
    const acc = <f64>load<f32>(high + at) * 128 + <f64>load<f32>(low + at);
    const value = clamp(requantise(acc, bias, multiplier, <usize>(i % columns) << 2), -32767, 32767);
    store<f32>(x + at, <f32>value);
    store<f32>(real + at, <f32>value * residualScale);
  }
}

/** Rule 2. inverse: 1 / root mean square, in real units. */
export function integerNorm(
  x: usize, n: usize, real: usize, inverse: usize, gain: f32, residualScale: f32, rows: i32, columns: i32,
): void {
  const step: f32 = <f32>1 / gain;
  for (let row = 0; row < rows; row++) {
    let squares: f64 = 0;
    const from = <usize>(row * columns) << 2;
    const end = from + (<usize>columns << 2);
    for (let at = from; at < end; at += 4) {
      const value = <f64>load<f32>(x + at);
      squares += value * value;
    }
    const meanSquare = Math.floor(squares / <f64>columns);
    const root = Math.max(256, Math.floor(Math.sqrt(65536 * meanSquare)));
    store<f32>(inverse + (<usize>row << 2), <f32>(256 / (root * <f64>residualScale)));
    const scale = <f64>gain * 256 / root;
    for (let at = from; at < end; at += 4) {
      const value = clamp(64 + nearest<f64>(<f64>load<f32>(x + at) * scale), 0, 127);
      store<f32>(n + at, <f32>value);
      store<f32>(real + at, <f32>(value - 64) * step);
    }
  }
}

/** Rule 3; acc becomes the whole numbers. scales: [columns], what one step stands for. */
export function integerQkv(
  acc: usize, bias: usize, multiplier: usize, scales: usize, real: usize, rows: i32, columns: i32,
): void {
  for (let i = 0; i < rows * columns; i++) {
    const at = <usize>i << 2;
    const column = <usize>(i % columns) << 2;
    const value = clamp(requantise(<f64>load<f32>(acc + at), bias, multiplier, column), -127, 127);
    store<f32>(acc + at, <f32>value);
    store<f32>(real + at, <f32>value * load<f32>(scales + column));
  }
}

/** Rule 4. Layouts as in attention.ts; context: whole numbers; contextReal: (context - 64) contextScale. */
export function integerAttention(
  qkv: usize, probability: usize, context: usize, contextReal: usize, ageBias: usize, sink: usize, present: usize,
  exponentScale: usize, outScale: usize, table: usize, contextScale: f32,
  sights: usize, most: i32, sequences: i32, length: i32, heads: i32, size: i32, window: i32, scratch: usize,
): void {
  const hidden = heads * size;
  const stride = <usize>(3 * hidden) << 2;
  for (let row = 0; row < sequences * length; row++) {
    for (let head = 0; head < heads; head++) {
      const list = listOf(sights, head, row, most);
      const seen = seenBy(list, min(window, row % length + 1));
      const query = qkv + <usize>row * stride + (<usize>(head * size) << 2);
      const p = probability + (<usize>((row * heads + head) * most) << 2);
      integerScores(query, hidden, stride, ageBias + (<usize>(head * window) << 2), list, p, seen, size);
      if (present) dropAbsent(p, present + (<usize>row << 2), list, seen);
      integerSoftmax(
        p, <f64>load<i32>(sink + (<usize>head << 2)), <f64>load<f32>(exponentScale + (<usize>head << 2)), table,
        seen, most, scratch,
      );
      const to = <usize>(row * hidden + head * size) << 2;
      mix(
        query + (<usize>(2 * hidden) << 2), stride, list, scratch, <f64>load<f32>(outScale + (<usize>head << 2)),
        context + to, contextReal + to, contextScale, seen, size,
      );
    }
  }
}

/** t = q . k + ageBias[age], as int32. */
function integerScores(
  query: usize, hidden: i32, stride: usize, bias: usize, list: usize, t: usize, seen: i32, size: i32,
): void {
  const key = query + (<usize>hidden << 2);
  for (let i = 0; i < seen; i++) {
    const age = ageAt(list, i);
    store<i32>(t + (<usize>i << 2), <i32>dot(query, key - age * stride, size) + load<i32>(bias + (age << 2)));
  }
}

/** `present`: of the row itself. No real score is as low as `ABSENT`. */
function dropAbsent(t: usize, present: usize, list: usize, seen: i32): void {
  for (let i = 0; i < seen; i++) {
    if (load<f32>(present - (ageAt(list, i) << 2)) == 0) store<i32>(t + (<usize>i << 2), ABSENT);
  }
}

/** t (int32, in place) becomes real probabilities; the Q15 ones go to `weights` (int32). */
function integerSoftmax(
  t: usize, sink: f64, exponentScale: f64, table: usize, seen: i32, most: i32, weights: usize,
): void {
  let top = sink;
  for (let i = 0; i < seen; i++) top = Math.max(top, <f64>load<i32>(t + (<usize>i << 2)));
  let total = power((top - sink) * exponentScale, table);
  for (let i = 0; i < seen; i++) {
    const score = load<i32>(t + (<usize>i << 2));
    const e = score == ABSENT ? 0 : power((top - <f64>score) * exponentScale, table);
    store<i32>(weights + (<usize>i << 2), e);
    total += e;
  }
  const inverse: f64 = 32767 / <f64>total;
  for (let i = 0; i < most; i++) {
    const at = <usize>i << 2;
    const p: i32 = i < seen ? <i32>nearest<f64>(<f64>load<i32>(weights + at) * inverse) : 0;
    if (i < seen) store<i32>(weights + at, p);
    store<f32>(t + at, <f32>p / 32767);
  }
}

/** 2^(-u / 256) in Q16. */
// @ts-ignore: decorator
@inline
export function power(distance: f64, table: usize): i32 {
  const u = <i32>Math.min(nearest<f64>(distance), 4095);
  return load<i32>(table + (<usize>(u & 255) << 2)) >> (u >> 8);
}

function mix(
  value: usize, stride: usize, list: usize, weights: usize, outScale: f64, context: usize, real: usize,
  contextScale: f32, seen: i32, size: i32,
): void {
  for (let at: usize = 0; at < <usize>size << 2; at += 4) {
    let sum: f64 = 0;
    for (let i = 0; i < seen; i++) {
      sum += <f64>load<i32>(weights + (<usize>i << 2)) * <f64>load<f32>(value + at - ageAt(list, i) * stride);
    }
    const c = clamp(64 + nearest<f64>(sum * outScale), 0, 127);
    store<f32>(context + at, <f32>c);
    store<f32>(real + at, <f32>(c - 64) * contextScale);
  }
}

/** Rules 5 and 6, last step: x + round(acc M), or x where the sequence dropped the layer. `rows` per sequence. */
export function integerResidual(
  x: usize, acc: usize, bias: usize, multiplier: usize, keep: usize, out: usize, real: usize, residualScale: f32,
  sequences: i32, rows: i32, columns: i32,
): void {
  for (let i = 0; i < sequences * rows * columns; i++) {
    const at = <usize>i << 2;
    let value = <f64>load<f32>(x + at);
    if (load<f32>(keep + (<usize>(i / (rows * columns)) << 2)) != 0) {
      value += requantise(<f64>load<f32>(acc + at), bias, multiplier, <usize>(i % columns) << 2);
    }
    value = clamp(value, -32767, 32767);
    store<f32>(out + at, <f32>value);
    store<f32>(real + at, <f32>value * residualScale);
  }
}

/** Rule 6, middle: acc becomes g (whole); index u stands for center + u scale, g for (g - zero) outScale. */
export function integerGelu(
  acc: usize, bias: usize, multiplier: usize, table: usize, uReal: usize, gReal: usize, center: f32, scale: f32,
  zero: f32, outScale: f32, rows: i32, columns: i32,
): void {
  for (let i = 0; i < rows * columns; i++) {
    const at = <usize>i << 2;
    const u = clamp(requantise(<f64>load<f32>(acc + at), bias, multiplier, <usize>(i % columns) << 2), -128, 127);
    const g = <f32>load<u8>(table + <usize>(<i32>u + 128));
    store<f32>(acc + at, g);
    store<f32>(uReal + at, center + <f32>u * scale);
    store<f32>(gReal + at, (g - zero) * outScale);
  }
}

/** Rule 7: logits (int32, Q16) and their real values. */
export function integerLogits(
  acc: usize, bias: usize, multiplier: usize, high: usize, low: usize, linearMultiplier: usize,
  logits: usize, real: usize, rows: i32, columns: i32,
): void {
  for (let i = 0; i < rows * columns; i++) {
    const at = <usize>i << 2;
    const column = <usize>(i % columns) << 2;
    const linear = <f64>load<f32>(high + at) * 128 + <f64>load<f32>(low + at);
    const value = requantise(<f64>load<f32>(acc + at), bias, multiplier, column)
      + nearest<f64>(linear * <f64>load<f32>(linearMultiplier + column));
    store<i32>(logits + at, <i32>value);
    store<f32>(real + at, <f32>(value / 65536));
  }
}
