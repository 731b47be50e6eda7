/** The ledger's files: appended in batches, bounded in size, whole again after a power cut at any byte. */
import { access, mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
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
  exists(path: string): Promise<boolean>;
  /** Renames, over a file that is there. Names lie on the disk once `append` has resolved. */
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
      // A new file's name, and names that were changed to make room for it, are the directory's own to keep.
      if (keptBytes === 0) await syncDirectory(dirname(path));
      return keptBytes;
    } finally {
      await file.close();
    }
  },
  exists: (path) =>
    access(path).then(
      () => true,
      () => false,
    ),
  rename,
};

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

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
const filesMax = 1000;
/** A cut rotation leaves one number free; whoever deletes files by hand may leave some more. */
const gapMax = 8;

export class LedgerFile {
  readonly path: string;
  /** Bytes appended by this object. */
  writtenBytes = 0;
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
    if (!(this.#files >= 1 && this.#files <= filesMax))
      throw new RangeError(`files: expected 1 to ${filesMax}, got ${this.#files}`);
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
    this.writtenBytes += bytes;
  }

  /**
   * Moves each file one number up to the first number that is free, else over the oldest. A rotation that a power cut
   * ended halfway has left a free number: so going on costs no file.
   */
  async #rotate(): Promise<void> {
    let last = 1;
    while (last < this.#files - 1 && (await this.#disk.exists(this.#name(last)))) last++;
    for (let age = Math.min(last, this.#files - 1); age >= 1; age--)
      await this.#disk.rename(this.#name(age - 1), this.#name(age));
  }

  #name(age: number): string {
    return ledgerFileName(this.path, age);
  }
}

/** The file of that age; 0 is the one that is written. */
function ledgerFileName(path: string, age: number): string {
  return age === 0 ? path : `${path}.${age}`;
}

export const ledgerName = 'ledger.ndjson';

/** Every record of a ledger's files, oldest first. A directory without a ledger has none. Throws what the disk throws. */
export async function readLedgerFiles(
  directory: string,
  disk: LedgerDisk = realDisk,
): Promise<LedgerContents> {
  const path = join(directory, ledgerName);
  const parts: LedgerContents[] = [];
  for (let age = 0, missing = 0; missing < gapMax; age++) {
    const name = ledgerFileName(path, age);
    missing = (await disk.exists(name)) ? 0 : missing + 1;
    if (missing === 0) parts.unshift(readLedger(await disk.read(name)));
  }
  return {
    records: parts.flatMap(({ records }) => records),
    damagedLines: parts.reduce((sum, part) => sum + part.damagedLines, 0),
    wholeBytes: parts.reduce((sum, part) => sum + part.wholeBytes, 0),
  };
}
