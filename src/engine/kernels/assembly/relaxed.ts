/**
 * The kernels with relaxed SIMD's dot product of four int8 by four unsigned 7-bit numbers. It is exact because
 * activations never exceed 127: no machine may then saturate or differ.
 *
 * A weight matrix is packed [outputs / 16][inputs / 4][16 outputs][4 inputs].
 */
import { ADD_RESIDUAL, finish, outputBytes, STORE_GELU, STORE_INT32, STORE_INT8 } from './requantise';

// @ts-ignore: decorator
@inline
function dot(weights: usize, inputs: v128, accumulator: v128): v128 {
  return i32x4.relaxed_dot_i8x16_i7x16_add_s(v128.load(weights), inputs, accumulator);
}

/** One row through one block of 16 outputs: two sets of four accumulators, for even and odd groups of inputs, hide
 *  the latency of the dot product. */
// @ts-ignore: decorator
@inline
function blockOfOneRow(
  mode: i32, input: usize, weight: usize, bias: usize, multiplier: usize, output: usize, gelu: usize, inputs: usize,
): void {
  let a0 = v128.load(bias), a1 = v128.load(bias, 16), a2 = v128.load(bias, 32), a3 = v128.load(bias, 48);
  let b0 = i32x4.splat(0), b1 = b0, b2 = b0, b3 = b0;
  let w = weight;
  const end = input + inputs;
  for (let x = input; x < end; x += 16) {
    const x0 = v128.load32_splat(x);
    a0 = dot(w, x0, a0);
    a1 = dot(w + 16, x0, a1);
    a2 = dot(w + 32, x0, a2);
    a3 = dot(w + 48, x0, a3);
    const x1 = v128.load32_splat(x, 4);
    b0 = dot(w + 64, x1, b0);
    b1 = dot(w + 80, x1, b1);
    b2 = dot(w + 96, x1, b2);
    b3 = dot(w + 112, x1, b3);
    const x2 = v128.load32_splat(x, 8);
    a0 = dot(w + 128, x2, a0);
    a1 = dot(w + 144, x2, a1);
    a2 = dot(w + 160, x2, a2);
    a3 = dot(w + 176, x2, a3);
    const x3 = v128.load32_splat(x, 12);
    b0 = dot(w + 192, x3, b0);
    b1 = dot(w + 208, x3, b1);
    b2 = dot(w + 224, x3, b2);
    b3 = dot(w + 240, x3, b3);
    w += 256;
  }
  a0 = i32x4.add(a0, b0);
  a1 = i32x4.add(a1, b1);
  a2 = i32x4.add(a2, b2);
  a3 = i32x4.add(a3, b3);
  finish(mode, a0, a1, a2, a3, multiplier, output, gelu);
}

/** Two rows through one block of 16 outputs. */
// @ts-ignore: decorator
@inline
function blockOfTwoRows(
  mode: i32, input: usize, weight: usize, bias: usize, multiplier: usize, output: usize, gelu: usize, inputs: usize,
  stride: usize,
): void {
  let a0 = v128.load(bias), a1 = v128.load(bias, 16), a2 = v128.load(bias, 32), a3 = v128.load(bias, 48);
  let b0 = a0, b1 = a1, b2 = a2, b3 = a3;
  let w = weight;
  const end = input + inputs;
  for (let x = input; x < end; x += 4) {
    const xa = v128.load32_splat(x);
    const xb = v128.load32_splat(x + inputs);
    a0 = dot(w, xa, a0);
    b0 = dot(w, xb, b0);
    a1 = dot(w + 16, xa, a1);
    b1 = dot(w + 16, xb, b1);
    a2 = dot(w + 32, xa, a2);
    b2 = dot(w + 32, xb, b2);
    a3 = dot(w + 48, xa, a3);
    b3 = dot(w + 48, xb, b3);
    w += 64;
  }
  finish(mode, a0, a1, a2, a3, multiplier, output, gelu);
  finish(mode, b0, b1, b2, b3, multiplier, output + stride, gelu);
}

