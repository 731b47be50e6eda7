/**
 * Attention of single heads over lists of slots, and keys and values of four bits.
 *
 * AssemblyScript with only load, store and v128 built-ins, for both builds: nothing here is relaxed.
 * The contract: ../long-context-contract.ts. The formulas: docs/integer-rules.md.
 */
import { contextOf, dotFourKeys, dotKey, exponential } from './attention';
import { meet, roundToInt } from './requantise';

/** int8[count] -> int16[count]; count is a multiple of 16. */
export function widen(from: usize, to: usize, count: usize): void {
  for (let i: usize = 0; i < count; i += 16) {
    const bytes = v128.load(from + i);
    v128.store(to + 2 * i, i16x8.extend_low_i8x16_s(bytes));
    v128.store(to + 2 * i, i16x8.extend_high_i8x16_s(bytes), 16);
  }
}

/** int8[size] -> int32[size]. */
// @ts-ignore: decorator
@inline
function widenTwice(from: usize, to: usize, size: usize): void {
  for (let i: usize = 0; i < size; i += 4) {
    v128.store(to + 4 * i, i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(from + i))));
  }
}

/** The fast Walsh-Hadamard transform of int32[size], in place; size is a power of two, at least 16. */
function transform(x: usize, size: usize): void {
  const one = i32x4(1, -1, 1, -1);
  const two = i32x4(1, 1, -1, -1);
  for (let i: usize = 0; i < size; i += 4) {
    let v = v128.load(x + 4 * i);
    v = i32x4.add(v128.shuffle<i32>(v, v, 1, 0, 3, 2), i32x4.mul(v, one));
    v = i32x4.add(v128.shuffle<i32>(v, v, 2, 3, 0, 1), i32x4.mul(v, two));
    v128.store(x + 4 * i, v);
  }
  for (let half: usize = 16; half < 4 * size; half *= 2) {
    for (let start: usize = 0; start < 4 * size; start += 2 * half) {
      for (let at = x + start; at < x + start + half; at += 16) {
        const a = v128.load(at);
        const b = v128.load(at + half);
        v128.store(at, i32x4.add(a, b));
        v128.store(at + half, i32x4.sub(a, b));
      }
    }
  }
}

/** A query int8[heads x size] -> int16, each head rotated. `rotation`: int32[size]. */
export function rotateQuery(from: usize, to: usize, heads: usize, size: usize, rotation: usize): void {
  for (let head: usize = 0; head < heads; head++) {
    widenTwice(from + head * size, rotation, size);
    transform(rotation, size);
    for (let i: usize = 0; i < size; i += 8) {
      const low = v128.load(rotation + 4 * i);
      v128.store(to + 2 * (head * size + i), i16x8.narrow_i32x4_s(low, v128.load(rotation + 4 * i, 16)));
    }
  }
}

/** round(x scale) of four int32, for scales that are powers of two or not. */
// @ts-ignore: decorator
@inline
function codesOf(at: usize, scale: v128): v128 {
  const x = v128.load(at);
  const low = f64x2.nearest(f64x2.mul(f64x2.convert_low_i32x4_s(x), scale));
  const high = f64x2.nearest(f64x2.mul(f64x2.convert_low_i32x4_s(v128.shuffle<i32>(x, x, 2, 3, 2, 3)), scale));
  return v128.shuffle<i32>(i32x4.trunc_sat_f64x2_s_zero(low), i32x4.trunc_sat_f64x2_s_zero(high), 0, 1, 4, 5);
}

/**
 * Keys or values int8[heads x size] -> int4[heads x size] and int16[heads] behind them: the largest size in each head.
 * Byte i of eight holds component i of sixteen below and component i + 8 above.
 */
export function packInt4(from: usize, to: usize, heads: usize, size: usize, rotates: bool, rotation: usize): void {
  const largests = to + heads * (size >> 1);
  for (let head: usize = 0; head < heads; head++) {
    widenTwice(from + head * size, rotation, size);
    if (rotates) transform(rotation, size);
    let largest = i32x4.splat(0);
    for (let i: usize = 0; i < size; i += 4) largest = i32x4.max_s(largest, i32x4.abs(v128.load(rotation + 4 * i)));
    largest = i32x4.max_s(largest, v128.shuffle<i32>(largest, largest, 2, 3, 0, 1));
    const most = max<i32>(i32x4.extract_lane(largest, 0), i32x4.extract_lane(largest, 1));
    store<i16>(largests + 2 * head, <i16>most);
    const scale = f64x2.splat(7.0 / <f64>max<i32>(most, 1));
    for (let i: usize = 0; i < size; i += 16) {
      const at = rotation + 4 * i;
      const low = i16x8.narrow_i32x4_s(codesOf(at, scale), codesOf(at + 16, scale));
      const high = i16x8.narrow_i32x4_s(codesOf(at + 32, scale), codesOf(at + 48, scale));
      const both = v128.or(v128.and(low, i16x8.splat(15)), i16x8.shl(v128.and(high, i16x8.splat(15)), 4));
      v128.store64_lane(to + ((head * size + i) >> 1), i8x16.narrow_i16x8_u(both, both), 0);
    }
  }
}

