/** Files that a person names on the command line. */
import { readFileSync } from 'node:fs';
import type { Model } from '../engine/model.ts';
import { loadModel } from '../engine/model-file.ts';
import { fileProblem } from '../text/file-problem.ts';
import { type FloatModel, loadFloatModel } from '../train/float-model.ts';

/** Reads and checks a model file. Throws an Error whose message names the file. */
export function readModel(path: string): Model {
  const bytes = readNamed(path, 'a model file');
  try {
    return loadModel(bytes);
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** The float32 parameters that `model` was quantised from. Throws an Error whose message names the file. */
export function readFloatModel(path: string, model: Model): FloatModel {
  const bytes = readNamed(path, 'float32 parameters');
  try {
    const float = loadFloatModel(bytes);
    if (JSON.stringify(float.config) === JSON.stringify(model.config)) return float;
    throw new Error('expected the configuration of the model, got another');
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
