/**
 * The kernels in WebAssembly SIMD, without relaxed instructions: activations are widened to int16.
 * Runs wherever WebAssembly has SIMD.
 */
import { linearWide } from './linear';
import { ADD_RESIDUAL, STORE_GELU, STORE_INT32, STORE_INT8 } from './requantise';

export { attend, countSpikes } from './attention';
export { addLinearLogits, blend, embed } from './linear';
export { normalise, normaliseChannels } from './norm';

/** uint8[count] -> int16[count]; count is a multiple of 16. */
// @ts-ignore: decorator
@inline
function widen(from: usize, to: usize, count: usize): void {
  for (let i: usize = 0; i < count; i += 16) {
    const bytes = v128.load(from + i);
    v128.store(to + 2 * i, i16x8.extend_low_i8x16_u(bytes));
    v128.store(to + 2 * i, i16x8.extend_high_i8x16_u(bytes), 16);
  }
}

export function project(
  activations: usize, weight: usize, bias: usize, multiplier: usize, projected: usize,
  inputs: usize, outputs: usize, rows: usize, widened: usize, stride: usize,
): void {
  widen(activations, widened, rows * inputs);
  linearWide(STORE_INT8, widened, weight, bias, multiplier, projected, 0, inputs, outputs, rows, stride);
}

export function addProjection(
  activations: usize, weight: usize, bias: usize, multiplier: usize, residual: usize,
  inputs: usize, outputs: usize, rows: usize, widened: usize,
): void {
  widen(activations, widened, rows * inputs);
  linearWide(ADD_RESIDUAL, widened, weight, bias, multiplier, residual, 0, inputs, outputs, rows, outputs * 2);
}

export function activate(
  activations: usize, weight: usize, bias: usize, multiplier: usize, activated: usize,
  inputs: usize, outputs: usize, rows: usize, widened: usize, gelu: usize,
): void {
  widen(activations, widened, rows * inputs);
  linearWide(STORE_GELU, widened, weight, bias, multiplier, activated, gelu, inputs, outputs, rows, outputs);
}

export function storeLogits(
  activations: usize, weight: usize, bias: usize, multiplier: usize, logits: usize,
  inputs: usize, outputs: usize, rows: usize, widened: usize,
): void {
  widen(activations, widened, rows * inputs);
  linearWide(STORE_INT32, widened, weight, bias, multiplier, logits, 0, inputs, outputs, rows, outputs * 4);
}
