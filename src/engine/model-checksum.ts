/** The checksum of a model file, which stands in its header and covers every byte, its own 8 characters counted as zeros. */
import { crc32 } from './crc32.ts';
import { ModelError } from './safetensors.ts';

/** Stands there until the rest is written. */
export const NO_CHECKSUM = '00000000';
const CHECKSUM_KEY = '"crc32":"';

/** Puts the checksum of a whole file into it. */
export function stampChecksum(bytes: Uint8Array): void {
  const at = findChecksum(bytes);
  bytes.set(new TextEncoder().encode(hex(crc32(bytes))), at);
}

function hex(checksum: number): string {
  return checksum.toString(16).padStart(8, '0');
}

/** Where the first 8 characters of the checksum stand: the writer puts them at the header's beginning. */
function findChecksum(bytes: Uint8Array): number {
  const head = new TextDecoder('latin1').decode(bytes.subarray(0, 4096));
  const at = head.indexOf(CHECKSUM_KEY);
  if (at < 0)
    throw new ModelError('checksum', 'header: expected __metadata__.crc32 within the first 4096 bytes');
  return at + CHECKSUM_KEY.length;
}

/** Throws ModelError if that is not the file's. */
export function requireChecksum(bytes: Uint8Array, claimed: string | undefined): void {
  const at = findChecksum(bytes);
  const zeros = new TextEncoder().encode(NO_CHECKSUM);
  const before = crc32(zeros, crc32(bytes.subarray(0, at)));
  const actual = hex(crc32(bytes.subarray(at + zeros.length), before));
  if (actual !== claimed)
    throw new ModelError('checksum', `file: expected crc32 ${claimed}, got ${actual}: it is damaged`);
}
