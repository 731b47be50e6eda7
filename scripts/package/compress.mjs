/**
 * Bytes as an LZ4 block behind their length (uint32, little endian): small, and unpacked by a short loop
 * (src/engine/kernels/wasm-module.ts). Format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md.
 */

const MATCH_LEAST = 4;
const OFFSET_MAX = 65535;
/** The format's own rule: the last bytes are literals. */
const LITERALS_LAST = 5;
const MATCH_START_LAST = 12;

export function compress(bytes) {
  const out = [...new Uint8Array(Uint32Array.of(bytes.length).buffer)];
  const chains = new Map();
  let literal = 0;
  let at = 0;
  const remember = (end) => {
    for (; at < end; at++) {
      const key = keyOf(bytes, at);
      const places = chains.get(key) ?? [];
      places.push(at);
      chains.set(key, places);
    }
  };
  while (at <= bytes.length - MATCH_START_LAST) {
    const match = longestMatch(bytes, at, chains.get(keyOf(bytes, at)) ?? []);
    if (match.length >= MATCH_LEAST) {
      putSequence(out, bytes.subarray(literal, at), at - match.from, match.length);
      remember(at + match.length);
      literal = at;
    } else remember(at + 1);
  }
  putSequence(out, bytes.subarray(literal), 0, 0);
  return Uint8Array.from(out);
}

function keyOf(bytes, at) {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
}

function longestMatch(bytes, at, places) {
  const end = bytes.length - LITERALS_LAST;
  let best = { from: 0, length: 0 };
  for (const from of places) {
    if (at - from > OFFSET_MAX) continue;
    let length = 0;
    while (at + length < end && bytes[from + length] === bytes[at + length]) length++;
    if (length >= best.length) best = { from, length };
  }
  return best;
}

function putSequence(out, literals, offset, length) {
  const extra = length - MATCH_LEAST;
  out.push((Math.min(15, literals.length) << 4) | (length === 0 ? 0 : Math.min(15, extra)));
  putRest(out, literals.length);
  for (const byte of literals) out.push(byte);
  if (length === 0) return;
  out.push(offset & 255, offset >> 8);
  putRest(out, extra);
}

/** What is left of a count of which four bits say at most 15. */
function putRest(out, count) {
  if (count < 15) return;
  let rest = count - 15;
  for (; rest >= 255; rest -= 255) out.push(255);
  out.push(rest);
}
