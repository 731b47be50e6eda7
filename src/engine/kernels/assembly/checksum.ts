/**
 * CRC-32 (IEEE 802.3, reflected, as in zlib), eight bytes at a time (Kounavis and Berry's slicing).
 *
 * In WebAssembly because a model is checked in a cold process: there JavaScript takes ten times as long.
 * Memory, one page: eight tables of 256 uint32 (the remainder of a byte with 0 to 7 zero bytes behind it), then data.
 */

/** Where the data begin: after the tables. */
const DATA: usize = 8192;
const TABLE_BYTES: usize = 1024;

export function writeTables(): void {
  for (let byte: u32 = 0; byte < 256; byte++) {
    let remainder = byte;
    for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (0xedb88320 & -(remainder & 1));
    store<u32>(<usize>byte << 2, remainder);
  }
  for (let at: usize = TABLE_BYTES; at < DATA; at += 4) {
    const before = load<u32>(at - TABLE_BYTES);
    store<u32>(at, (before >>> 8) ^ load<u32>((before & 0xff) << 2));
  }
}

// @ts-ignore: decorator
@inline
function after(zeros: usize, byte: u32): u32 {
  return load<u32>(zeros * TABLE_BYTES + ((byte & 0xff) << 2));
}

/** The register (the inverted checksum) after `length` more bytes of data. */
export function update(register: u32, length: usize): u32 {
  const end = DATA + length;
  let at = DATA;
  for (; at + 8 <= end; at += 8) {
    const low = register ^ load<u32>(at);
    const high = load<u32>(at, 4);
    register =
      after(7, low) ^ after(6, low >>> 8) ^ after(5, low >>> 16) ^ after(4, low >>> 24) ^
      after(3, high) ^ after(2, high >>> 8) ^ after(1, high >>> 16) ^ after(0, high >>> 24);
  }
  for (; at < end; at++) register = (register >>> 8) ^ after(0, register ^ load<u8>(at));
  return register;
}
