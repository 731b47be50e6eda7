/**
 * Attention to a window of int8 keys and values, by softmax or by counting spikes.
 *
 * AssemblyScript with only load, store and v128 built-ins: no objects, no allocation, no data segment.
 * The contract: ../contract.ts. The formulas: docs/integer-rules.md.
 */
import { meet, roundToInt, scaleFour, toActivations } from './requantise';
/** Adds the products of 16 components: query int16, key int8. */
// @ts-ignore: decorator
@inline
export function meetKey(sum: v128, query: usize, key: usize): v128 {
  sum = meet(sum, v128.load_ext<i8>(key), v128.load(query));
  return meet(sum, v128.load_ext<i8>(key, 8), v128.load(query, 16));
}

/** q . k of one head: query int16[size], key int8[size]; size is a multiple of 16. */
// @ts-ignore: decorator
@inline
export function dotKey(query: usize, key: usize, size: usize): i32 {
  let sum = i32x4.splat(0);
  for (let d: usize = 0; d < size; d += 16) sum = meetKey(sum, query + 2 * d, key + d);
  return i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1) + i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3);
}

/** q . k of one head and four slots, whose `offsets` are int32[4], at once: each part of the query is loaded once. */
// @ts-ignore: decorator
@inline
export function dotFourKeys(query: usize, keys: usize, offsets: usize, size: usize): v128 {
  const k0 = keys + <usize>load<u32>(offsets), k1 = keys + <usize>load<u32>(offsets, 4);
  const k2 = keys + <usize>load<u32>(offsets, 8), k3 = keys + <usize>load<u32>(offsets, 12);
  let a = i32x4.splat(0), b = a, c = a, d = a;
  for (let i: usize = 0; i < size; i += 16) {
    a = meetKey(a, query + 2 * i, k0 + i);
    b = meetKey(b, query + 2 * i, k1 + i);
    c = meetKey(c, query + 2 * i, k2 + i);
    d = meetKey(d, query + 2 * i, k3 + i);
  }
  const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
  const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7));
  return i32x4.add(v128.shuffle<i32>(ab, cd, 0, 1, 4, 5), v128.shuffle<i32>(ab, cd, 2, 3, 6, 7));
}

/** 2^-(drop scale / 256) in Q16. */
// @ts-ignore: decorator
@inline
export function exponential(drop: i32, scale: f64, table: usize): i32 {
  const steps = roundToInt(min<f64>(<f64>drop * scale, 4095.0));
  return load<i32>(table + ((steps & 255) << 2)) >> (steps >> 8);
}

/**
 * 16 components of a head's context: clamp(64 + round(sum of p v, scaled)). `probabilities` int16[count], zero after
 * an odd last one. Two slots at a time: a pair of values meets a pair of probabilities.
 */