/** The lower and the upper codes of eight bytes as int16. */
// @ts-ignore: decorator
@inline
function lowerCodes(bytes: v128): v128 {
  return i16x8.shr_s(i16x8.shl(bytes, 12), 12);
}

// @ts-ignore: decorator
@inline
function upperCodes(bytes: v128): v128 {
  return i16x8.shr_s(bytes, 4);
}

/** q . k of one head: query int16[size], key int4[size]. */
// @ts-ignore: decorator
@inline
function sumsInt4(query: usize, key: usize, size: usize): v128 {
  let sum = i32x4.splat(0);
  for (let d: usize = 0; d < size; d += 16) {
    const bytes = v128.load_ext<i8>(key + (d >> 1));
    sum = meet(sum, lowerCodes(bytes), v128.load(query + 2 * d));
    sum = meet(sum, upperCodes(bytes), v128.load(query + 2 * d, 16));
  }
  return sum;
}

/** round(acc scale unit); `key`: the scale. */
// @ts-ignore: decorator
@inline
function scoreOf(sum: i32, key: usize, unit: f64): i32 {
  return <i32>nearest<f64>(<f64>sum * <f64>load<i16>(key) * unit);
}

/** Scores of keys int4. `largests`: the key's scale of this head, in the ring's first slot. */
function scoreInt4(
  query: usize, keys: usize, largests: usize, offsets: usize, count: usize, size: usize, unit: f64, scores: usize,
): void {
  let i: usize = 0;
  for (; i + 4 <= count; i += 4) {
    const o0 = <usize>load<u32>(offsets + 4 * i), o1 = <usize>load<u32>(offsets + 4 * i, 4);
    const o2 = <usize>load<u32>(offsets + 4 * i, 8), o3 = <usize>load<u32>(offsets + 4 * i, 12);
    const a = sumsInt4(query, keys + o0, size), b = sumsInt4(query, keys + o1, size);
    const c = sumsInt4(query, keys + o2, size), d = sumsInt4(query, keys + o3, size);
    const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
    const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7));
    const sums = i32x4.add(v128.shuffle<i32>(ab, cd, 0, 1, 4, 5), v128.shuffle<i32>(ab, cd, 2, 3, 6, 7));
    store<i32>(scores + 4 * i, scoreOf(i32x4.extract_lane(sums, 0), largests + o0, unit));
    store<i32>(scores + 4 * i, scoreOf(i32x4.extract_lane(sums, 1), largests + o1, unit), 4);
    store<i32>(scores + 4 * i, scoreOf(i32x4.extract_lane(sums, 2), largests + o2, unit), 8);
    store<i32>(scores + 4 * i, scoreOf(i32x4.extract_lane(sums, 3), largests + o3, unit), 12);
  }
  for (; i < count; i++) {
    const offset = <usize>load<u32>(offsets + 4 * i);
    const a = sumsInt4(query, keys + offset, size);
    const sum = i32x4.extract_lane(a, 0) + i32x4.extract_lane(a, 1) + i32x4.extract_lane(a, 2) + i32x4.extract_lane(a, 3);
    store<i32>(scores + 4 * i, scoreOf(sum, largests + offset, unit));
  }
}

function scoreInt8(query: usize, keys: usize, offsets: usize, count: usize, size: usize, scores: usize): void {
  let i: usize = 0;
  for (; i + 4 <= count; i += 4) v128.store(scores + 4 * i, dotFourKeys(query, keys, offsets + 4 * i, size));
  for (; i < count; i++) {
    store<i32>(scores + 4 * i, dotKey(query, keys + <usize>load<u32>(offsets + 4 * i), size));
  }
}

/**
 * Scores -> exponentials, in place; gives their sum with the sink's. The softmax before it is divided.
 */
// @ts-ignore: decorator
@inline
function exponentials(
  scores: usize, ages: usize, count: usize, bias: usize, sinkAt: usize, scaleAt: usize, table: usize,
): i32 {
  const sink = load<i32>(sinkAt);
  const scale = <f64>load<f32>(scaleAt);
  let top = sink;
  for (let i: usize = 0; i < count; i++) {
    const score = load<i32>(scores + 4 * i) + load<i32>(bias + 4 * <usize>load<i32>(ages + 4 * i));
    store<i32>(scores + 4 * i, score);
    top = max<i32>(top, score);
  }
  let total = exponential(top - sink, scale, table);
  for (let i: usize = 0; i < count; i++) {
    const weight = exponential(top - load<i32>(scores + 4 * i), scale, table);
    store<i32>(scores + 4 * i, weight);
    total += weight;
  }
  return total;
}

