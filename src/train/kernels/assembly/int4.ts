/**
 * Rule 13 of the engine's integer rules: attention with keys and values of four bits, for quantisation-aware training.
 * Layouts as in integer.ts. codes: [rows, 3 hidden] whole numbers in float32: the query, rotated if the rings are, and
 * the codes of key and value. largest: [rows, 2, heads], the largest component of each head's (rotated) key and value.
 */
import { ABSENT, clamp, power } from './integer';
import { ageAt, listOf, seenBy } from './sight';

const CODE_MAX: f64 = 7;

// @ts-ignore: decorator
@inline
function number(at: usize, index: i32): f64 {
  return <f64>load<f32>(at + (<usize>index << 2));
}

// @ts-ignore: decorator
@inline
function put(at: usize, index: i32, value: f64): void {
  store<f32>(at + (<usize>index << 2), <f32>value);
}

/** A rotation and its inverse grow by the size. */
function unitOf(rotates: i32, size: i32): f64 {
  return 1 / (CODE_MAX * (rotates ? <f64>size : 1));
}

/** From whole numbers in `qkv` to `codes` and `largest`; keys and values in `real` become what their codes stand for. */
export function int4Codes(
  qkv: usize, scales: usize, codes: usize, largest: usize, real: usize, rotates: i32, rows: i32, heads: i32, size: i32,
): void {
  const hidden = heads * size;
  for (let row = 0; row < rows; row++) {
    for (let part = 0; part < 3 * heads; part++) {
      const column = part * size;
      const offset = <usize>(row * 3 * hidden + column) << 2;
      rotate(qkv + offset, codes + offset, rotates, size);
      if (part < heads) continue;
      const top = encode(codes + offset, size);
      put(largest, row * 2 * heads + part - heads, top);
      decode(codes + offset, real + offset, top * number(scales, column) * unitOf(rotates, size), rotates, size);
    }
  }
}

/** A Walsh-Hadamard transform by its definition, or a copy. */
function rotate(from: usize, to: usize, rotates: i32, size: i32): void {
  for (let i = 0; i < size; i++) put(to, i, rotates ? rotated(from, i, size) : number(from, i));
}

function rotated(from: usize, row: i32, size: i32): f64 {
  let sum: f64 = 0;
  for (let j = 0; j < size; j++) sum += popcnt<i32>(row & j) & 1 ? -number(from, j) : number(from, j);
  return sum;
}

/** z (in place) becomes codes; returns the largest size of z. */
function encode(z: usize, size: i32): f64 {
  let top: f64 = 0;
  for (let i = 0; i < size; i++) top = Math.max(top, Math.abs(number(z, i)));
  const scale = CODE_MAX / Math.max(top, 1);
  for (let i = 0; i < size; i++) put(z, i, nearest<f64>(number(z, i) * scale));
  return top;
}

function decode(codes: usize, real: usize, step: f64, rotates: i32, size: i32): void {
  for (let i = 0; i < size; i++) put(real, i, step * (rotates ? rotated(codes, i, size) : number(codes, i)));
}

/** integerAttention on codes. scratch: [most + 2 size] words. */
export function int4Attention(
  codes: usize, largest: usize, probability: usize, context: usize, contextReal: usize, ageBias: usize, sink: usize,
  present: usize, exponentScale: usize, outScale: usize, table: usize, contextScale: f32, rotates: i32,
  sights: usize, most: i32, sequences: i32, length: i32, heads: i32, size: i32, window: i32, scratch: usize,
): void {
  const hidden = heads * size;
  const unit = unitOf(rotates, size);
  for (let row = 0; row < sequences * length; row++) {
    for (let head = 0; head < heads; head++) {
      const list = listOf(sights, head, row, most);
      const seen = seenBy(list, min(window, row % length + 1));
      const query = codes + (<usize>(row * 3 * hidden + head * size) << 2);
      const p = probability + (<usize>((row * heads + head) * most) << 2);
      const tops = largest + (<usize>(row * 2 * heads + head) << 2);
      const bias = ageBias + (<usize>(head * window) << 2);
      const at = <usize>head << 2;
      scores(query, tops, bias, list, present ? present + (<usize>row << 2) : 0, p, unit, seen, heads, size);
      const top = softmax(
        p, tops + (<usize>heads << 2), list, <f64>load<i32>(sink + at), <f64>load<f32>(exponentScale + at), table, scratch,
        seen, most, heads,
      );
      const sums = scratch + (<usize>most << 2);
      mix(query + (<usize>(2 * hidden) << 2), list, scratch, sums, seen, heads, size);
      const scale = <f64>load<f32>(outScale + at) * top * unit;
      const to = <usize>(row * hidden + head * size) << 2;
      finish(sums, context + to, contextReal + to, scale, contextScale, rotates, size);
    }
  }
}

