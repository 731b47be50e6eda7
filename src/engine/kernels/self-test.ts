/** A short numeric test of kernels at start, extremes first: a build that does not give the truth is refused. */
import type { Matrix } from '../memory-plan.ts';
import type { Kernels } from './contract.ts';
import { TruthKernels } from './truth.ts';

type Make = (memory: WebAssembly.Memory, widened: number) => Kernels;

const INPUTS = 32;
const OUTPUTS = 48;
const ROWS = 4;
const MATRIX: Matrix = { weight: 1024, bias: 4096, multiplier: 8192, inputs: INPUTS, outputs: OUTPUTS };
const ACTIVATIONS = 16384;
const RESULT = 20480;
const WIDENED = 32768;

/** Whether kernels made by `make` compile and multiply like the truth. Takes well under a millisecond. */
export function selfTest(make: Make): boolean {
  let kernels: Kernels;
  const memory = smallMemory();
  try {
    kernels = make(memory, WIDENED);
  } catch (error) {
    if (error instanceof WebAssembly.CompileError) return false;
    throw error;
  }
  const truthMemory = smallMemory();
  const truth = new TruthKernels(truthMemory);
  for (let pattern = 0; pattern < 4; pattern++) {
    if (!sameBytes(product(truth, truthMemory, pattern), product(kernels, memory, pattern))) return false;
  }
  return true;
}

function smallMemory(): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial: 1, maximum: 1 });
}

/** Logits of a matrix of extremes (patterns 0 to 2) or of spread values (pattern 3). */
function product(kernels: Kernels, memory: WebAssembly.Memory, pattern: number): Uint8Array {
  const spread = (i: number) => ((i * 7919 + 104729) >>> 3) % 255;
  const weight = (i: number) => [127, -127, i % 3 === 0 ? 127 : -127, spread(i) - 127][pattern]!;
  kernels.pack(
    MATRIX,
    Int8Array.from({ length: INPUTS * OUTPUTS }, (_, i) => weight(i)),
    'activations',
  );
  const bias = new Int32Array(memory.buffer, MATRIX.bias, OUTPUTS);
  const multiplier = new Float32Array(memory.buffer, MATRIX.multiplier, OUTPUTS);
  for (let c = 0; c < OUTPUTS; c++) {
    bias[c] = c * 1001 - 20000;
    multiplier[c] = (c + 1) / 4096;
  }
  const activations = new Uint8Array(memory.buffer, ACTIVATIONS, ROWS * INPUTS);
  for (let i = 0; i < activations.length; i++) activations[i] = pattern === 3 ? spread(i * 31) >> 1 : 127;
  const result = new Uint8Array(memory.buffer, RESULT, ROWS * OUTPUTS);
  result.fill(0);
  kernels.project(ACTIVATIONS, MATRIX, RESULT, OUTPUTS, ROWS);
  return result;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i]);
}
