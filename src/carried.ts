/** Files that come with the program: inside a single executable, or beside dist/ and src/. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

interface SingleExecutable {
  isSea(): boolean;
  getAsset(name: string): ArrayBuffer;
  getAssetKeys(): string[];
}

/** A copy of a carried file; undefined when this is no single executable, or carries no such file. */
export function carriedFile(name: string): Uint8Array | undefined {
  const sea = singleExecutable();
  return sea?.getAssetKeys().includes(name) ? new Uint8Array(sea.getAsset(name)) : undefined;
}

/** Whether Node and program are one file, which build.mjs makes for each target. */
export function isSingleExecutable(): boolean {
  return singleExecutable() !== undefined;
}

function singleExecutable(): SingleExecutable | undefined {
  // Asked for by name: an older Node has no such module, and then this is no single executable.
  const sea = process.getBuiltinModule?.('node:sea') as unknown as SingleExecutable | undefined;
  return sea?.isSea() ? sea : undefined;
}

/** Where a file of targets/models would be, beside dist/ or src/. `name` such as `workloads/streaming.safetensors`. */
export function modelPath(name: string): string {
  return fileURLToPath(new URL(`../targets/models/${name}`, import.meta.url));
}

/** The bytes of a file of targets/models, carried or beside the program; undefined if there is none of that name. */
export function modelFile(name: string): Uint8Array | undefined {
  const carried = carriedFile(`models/${name}`);
  if (carried !== undefined) return carried;
  const path = modelPath(name);
  return existsSync(path) ? readFileSync(path) : undefined;
}
