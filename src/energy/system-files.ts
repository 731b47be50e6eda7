/** The files in which Linux tells about its hardware; injected, so that a test can be any machine. */
import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { MeterProblem } from './meter.ts';

export interface SystemFiles {
  /** The file's text, trimmed. Throws what the system throws. */
  read(path: string): string;
  /** Names in a directory, sorted; none if there is no such directory. Throws what else the system throws. */
  list(path: string): readonly string[];
  /** Where a path leads, links resolved. Throws what the system throws. */
  resolve(path: string): string;
}

/** The machine's own; `root` is what `/` stands for. */
export function systemFiles(root = '/'): SystemFiles {
  return {
    read: (path) => readFileSync(join(root, path), 'utf8').trim(),
    list: (path) => {
      try {
        return readdirSync(join(root, path)).sort();
      } catch (error) {
        if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
        throw error;
      }
    },
    resolve: (path) => realpathSync(join(root, path)),
  };
}

/** The file's number within [min, max]. Throws MeterProblem for anything else. */
export function readNumber(files: SystemFiles, path: string, min: number, max: number): number {
  const text = readText(files, path);
  const value = text === '' ? Number.NaN : Number(text);
  if (value >= min && value <= max) return value;
  throw new MeterProblem(
    `${path}: expected a number from ${min} to ${max}, got ${JSON.stringify(text.slice(0, 80))}`,
  );
}

/** The file's text. Throws MeterProblem that says why it can't be read. */
export function readText(files: SystemFiles, path: string): string {
  try {
    return files.read(path);
  } catch (error) {
    throw new MeterProblem(`${path}: ${systemProblem(error)}`, { cause: error });
  }
}

/** The same, undefined when it can't be read for whatever reason. */
export function tryText(files: SystemFiles, path: string): string | undefined {
  try {
    return files.read(path);
  } catch {
    return undefined;
  }
}

export function isRefused(error: unknown): boolean {
  return ['EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException)?.code ?? '');
}

function systemProblem(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'no such file';
  return isRefused(error) ? 'permission denied' : message;
}
