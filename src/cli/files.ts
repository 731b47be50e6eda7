/** Files that a person names on the command line. */
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Model } from '../engine/model.ts';
import { loadModel } from '../engine/model-file.ts';
import { modelTag } from '../gate/model-tag.ts';
import { sha256Of } from '../gateway/models/signature.ts';
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

/** What witnesses say of the model in that file. Throws an Error whose message names the file. */
export function readModelTag(path: string): number {
  return modelTag(sha256Of(readNamed(path, 'a model file')));
}

/** The float32 parameters that `model` was quantised from. Throws an Error whose message names the file. */
export function readFloatModel(path: string, model: Model): FloatModel {
  const bytes = readNamed(path, 'float32 parameters');
  try {
    const float = loadFloatModel(bytes);
    // Gains of norms are part of the float weights, however the int8 ones are laid out.
    const { normGains: _, ...config } = model.config;
    if (JSON.stringify(float.config) === JSON.stringify(config)) return float;
    throw new Error('expected the configuration of the model, got another');
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** The bytes of a file that should hold what is `expected`. Throws an Error whose message names the file. */
export function readNamed(path: string, expected: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Error(`${path}: expected ${expected}, got ${fileProblem(error)}`, { cause: error });
  }
}

/** Known before the work, not after it. Throws an Error that names the option. */
export function requireWritable(path: string): void {
  const refuse = (got: string) =>
    new Error(`--output ${path}: expected a file that can be written, got ${got}`);
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory()) throw refuse('a directory');
  try {
    accessSync(found === undefined ? dirname(path) : path, constants.W_OK);
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw refuse(missing ? `no directory ${dirname(path)}` : fileProblem(error));
  }
}
