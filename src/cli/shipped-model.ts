/** The model that comes with the program. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { carriedFile } from '../carried.ts';

const name = 'occupancy.safetensors';

export interface ShippedModel {
  readonly path: string;
  /** Removes what was unpacked. */
  release(): void;
}

/** Beside dist/, beside src/ when run from source, or unpacked from a single executable until released. */
export function openShippedModel(): ShippedModel {
  const carried = carriedFile(name);
  if (carried !== undefined) return unpack(carried);
  const places = [`../targets/models/${name}`, `../../targets/models/${name}`];
  const paths = places.map((place) => fileURLToPath(new URL(place, import.meta.url)));
  return { path: paths.find((path) => existsSync(path)) ?? paths[0]!, release: () => {} };
}

function unpack(bytes: Uint8Array): ShippedModel {
  const directory = mkdtempSync(join(tmpdir(), 'dormouse-'));
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return { path, release: () => rmSync(directory, { recursive: true, force: true }) };
}
