/** Files that a person names on the command line. */
import { readFileSync } from 'node:fs';
import type { Model } from '../engine/model.ts';
import { loadModel } from '../engine/model-file.ts';
import { fileProblem } from '../text/file-problem.ts';

/** Reads and checks a model file. Throws an Error whose message names the file. */
export function readModel(path: string): Model {
  const bytes = readNamed(path, 'a model file');
  try {
    return loadModel(bytes);
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

function readNamed(path: string, expected: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Error(`${path}: expected ${expected}, got ${fileProblem(error)}`, { cause: error });
  }
}
