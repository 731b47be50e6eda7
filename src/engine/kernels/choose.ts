/** Chooses the kernels at start: the fastest that compiles and computes right here, or the one that was asked for. */
import type { KernelName, Kernels } from './contract.ts';
import { selfTest } from './self-test.ts';
import { TruthKernels } from './truth.ts';
import { WasmKernels } from './wasm.ts';

/** Fastest first. */
export const kernelNames: readonly KernelName[] = ['relaxed', 'exact', 'truth'];

const trusted = new Map<KernelName, boolean>();

/**
 * `widened`: see WasmKernels. Without a wish: the fastest that this machine computes right, in the end the truth.
 * Throws RangeError for an unknown name, or if the wished kernels are missing or wrong here.
 */
export function chooseKernels(memory: WebAssembly.Memory, widened: number, wanted?: KernelName): Kernels {
  if (wanted !== undefined && !kernelNames.includes(wanted)) {
    throw new RangeError(`kernels: expected one of ${kernelNames.join(', ')}, got ${String(wanted)}`);
  }
  if (wanted !== undefined && !isTrusted(wanted)) {
    throw new RangeError(`kernels: ${wanted} does not run here, or failed its self-test`);
  }
  return makeKernels(wanted ?? kernelNames.find(isTrusted) ?? 'truth', memory, widened);
}

/**
 * Whether these kernels compile here and give the bits of the truth. Tested once per process, at first use and so
 * while the machine code is still that of the baseline compiler: V8 12 (Node 20) miscompiles relaxed dot products
 * there and only there.
 */
export function isTrusted(name: KernelName): boolean {
  let trust = trusted.get(name);
  if (trust === undefined) {
    trust = name === 'truth' || selfTest((memory, widened) => makeKernels(name, memory, widened));
    trusted.set(name, trust);
  }
  return trust;
}

function makeKernels(name: KernelName, memory: WebAssembly.Memory, widened: number): Kernels {
  return name === 'truth' ? new TruthKernels(memory) : new WasmKernels(name, memory, widened);
}
