/** Logits as a witness remembers them. */

/**
 * FNV-1a, 32 bits, over whole numbers as little-endian int32 (Fowler, Noll, Vo; RFC 9923). Signed: an unsigned number
 * beyond 2^31 would be allocated.
 */
export function hashLogits(logits: Int32Array): number {
  let hash = 0x811c9dc5 | 0;
  for (let index = 0; index < logits.length; index++) {
    for (let shift = 0; shift < 32; shift += 8) {
      hash = Math.imul(hash ^ ((logits[index]! >>> shift) & 0xff), 0x01000193);
    }
  }
  return hash;
}
