/** Compiles WebAssembly that is carried as base64. Throws WebAssembly.CompileError. */
export function compileBase64(base64: string): WebAssembly.Module {
  return new WebAssembly.Module(decodeBase64(base64));
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
