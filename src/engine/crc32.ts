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
  let register = ~seed;
  for (let from = 0; from < bytes.length; from += data.length) {
    const part = bytes.subarray(from, from + data.length);
    data.set(part);
    register = program.update(register, part.length);
  }
  return ~register >>> 0;
}
