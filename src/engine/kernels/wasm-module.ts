/** Compiles WebAssembly that is carried as base64 of a block that build.mjs compressed. Throws WebAssembly.CompileError. */
export function compileBase64(base64: string): WebAssembly.Module {
  return new WebAssembly.Module(decompress(decodeBase64(base64)));
}

/** `Uint8Array.fromBase64` where there is one (Node 25): a loop over each byte takes a while in a cold process. */
function decodeBase64(base64: string): Uint8Array<ArrayBuffer> {
  const { fromBase64 } = Uint8Array as { fromBase64?: (text: string) => Uint8Array<ArrayBuffer> };
  if (fromBase64 !== undefined) return fromBase64(base64);
  const characters = atob(base64);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

/**
 * An LZ4 block behind its unpacked length: literals and copies of what was unpacked before, in turns. No checks: the
 * bytes are our own.
 */
export function decompress(packed: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(new DataView(packed.buffer, packed.byteOffset).getUint32(0, true));
  let from = 4;
  let to = 0;
  /** A count of which the token holds four bits; bytes of 255 go on with it. */
  const count = (bits: number): number => {
    let sum = bits;
    let more = bits === 15 ? 255 : 0;
    while (more === 255) {
      more = packed[from++]!;
      sum += more;
    }
    return sum;
  };
  while (true) {
    const token = packed[from++]!;
    for (let left = count(token >> 4); left > 0; left--) bytes[to++] = packed[from++]!;
    if (to === bytes.length) return bytes;
    const offset = packed[from]! | (packed[from + 1]! << 8);
    from += 2;
    // A copy may reach into itself.
    for (const end = to + count(token & 15) + 4; to < end; to++) bytes[to] = bytes[to - offset]!;
  }
}
