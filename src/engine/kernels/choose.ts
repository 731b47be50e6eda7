/** Chooses the kernels at start: the fastest that runs here, or the one that was asked for. */
import type { KernelName, Kernels } from './contract.ts';
import { ExactKernels } from './exact.ts';
import { TruthKernels } from './truth.ts';

export const kernelNames: readonly KernelName[] = ['exact', 'truth'];

/**
 * `widened`: see ExactKernels. Without a wish: SIMD, or the plain truth on a machine whose WebAssembly lacks it.
 * Throws RangeError for an unknown name, WebAssembly.CompileError if the wished kernels can't run here.
 */
export function chooseKernels(memory: WebAssembly.Memory, widened: number, wanted?: KernelName): Kernels {
  if (wanted === 'truth') return new TruthKernels(memory);
  if (wanted === 'exact') return new ExactKernels(memory, widened);
  if (wanted !== undefined) {
    throw new RangeError(`kernels: expected one of ${kernelNames.join(', ')}, got ${String(wanted)}`);
  }
  try {
    return new ExactKernels(memory, widened);
  } catch (error) {
    if (error instanceof WebAssembly.CompileError) return new TruthKernels(memory);
    throw error;
  }
}
