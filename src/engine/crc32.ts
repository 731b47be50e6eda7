/**
 * CRC-32 (IEEE 802.3, reflected, as in zlib): finds damage, does not prove origin.
 *
 * Four bytes at a time (Kounavis and Berry's slicing): a model file is checked in a cold process, where each turn of
 * a loop counts.
 */

/** [4][256]: `table[k * 256 + byte]` is the remainder of `byte` followed by k zero bytes. */
const table = new Uint32Array(4 * 256);
for (let byte = 0; byte < 256; byte++) {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++)
    remainder = remainder & 1 ? 0xedb88320 ^ (remainder >>> 1) : remainder >>> 1;
  table[byte] = remainder;
}
for (let i = 256; i < table.length; i++) table[i] = table[table[i - 256]! & 0xff]! ^ (table[i - 256]! >>> 8);

/** Checksum of `bytes` as an unsigned 32-bit number; `seed` is the checksum of what came before them. */
export function crc32(bytes: Uint8Array, seed = 0): number {
  let crc = ~seed;
  const whole = bytes.length & ~3;
  let i = 0;
  for (; i < whole; i += 4) {
    crc ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    crc =
      table[768 + (crc & 0xff)]! ^
      table[512 + ((crc >>> 8) & 0xff)]! ^
      table[256 + ((crc >>> 16) & 0xff)]! ^
      table[crc >>> 24]!;
  }
  for (; i < bytes.length; i++) crc = table[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
