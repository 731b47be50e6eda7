/** The gated run as NDJSON: one line per tick, the same object that the gateway publishes, and the file it came from. */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { ModelMeaning } from '../engine/model.ts';
import type { Witness } from '../gate/witness.ts';
import type { Output } from '../gateway/output.ts';
import { resultOf } from '../gateway/results.ts';
import type { Trace } from './evaluation.ts';

const flushLength = 1 << 16;

/** Writes to a file that it opens at once. Throws what the disk throws. */
export class TraceFile implements Trace {
  readonly #descriptor: number;
  readonly #meaning: ModelMeaning;
  readonly #files: readonly string[];
  #text = '';

  /** `files`: names of the tested files, in order. */
  constructor(path: string, meaning: ModelMeaning, files: readonly string[]) {
    this.#descriptor = openSync(path, 'w');
    this.#meaning = meaning;
    this.#files = files;
  }

  row(file: number, _row: number, output: Output, witness: Witness | null): void {
    if (witness === null) return;
    const line = { file: this.#files[file]!, ...resultOf(witness, output, this.#meaning) };
    this.#text += `${JSON.stringify(line)}\n`;
    if (this.#text.length >= flushLength) this.#flush();
  }

  close(): void {
    this.#flush();
    closeSync(this.#descriptor);
  }

  #flush(): void {
    writeSync(this.#descriptor, this.#text);
    this.#text = '';
  }
}