/** Three rows through one block of 16 outputs: twelve accumulators, and each load of weights serves three rows. */
// @ts-ignore: decorator
@inline
function blockOfThreeRows(
  mode: i32, input: usize, weight: usize, bias: usize, multiplier: usize, output: usize, gelu: usize, inputs: usize,
  stride: usize,
): void {
  let a0 = v128.load(bias), a1 = v128.load(bias, 16), a2 = v128.load(bias, 32), a3 = v128.load(bias, 48);
  let b0 = a0, b1 = a1, b2 = a2, b3 = a3;
  let c0 = a0, c1 = a1, c2 = a2, c3 = a3;
  let w = weight;
  const end = input + inputs;
  for (let x = input; x < end; x += 4) {
    const xa = v128.load32_splat(x);
    const xb = v128.load32_splat(x + inputs);
    const xc = v128.load32_splat(x + 2 * inputs);
    a0 = dot(w, xa, a0);
    b0 = dot(w, xb, b0);
    c0 = dot(w, xc, c0);
    a1 = dot(w + 16, xa, a1);
    b1 = dot(w + 16, xb, b1);
    c1 = dot(w + 16, xc, c1);
    a2 = dot(w + 32, xa, a2);
    b2 = dot(w + 32, xb, b2);
    c2 = dot(w + 32, xc, c2);
    a3 = dot(w + 48, xa, a3);
    b3 = dot(w + 48, xb, b3);
    c3 = dot(w + 48, xc, c3);
    w += 64;
  }
  finish(mode, a0, a1, a2, a3, multiplier, output, gelu);
  finish(mode, b0, b1, b2, b3, multiplier, output + stride, gelu);
  finish(mode, c0, c1, c2, c3, multiplier, output + 2 * stride, gelu);
}

/**
 * output[rows, outputs] = finish(bias + weight input), input uint8[rows, inputs]. A block of weights serves all rows
 * before the next is read: however many rows, each weight comes from memory once. Not inlined, for size.
 */
function linear(
  mode: i32, input: usize, weight: usize, bias: usize, multiplier: usize, output: usize, gelu: usize,
  inputs: usize, outputs: usize, rows: usize, stride: usize,
): void {
  const step = 16 * outputBytes(mode);
  for (let block: usize = 0; block < outputs; block += 16) {
    let from = input;
    let to = output;
    // By threes as long as none is left alone: four are two and two.
    let left = rows;
    while (left == 3 || left > 4) {
      blockOfThreeRows(mode, from, weight, bias, multiplier, to, gelu, inputs, stride);
      from += 3 * inputs;
      to += 3 * stride;
      left -= 3;
    }
    while (left >= 2) {
      blockOfTwoRows(mode, from, weight, bias, multiplier, to, gelu, inputs, stride);
      from += 2 * inputs;
      to += 2 * stride;
      left -= 2;
    }
    if (left == 1) blockOfOneRow(mode, from, weight, bias, multiplier, to, gelu, inputs);
    weight += 16 * inputs;
    bias += 64;
    multiplier += 64;
    output += step;
  }
}

export function project(
  activations: usize, weight: usize, bias: usize, multiplier: usize, projected: usize,
  inputs: usize, outputs: usize, rows: usize, widened: usize, stride: usize,
): void {
  linear(STORE_INT8, activations, weight, bias, multiplier, projected, 0, inputs, outputs, rows, stride);
}

export function addProjection(
  activations: usize, weight: usize, bias: usize, multiplier: usize, residual: usize,
  inputs: usize, outputs: usize, rows: usize, widened: usize,
): void {
  linear(ADD_RESIDUAL, activations, weight, bias, multiplier, residual, 0, inputs, outputs, rows, outputs * 2);
}

export function activate(
  activations: usize, weight: usize, bias: usize, multiplier: usize, activated: usize,
  inputs: usize, outputs: usize, rows: usize, widened: usize, gelu: usize,
): void {
  linear(STORE_GELU, activations, weight, bias, multiplier, activated, gelu, inputs, outputs, rows, outputs);
}

export function storeLogits(
  activations: usize, weight: usize, bias: usize, multiplier: usize, logits: usize,
  inputs: usize, outputs: usize, rows: usize, widened: usize,
): void {
  linear(STORE_INT32, activations, weight, bias, multiplier, logits, 0, inputs, outputs, rows, outputs * 4);
}
