/** The rounding and the tables of docs/integer-rules.md. */
import { EXPONENT_MAX, EXPONENT_ONE, TABLE_SIZE } from './limits.ts';

const ROUNDER = 1.5 * 2 ** 52;

/** The nearest whole number, ties to even, for |value| < 2^51. */
export function round(value: number): number {
  return value + ROUNDER - ROUNDER;
}

/** `value` within low..high. */
export function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}

/** Steps of 1/256 octave in one unit of a Q16 logit: 256 log2(e) / 65536. */
const STEPS_PER_LOGIT = 0.005635527503472513;

/** 1 / (1 + e^-x) in Q15, 16384 to 32768, for a Q16 logit x >= 0; `table`: see makeExponentTable. */
export function sigmoidQ15(logit: number, table: Int32Array): number {
  const steps = Math.min(round(logit * STEPS_PER_LOGIT), EXPONENT_MAX);
  const exponential = table[steps & (TABLE_SIZE - 1)]! >> Math.floor(steps / TABLE_SIZE);
  return round((EXPONENT_ONE * 32768) / (EXPONENT_ONE + exponential));
}

/**
 * [256] 2^(-i/256) in Q16, by square roots and products only, which IEEE 754 rounds the same everywhere
 * (Math.pow is not the same everywhere).
 */
export function makeExponentTable(): Int32Array {
  let step = 0.5;
  for (let size = TABLE_SIZE; size > 1; size /= 2) step = Math.sqrt(step);
  const table = new Int32Array(TABLE_SIZE);
  let value = EXPONENT_ONE;
  for (let i = 0; i < TABLE_SIZE; i++) {
    table[i] = round(value);
    value *= step;
  }
  return table;
}
