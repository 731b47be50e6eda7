/** The model that comes with the program, as a file. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { carriedFile, modelPath } from '../carried.ts';

const name = 'occupancy.safetensors';

export interface ShippedModel {
  readonly path: string;
  /** Removes what was unpacked. */
  release(): void;
}

/** Beside the program, or unpacked from a single executable until released. */
export function openShippedModel(): ShippedModel {
  const carried = carriedFile(`models/${name}`);
  return carried === undefined ? { path: modelPath(name), release: () => {} } : unpack(carried);
}

function unpack(bytes: Uint8Array): ShippedModel {
  const directory = mkdtempSync(join(tmpdir(), 'dormouse-'));
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return { path, release: () => rmSync(directory, { recursive: true, force: true }) };
}
