/** A short numeric test of kernels at start, extremes included: a build that does not give the truth is refused. */
import type { Matrix } from '../memory-layout.ts';
import type { Kernels } from './contract.ts';
import { TruthKernels } from './truth.ts';

type Make = (memory: WebAssembly.Memory, widened: number) => Kernels;

const INPUTS = 32;
const OUTPUTS = 32;
const MATRIX: Matrix = { weight: 1024, bias: 4096, multiplier: 8192, inputs: INPUTS, outputs: OUTPUTS };
const ACTIVATIONS = 16384;
const RESULT = 20480;
const WIDENED = 32768;
/** One, two and three rows: the kernels have a loop for each. */
const CALLS = [1, 2, 3] as const;
const ROWS = 6;

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
  const expected = product(new TruthKernels(truthMemory), truthMemory);
  return product(kernels, memory).every((byte, i) => byte === expected[i]);
}

function smallMemory(): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial: 1, maximum: 1 });
}

/** Whole numbers from 0 to 254, spread. */
function spread(i: number): number {
  return ((i * 7919 + 104729) >>> 3) % 255;
}

function weightAt(i: number, pattern: number): number {
  if (pattern === 0) return 127;
  if (pattern === 1) return -127;
  if (pattern === 2) return i % 3 === 0 ? 127 : -127;
  return spread(i) - 127;
}

/** Projections of a matrix whose rows are extremes or spread values, for activations that are so too. */
function product(kernels: Kernels, memory: WebAssembly.Memory): Uint8Array {
  const weight = new Int8Array(INPUTS * OUTPUTS);
  for (let i = 0; i < weight.length; i++) weight[i] = weightAt(i, (i >> 5) & 3);
  kernels.pack(MATRIX, weight, 'activations');
  const bias = new Int32Array(memory.buffer, MATRIX.bias, OUTPUTS);
  const multiplier = new Float32Array(memory.buffer, MATRIX.multiplier, OUTPUTS);
  for (let c = 0; c < OUTPUTS; c++) {
    bias[c] = c * 1001 - 20000;
    multiplier[c] = (c + 1) / 4096;
  }
  const activations = new Uint8Array(memory.buffer, ACTIVATIONS, ROWS * INPUTS);
  for (let i = 0; i < activations.length; i++) activations[i] = i % 64 < 32 ? 127 : spread(i * 31) >> 1;
  const result = new Uint8Array(memory.buffer, RESULT, ROWS * OUTPUTS);
  let row = 0;
  for (const rows of CALLS) {
    kernels.project(ACTIVATIONS + row * INPUTS, MATRIX, RESULT + row * OUTPUTS, OUTPUTS, rows);
    row += rows;
  }
  return result;
}
