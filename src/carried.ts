/** Files that a single executable carries inside: there is nothing beside it to read them from. */

interface SingleExecutable {
  isSea(): boolean;
  getAsset(name: string): ArrayBuffer;
}

/** A copy of a carried file; undefined when this is no single executable. Throws when it does not carry the file. */
export function carriedFile(name: string): Uint8Array | undefined {
  // Asked for by name: an older Node has no such module, and then this is no single executable.
  const sea = process.getBuiltinModule?.('node:sea') as SingleExecutable | undefined;
  return sea?.isSea() === true ? new Uint8Array(sea.getAsset(name)) : undefined;
}
