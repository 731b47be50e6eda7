/** The one failure of this room: bad input, told with its place. */

import { join } from 'node:path';

export interface Place {
  /** Counted from 1, the header is line 1. */
  readonly line?: number;
  readonly column?: string;
}

/** A recording that cannot be read: which file, where, what was expected, what was got. */
export class RecordingError extends Error {
  override readonly name = 'RecordingError';
  readonly file: string;
  readonly line: number | undefined;
  readonly column: string | undefined;
  readonly #place: Place;
  readonly #problem: string;

  constructor(file: string, place: Place, problem: string) {
    const line = place.line === undefined ? '' : ` line ${place.line}`;
    const column = place.column === undefined ? '' : `, column '${place.column}'`;
    super(`${file}${line}${column}: ${problem}`);
    this.file = file;
    this.line = place.line;
    this.column = place.column;
    this.#place = place;
    this.#problem = problem;
  }

  /** The same, with the file's whole path. */
  within(directory: string): RecordingError {
    return new RecordingError(join(directory, this.file), this.#place, this.#problem);
  }
}

/** A value as an error shows it: short, and on one line. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 60 ? `${value.slice(0, 60)}...` : value}'`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return value === undefined ? 'nothing' : String(value);
}