// @ts-ignore: decorator
@inline
export function contextOf(value: usize, offsets: usize, probabilities: usize, count: usize, scale: v128, to: usize): void {
  let a = i32x4.splat(0), b = a, c = a, d = a;
  for (let i: usize = 0; i < count; i += 2) {
    const other = i + 1 < count ? i + 1 : i;
    const v0 = v128.load(value + <usize>load<u32>(offsets + 4 * i));
    const v1 = v128.load(value + <usize>load<u32>(offsets + 4 * other));
    const p = v128.load32_splat(probabilities + 2 * i);
    const low = v128.shuffle<i8>(v0, v1, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const high = v128.shuffle<i8>(v0, v1, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    a = meet(a, i16x8.extend_low_i8x16_s(low), p);
    b = meet(b, i16x8.extend_high_i8x16_s(low), p);
    c = meet(c, i16x8.extend_low_i8x16_s(high), p);
    d = meet(d, i16x8.extend_high_i8x16_s(high), p);
  }
  v128.store(to, toActivations(scaleFour(a, scale), scaleFour(b, scale), scaleFour(c, scale), scaleFour(d, scale)));
}

/**
 * Gives the token's own slot its key and value, and lists the slots that it sees: offsets into the ring and ages,
 * itself first. Returns how many.
 */
// @ts-ignore: decorator
@inline
function seeSlots(
  queryKeyValue: usize, keys: usize, values: usize, positions: usize,
  self: i32, newest: i32, filled: i32, position: f64, window: i32, width: usize, slots: i32, offsets: usize, ages: usize,
): usize {
  memory.copy(keys + <usize>self * width, queryKeyValue + width, width);
  memory.copy(values + <usize>self * width, queryKeyValue + 2 * width, width);
  store<f64>(positions + (<usize>self << 3), position);
  store<u32>(offsets, <u32>self * <u32>width);
  store<i32>(ages, 0);
  let count: usize = 1;
  let slot = newest;
  for (let i = 0; i < filled; i++) {
    const age = position - load<f64>(positions + (<usize>slot << 3));
    if (age >= <f64>window) break;
    store<u32>(offsets + 4 * count, <u32>slot * <u32>width);
    store<i32>(ages + 4 * count, <i32>age);
    count++;
    slot = slot == 0 ? slots - 1 : slot - 1;
  }
  return count;
}

/**
 * Spike-driven attention (Yao et al. 2023): a channel fires if its query is positive and its key and value both were
 * at enough of the visible slots. Comparisons, masks and counts only.
 */
export function countSpikes(
  queryKeyValue: usize, keys: usize, values: usize, positions: usize,
  self: i32, newest: i32, filled: i32, position: f64, window: i32, context: usize,
  width: usize, thresholds: usize, slots: i32, scratch: usize,
): i32 {
  const ages = scratch + (<usize>window << 2);
  const count = seeSlots(
    queryKeyValue, keys, values, positions, self, newest, filled, position, window, width, slots, scratch, ages,
  );
  const zero = i8x16.splat(0);
  for (let d: usize = 0; d < width; d += 16) {
    let low = i16x8.splat(0), high = low;
    for (let i: usize = 0; i < count; i++) {
      const at = <usize>load<u32>(scratch + 4 * i) + d;
      const both = v128.and(i8x16.gt_s(v128.load(keys + at), zero), i8x16.gt_s(v128.load(values + at), zero));
      // A mask is -1.
      low = i16x8.sub(low, i16x8.extend_low_i8x16_s(both));
      high = i16x8.sub(high, i16x8.extend_high_i8x16_s(both));
    }
    const at = thresholds + 4 * d;
    const enoughLow = i16x8.ge_s(low, i16x8.narrow_i32x4_s(v128.load(at), v128.load(at, 16)));
    const enoughHigh = i16x8.ge_s(high, i16x8.narrow_i32x4_s(v128.load(at, 32), v128.load(at, 48)));
    const fires = v128.and(i8x16.narrow_i16x8_s(enoughLow, enoughHigh), i8x16.gt_s(v128.load(queryKeyValue + d), zero));
    v128.store(context + d, i8x16.add(i8x16.splat(64), v128.and(fires, i8x16.splat(63))));
  }
  return <i32>count;
}

export function attend(
  queryKeyValue: usize, keys: usize, values: usize, positions: usize,
  self: i32, newest: i32, filled: i32, position: f64, window: i32, context: usize,
  heads: usize, headStride: usize, width: usize, biasStride: usize,
  ageBias: usize, sinks: usize, exponentScales: usize, contextScales: usize, exponentTable: usize, slots: i32, scratch: usize,
): i32 {
  // Scratch: the query widened to int16, then for each visible slot int32 offset, age and
  // score (later weight), and int16 probability.
  for (let i: usize = 0; i < width; i += 16) {
    const q = v128.load(queryKeyValue + i);
    v128.store(scratch + 2 * i, i16x8.extend_low_i8x16_s(q));
    v128.store(scratch + 2 * i, i16x8.extend_high_i8x16_s(q), 16);
  }
  const offsets = scratch + 2 * width;
  const ages = offsets + (<usize>window << 2);
  const scores = ages + (<usize>window << 2);
  const probabilities = scores + (<usize>window << 2);
  const count = seeSlots(
    queryKeyValue, keys, values, positions, self, newest, filled, position, window, width, slots, offsets, ages,
  );

  for (let head: usize = 0; head < heads; head++) {
    const first = head * headStride;
    const bias = ageBias + 4 * head * biasStride;
    const sink = load<i32>(sinks + 4 * head);
    const query = scratch + 2 * first;
    let slotIndex: usize = 0;
    for (; slotIndex + 4 <= count; slotIndex += 4) {
      v128.store(scores + 4 * slotIndex, dotFourKeys(query, keys + first, offsets + 4 * slotIndex, headStride));
    }
    for (; slotIndex < count; slotIndex++) {
      const key = keys + <usize>load<u32>(offsets + 4 * slotIndex) + first;
      store<i32>(scores + 4 * slotIndex, dotKey(query, key, headStride));
    }
    let top = sink;
    for (let i: usize = 0; i < count; i++) {
      const score = load<i32>(scores + 4 * i) + load<i32>(bias + 4 * <usize>load<i32>(ages + 4 * i));
      store<i32>(scores + 4 * i, score);
      top = max<i32>(top, score);
    }
    const scale = <f64>load<f32>(exponentScales + 4 * head);
    let total = exponential(top - sink, scale, exponentTable);
    for (let i: usize = 0; i < count; i++) {
      const weight = exponential(top - load<i32>(scores + 4 * i), scale, exponentTable);
      store<i32>(scores + 4 * i, weight);
      total += weight;
    }
    const share = 32767.0 / <f64>total;
    for (let i: usize = 0; i < count; i++) {
      store<i16>(probabilities + 2 * i, <i16>roundToInt(<f64>load<i32>(scores + 4 * i) * share));
    }
    store<i16>(probabilities + 2 * count, 0);
    const contextScale = f64x2.splat(<f64>load<f32>(contextScales + 4 * head));
    for (let d = first; d < first + headStride; d += 16) {
      contextOf(values + d, offsets, probabilities, count, contextScale, context + d);
    }
  }
  return <i32>count;
}
