/** CRC-32 (IEEE 802.3, reflected, as in zlib): finds damage, does not prove origin. */
import { wasmBase64 } from './kernels/generated/checksum.ts';
import { compileBase64 } from './kernels/wasm-module.ts';

/** Where the program's tables end and its data begin. */
const DATA = 8192;

interface Program {
  readonly writeTables: () => void;
  readonly update: (register: number, length: number) => number;
}

const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
const data = new Uint8Array(memory.buffer, DATA);
const program = new WebAssembly.Instance(compileBase64(wasmBase64), { env: { memory } })
  .exports as unknown as Program;
program.writeTables();

/** Checksum of `bytes` as an unsigned 32-bit number; `seed` is the checksum of what came before them. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  if (bytes.length <= data.length) return update(bytes, seed);
  let checksum = seed;
  for (let from = 0; from < bytes.length; from += data.length) {
    checksum = update(bytes.subarray(from, from + data.length), checksum);
  }
  return checksum;
}

/** Of at most as many bytes as the program's memory holds. */
function update(bytes: Uint8Array, seed: number): number {
  data.set(bytes);
  return ~program.update(~seed, bytes.length) >>> 0;
}
