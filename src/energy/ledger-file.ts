/** The ledger's files: appended in batches, bounded in size, whole again after a power cut at any byte. */
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type LedgerContents, readLedger } from './ledger-record.ts';

/** What the ledger needs of a disk; injected so that a test can fill it up or take it away. */
export interface LedgerDisk {
  /** The file's bytes; empty when there is no such file. */
  read(path: string): Promise<Uint8Array>;
  /**
   * Makes the folder if need be, cuts the file to `keepBytes` at most, appends `text`, and waits until it lies on the disk.
   * Resolves to the bytes that were there before `text`: fewer than `keepBytes` if somebody else cut the file.
   */
  append(path: string, keepBytes: number, text: string): Promise<number>;
  rename(from: string, to: string): Promise<void>;
}

export const realDisk: LedgerDisk = {
  async read(path) {
    try {
      return await readFile(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Uint8Array(0);
      throw error;
    }
  },
  async append(path, keepBytes, text) {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(path, 'a');
    try {
      const { size } = await file.stat();
      const keptBytes = Math.min(size, keepBytes);
      await file.truncate(keptBytes);
      await file.appendFile(text);
      await file.datasync();
      return keptBytes;
    } finally {
      await file.close();
    }
  },
  rename,
};

export interface LedgerFileOptions {
  /** The file that is written; older ones are `path.1`, `path.2` and so on. */
  readonly path: string;
  /** A file that would grow beyond this is put aside first. */
  readonly maxBytes?: number;
  /** Files kept, the written one included. */
  readonly files?: number;
  readonly disk?: LedgerDisk;
}

const defaultMaxBytes = 1 << 20;
const defaultFiles = 8;

export class LedgerFile {
  readonly path: string;
  readonly #maxBytes: number;
  readonly #files: number;
  readonly #disk: LedgerDisk;
  /** Bytes known to be whole records; unknown until the file was read. */
  #wholeBytes: number | undefined;

  constructor(options: LedgerFileOptions) {
    this.path = options.path;
    this.#maxBytes = options.maxBytes ?? defaultMaxBytes;
    this.#files = options.files ?? defaultFiles;
    this.#disk = options.disk ?? realDisk;
    if (!(this.#maxBytes >= 4096))
      throw new RangeError(`maxBytes: expected at least 4096, got ${this.#maxBytes}`);
    if (!(this.#files >= 1)) throw new RangeError(`files: expected at least 1, got ${this.#files}`);
  }

  /** Reads what is there. Throws what the disk throws. */
  async contents(): Promise<LedgerContents> {
    const contents = readLedger(await this.#disk.read(this.path));
    this.#wholeBytes = contents.wholeBytes;
    return contents;
  }

  /**
   * Appends whole lines, all or none: the rest of a write that failed or was cut is removed first.
   * Throws what the disk throws; the same text may then be appended again.
   */
  async append(text: string): Promise<void> {
    const bytes = Buffer.byteLength(text);
    let wholeBytes = this.#wholeBytes ?? (await this.contents()).wholeBytes;
    if (wholeBytes > 0 && wholeBytes + bytes > this.#maxBytes) {
      await this.#rotate();
      wholeBytes = this.#wholeBytes = 0;
    }
    this.#wholeBytes = (await this.#disk.append(this.path, wholeBytes, text)) + bytes;
  }

  /** Moves each file one number up, over the oldest. Missing ones are no failure. */
  async #rotate(): Promise<void> {
    for (let age = this.#files - 1; age >= 1; age--) {
      const from = age === 1 ? this.path : `${this.path}.${age - 1}`;
      await this.#disk.rename(from, `${this.path}.${age}`).catch(ignoreMissing);
    }
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
