/**
 * Windowed causal attention with a learned sink and a learned bias by age.
 *
 * qkv: [rows, 3 hidden] (queries, keys, values); probability: [rows, heads, most], in the order of the ages that a row
 * sees, the rest zero; context: [rows, hidden]; ageBias: [heads, window]; sink: [heads]. Rows are `sequences` of
 * `length` tokens; nothing crosses from one to the next. present: [rows], 0 where a token has no key and value here (it
 * went around the layer), or address 0: all have. What is absent gets no probability, and so no gradient either.
 * sights: [heads] addresses of lists of what each row sees, see sight.ts, or address 0: all of the window, `most` ages.
 */
import { addScaled, dot, exponential } from './math';
import { ageAt, listOf, seenBy } from './sight';

export function attention(
  qkv: usize, probability: usize, context: usize, ageBias: usize, sink: usize, present: usize,
  sights: usize, most: i32, sequences: i32, length: i32, heads: i32, size: i32, window: i32,
): void {
  const hidden = heads * size;
  const stride = <usize>(3 * hidden) << 2;
  const scale: f32 = <f32>1 / sqrt<f32>(<f32>size);
  for (let row = 0; row < sequences * length; row++) {
    for (let head = 0; head < heads; head++) {
      const list = listOf(sights, head, row, most);
      const seen = seenBy(list, min(window, row % length + 1));
      const query = qkv + <usize>row * stride + (<usize>(head * size) << 2);
      const p = probability + (<usize>((row * heads + head) * most) << 2);
      const bias = ageBias + (<usize>(head * window) << 2);
      scores(query, query + (<usize>hidden << 2), stride, bias, list, p, seen, size, scale);
      if (present) dropAbsent(p, present + (<usize>row << 2), list, seen);
      softmaxWithSink(p, load<f32>(sink + (<usize>head << 2)), seen, most);
      const out = context + (<usize>(row * hidden + head * size) << 2);
      memory.fill(out, 0, <usize>size << 2);
      for (let i = 0; i < seen; i++) {
        const value = query + (<usize>(2 * hidden) << 2) - ageAt(list, i) * stride;
        addScaled(out, value, load<f32>(p + (<usize>i << 2)), size);
      }
    }
  }
}

function scores(
  query: usize, key: usize, stride: usize, bias: usize, list: usize, p: usize, seen: i32, size: i32, scale: f32,
): void {
  for (let i = 0; i < seen; i++) {
    const age = ageAt(list, i);
    const score = dot(query, key - age * stride, size) * scale + load<f32>(bias + (age << 2));
    store<f32>(p + (<usize>i << 2), score);
  }
}

/** `present`: of the row itself. */
function dropAbsent(p: usize, present: usize, list: usize, seen: i32): void {
  for (let i = 0; i < seen; i++) {
    if (load<f32>(present - (ageAt(list, i) << 2)) == 0) store<f32>(p + (<usize>i << 2), -Infinity);
  }
}

// @ts-ignore: decorator
@inline
function exponentialOf(x: f32): f32 {
  return f32x4.extract_lane(exponential(f32x4.splat(x)), 0);
}

function softmaxWithSink(p: usize, sink: f32, seen: i32, most: i32): void {
  let top = sink;
  for (let i = 0; i < seen; i++) top = max(top, load<f32>(p + (<usize>i << 2)));
  let total = exponentialOf(sink - top);
  for (let i = 0; i < seen; i++) {
    const at = p + (<usize>i << 2);
    const score = load<f32>(at);
    const e: f32 = score == -Infinity ? 0 : exponentialOf(score - top);
    store<f32>(at, e);
    total += e;
  }
  const inverse: f32 = <f32>1 / total;
  for (let i = 0; i < most; i++) {
    const at = p + (<usize>i << 2);
    store<f32>(at, i < seen ? load<f32>(at) * inverse : 0);
  }
}

/** Adds into dQkv (zeroed by the caller), dAgeBias and dSink. */
export function attentionBackward(
  qkv: usize, probability: usize, dContext: usize, dQkv: usize, dAgeBias: usize, dSink: usize,
  sights: usize, most: i32, sequences: i32, length: i32, heads: i32, size: i32, window: i32, scratch: usize,
): void {
  const hidden = heads * size;
  const stride = <usize>(3 * hidden) << 2;
  const scale: f32 = <f32>1 / sqrt<f32>(<f32>size);
  for (let row = 0; row < sequences * length; row++) {
    for (let head = 0; head < heads; head++) {
      const list = listOf(sights, head, row, most);
      const seen = seenBy(list, min(window, row % length + 1));
      const offset = <usize>row * stride + (<usize>(head * size) << 2);
      const p = probability + (<usize>((row * heads + head) * most) << 2);
      const dOut = dContext + (<usize>(row * hidden + head * size) << 2);
      const mean = probabilityGradients(
        qkv + offset, dQkv + offset, list, p, dOut, hidden, stride, seen, size, scratch,
      );
      let rest: f32 = 1;
      for (let i = 0; i < seen; i++) {
        const at = <usize>i << 2;
        const age = ageAt(list, i);
        const weight = load<f32>(p + at);
        rest -= weight;
        const ds = weight * (load<f32>(scratch + at) - mean);
        const bias = dAgeBias + (<usize>(head * window) << 2) + (age << 2);
        store<f32>(bias, load<f32>(bias) + ds);
        const key = offset + (<usize>hidden << 2) - age * stride;
        addScaled(dQkv + offset, qkv + key, ds * scale, size);
        addScaled(dQkv + key, qkv + offset, ds * scale, size);
      }
      const sink = dSink + (<usize>head << 2);
      store<f32>(sink, load<f32>(sink) - rest * mean);
    }
  }
}

/** dV += p dOut; scratch[i] = dOut . v; returns sum of p times that. */
function probabilityGradients(
  qkv: usize, dQkv: usize, list: usize, p: usize, dOut: usize, hidden: i32, stride: usize, seen: i32, size: i32,
  scratch: usize,
): f32 {
  let mean: f32 = 0;
  for (let i = 0; i < seen; i++) {
    const at = <usize>i << 2;
    const value = (<usize>(2 * hidden) << 2) - ageAt(list, i) * stride;
    const weight = load<f32>(p + at);
    const dp = dot(dOut, qkv + value, size);
    store<f32>(scratch + at, dp);
    mean += weight * dp;
    addScaled(dQkv + value, dOut, weight, size);
  }
  return mean;
}