/** int32[16] += sum of weight x code over all slots; two slots at a time. `weights` zero after an odd last one. */
// @ts-ignore: decorator
@inline
function weighCodes(values: usize, offsets: usize, weights: usize, count: usize, to: usize): void {
  let a = i32x4.splat(0), b = a, c = a, d = a;
  for (let i: usize = 0; i < count; i += 2) {
    const other = i + 1 < count ? i + 1 : i;
    const v0 = v128.load_ext<i8>(values + <usize>load<u32>(offsets + 4 * i));
    const v1 = v128.load_ext<i8>(values + <usize>load<u32>(offsets + 4 * other));
    const p = v128.load32_splat(weights + 2 * i);
    const l0 = lowerCodes(v0), l1 = lowerCodes(v1), u0 = upperCodes(v0), u1 = upperCodes(v1);
    a = meet(a, v128.shuffle<i16>(l0, l1, 0, 8, 1, 9, 2, 10, 3, 11), p);
    b = meet(b, v128.shuffle<i16>(l0, l1, 4, 12, 5, 13, 6, 14, 7, 15), p);
    c = meet(c, v128.shuffle<i16>(u0, u1, 0, 8, 1, 9, 2, 10, 3, 11), p);
    d = meet(d, v128.shuffle<i16>(u0, u1, 4, 12, 5, 13, 6, 14, 7, 15), p);
  }
  v128.store(to, a);
  v128.store(to, b, 16);
  v128.store(to, c, 32);
  v128.store(to, d, 48);
}

/**
 * One head over `count` listed slots; all pointers are those of the head. `keyScales`, `valueScales`: of int4, in the
 * ring's first slot.
 */
export function attend(
  isInt4: bool, rotates: bool, query: usize, keys: usize, values: usize, keyScales: usize, valueScales: usize,
  offsets: usize, ages: usize, scores: usize, weights: usize, rotation: usize,
  count: usize, size: usize, bias: usize, sink: usize, exponentScale: usize, contextScale: usize, table: usize, context: usize,
): void {
  if (isInt4) {
    attendInt4(
      query, keys, values, keyScales, valueScales, offsets, ages, scores, weights,
      count, size, bias, sink, exponentScale, contextScale, table, context, rotates, rotation,
    );
  } else {
    attendInt8(
      query, keys, values, offsets, ages, scores, weights,
      count, size, bias, sink, exponentScale, contextScale, table, context,
    );
  }
}

function attendInt8(
  query: usize, keys: usize, values: usize, offsets: usize, ages: usize, scores: usize, probabilities: usize,
  count: usize, size: usize, bias: usize, sink: usize, exponentScale: usize, contextScale: usize, table: usize, context: usize,
): void {
  scoreInt8(query, keys, offsets, count, size, scores);
  const share = 32767.0 / <f64>exponentials(scores, ages, count, bias, sink, exponentScale, table);
  for (let i: usize = 0; i < count; i++) {
    store<i16>(probabilities + 2 * i, <i16>roundToInt(<f64>load<i32>(scores + 4 * i) * share));
  }
  store<i16>(probabilities + 2 * count, 0);
  const scale = f64x2.splat(<f64>load<f32>(contextScale));
  for (let d: usize = 0; d < size; d += 16) contextOf(values + d, offsets, probabilities, count, scale, context + d);
}

function attendInt4(
  query: usize, keys: usize, values: usize, keyScales: usize, valueScales: usize,
  offsets: usize, ages: usize, scores: usize, weights: usize,
  count: usize, size: usize, bias: usize, sink: usize, exponentScale: usize, contextScale: usize, table: usize, context: usize,
  rotates: bool, rotation: usize,
): void {
  const unit = 1.0 / <f64>(7 * (rotates ? size : 1));
  scoreInt4(query, keys, keyScales, offsets, count, size, unit, scores);
  const total = exponentials(scores, ages, count, bias, sink, exponentScale, table);
  let largest = 1;
  for (let i: usize = 0; i < count; i++) largest = max<i32>(largest, <i32>load<i16>(valueScales + <usize>load<u32>(offsets + 4 * i)));
  const share = 32767.0 / (<f64>total * <f64>largest);
  for (let i: usize = 0; i < count; i++) {
    const scale = <f64>load<i16>(valueScales + <usize>load<u32>(offsets + 4 * i));
    store<i16>(weights + 2 * i, <i16>roundToInt(<f64>load<i32>(scores + 4 * i) * scale * share));
  }
  store<i16>(weights + 2 * count, 0);
  for (let d: usize = 0; d < size; d += 16) weighCodes(values + (d >> 1), offsets, weights, count, rotation + 4 * d);
  if (rotates) transform(rotation, size);
  const scale = <f64>load<f32>(contextScale) * <f64>largest * unit;
  for (let d: usize = 0; d < size; d++) {
    const value = 64.0 + nearest<f64>(<f64>load<i32>(rotation + 4 * d) * scale);
    store<u8>(context + d, <u8>max<f64>(0.0, min<f64>(127.0, value)));
  }
}

/** Of each of `blocks` sums int16[width] of keys, how well a head's part meets a query int8[size] -> int32[blocks]. */
export function scoreBlocks(query: usize, sums: usize, width: usize, size: usize, blocks: usize, scores: usize): void {
  for (let block: usize = 0; block < blocks; block++) {
    let sum = i32x4.splat(0);
    for (let d: usize = 0; d < size; d += 8) {
      sum = meet(sum, v128.load_ext<i8>(query + d), v128.load(sums + 2 * d));
    }
    store<i32>(scores + 4 * block, i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1) + i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3));
    sums += 2 * width;
  }
}
