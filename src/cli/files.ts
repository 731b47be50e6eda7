/** Files that a person names on the command line. */
import { readFileSync } from 'node:fs';
import type { Model } from '../engine/model.ts';
import { loadModel } from '../engine/model-file.ts';

/** Reads and checks a model file. Throws an Error whose message names the file. */
export function readModel(path: string): Model {
  try {
    return loadModel(readFileSync(path));
  } catch (error) {
    throw new Error(`${path}: ${reason(error as NodeJS.ErrnoException)}`, { cause: error });
  }
}

/** Node's own messages repeat the path and name the system call. */
function reason(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return 'no such file';
  if (error.code === 'EISDIR') return 'expected a file, got a directory';
  return error.message;
}