/** t = round((q . code) m unit) + ageBias[age], as int32. */
function scores(
  query: usize, tops: usize, bias: usize, list: usize, present: usize, t: usize, unit: f64, seen: i32, heads: i32, size: i32,
): void {
  const hidden = heads * size;
  for (let i = 0; i < seen; i++) {
    const age = ageAt(list, i);
    if (present && load<f32>(present - (age << 2)) == 0) {
      store<i32>(t + (<usize>i << 2), ABSENT);
      continue;
    }
    const key = query + (<usize>hidden << 2) - age * (<usize>(3 * hidden) << 2);
    let sum: f64 = 0;
    for (let d = 0; d < size; d++) sum += number(query, d) * number(key, d);
    const top = number(tops - age * (<usize>(2 * heads) << 2), 0);
    const score = <i32>nearest<f64>(sum * top * unit) + load<i32>(bias + (age << 2));
    store<i32>(t + (<usize>i << 2), score);
  }
}

/** t (int32, in place) becomes real probabilities; times their values' scales, in Q15, they go to `weights` (int32). */
function softmax(
  t: usize, tops: usize, list: usize, sink: f64, exponentScale: f64, table: usize, weights: usize,
  seen: i32, most: i32, heads: i32,
): f64 {
  let top = sink;
  let largest: f64 = 1;
  for (let i = 0; i < seen; i++) {
    const score = load<i32>(t + (<usize>i << 2));
    if (score == ABSENT) continue;
    top = Math.max(top, <f64>score);
    largest = Math.max(largest, number(tops - ageAt(list, i) * (<usize>(2 * heads) << 2), 0));
  }
  let total = power((top - sink) * exponentScale, table);
  for (let i = 0; i < seen; i++) {
    const score = load<i32>(t + (<usize>i << 2));
    const e = score == ABSENT ? 0 : power((top - <f64>score) * exponentScale, table);
    store<i32>(weights + (<usize>i << 2), e);
    total += e;
  }
  const inverse: f64 = 32767 / (<f64>total * largest);
  for (let i = 0; i < seen; i++) {
    const at = <usize>i << 2;
    const e = <f64>load<i32>(weights + at);
    const scale = number(tops - ageAt(list, i) * (<usize>(2 * heads) << 2), 0);
    store<i32>(weights + at, <i32>nearest<f64>(e * scale * inverse));
    store<f32>(t + at, <f32>(e / <f64>total));
  }
  for (let i = seen; i < most; i++) store<f32>(t + (<usize>i << 2), 0);
  return largest;
}

/** sums: [size] float64, of weights times codes. */
function mix(value: usize, list: usize, weights: usize, sums: usize, seen: i32, heads: i32, size: i32): void {
  const stride = <usize>(3 * heads * size) << 2;
  memory.fill(sums, 0, <usize>size << 3);
  for (let i = 0; i < seen; i++) {
    const weight = <f64>load<i32>(weights + (<usize>i << 2));
    const from = value - ageAt(list, i) * stride;
    for (let d = 0; d < size; d++) {
      const at = sums + (<usize>d << 3);
      store<f64>(at, load<f64>(at) + weight * number(from, d));
    }
  }
}

function finish(
  sums: usize, context: usize, real: usize, scale: f64, contextScale: f32, rotates: i32, size: i32,
): void {
  for (let d = 0; d < size; d++) {
    const c = clamp(64 + nearest<f64>(component(sums, d, rotates, size) * scale), 0, 127);
    put(context, d, c);
    store<f32>(real + (<usize>d << 2), <f32>(c - 64) * contextScale);
  }
}

function component(sums: usize, row: i32, rotates: i32, size: i32): f64 {
  if (!rotates) return load<f64>(sums + (<usize>row << 3));
  let sum: f64 = 0;
  for (let j = 0; j < size; j++) {
    const one = load<f64>(sums + (<usize>j << 3));
    sum += popcnt<i32>(row & j) & 1 ? -one : one;
  }
  return sum;
}
