/** What `dormouse inspect` says of float tensors that are still to be quantised. */
import { readTensors } from '../engine/safetensors.ts';
import { type FloatFile, readFloatFile } from '../train/float-model.ts';
import { readNamed } from './files.ts';

/** Float tensors of a network, and not an int8 model or another file of ours; false also for what is no safetensors file. */
export function isFloatFile(bytes: Uint8Array): boolean {
  try {
    const { tensors, metadata } = readTensors(bytes);
    const format = metadata.get('format') ?? '';
    const isFloat = [...tensors.values()].some(({ dtype }) => ['F32', 'F16', 'BF16', 'F64'].includes(dtype));
    return isFloat && (!format.startsWith('dormouse-') || format.startsWith('dormouse-float-'));
  } catch {
    return false;
  }
}

/** Reads the JSON that --config names; undefined where it is not given. Throws an Error whose message names the file. */
export function readConfigFile(path: string | undefined): unknown {
  if (path === undefined) return undefined;
  const text = new TextDecoder().decode(readNamed(path, 'a configuration'));
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${path}: expected JSON, got ${(error as Error).message}`, { cause: error });
  }
}

export interface FloatInspection {
  readonly kind: 'float';
  readonly config: FloatFile['config'];
  readonly meaning: FloatFile['meaning'];
  readonly tensors: readonly {
    readonly name: string;
    readonly dtype: string;
    readonly shape: readonly number[];
  }[];
  readonly parameters: number;
  readonly absent: readonly string[];
  readonly problems: readonly string[];
}

/** Throws ModelError or ConfigError; problems with tensors are part of the answer. */
export function inspectFloat(bytes: Uint8Array, config: unknown): FloatInspection {
  const file = readFloatFile(bytes, config);
  const tensors = [...file.tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  return {
    kind: 'float',
    config: file.config,
    meaning: file.meaning,
    tensors,
    parameters: [...file.tensors.values()].reduce((sum, { data }) => sum + data.length, 0),
    absent: file.absent,
    problems: file.problems,
  };
}

/** The one sentence after a list of problems. */
export function problemCount(path: string, problems: readonly string[]): Error {
  const count = `${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}`;
  return new Error(`${path}: expected the tensors of its configuration, got ${count}`);
}
