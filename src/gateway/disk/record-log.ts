/** An append-only log of fixed-size records: written in batches, rotated by size, whole again after a power cut. */
import { type Disk, type DiskFile, realDisk } from './disk.ts';
import { headerBytes, readRecordFile, writeHeader } from './record-file.ts';

export interface RecordLogOptions {
  readonly directory: string;
  /** Files are `<name>-00000001.log` and so on. */
  readonly name: string;
  /** Checksum included. */
  readonly recordBytes: number;
  /** A file that would grow beyond this is closed and the next one begun. */
  readonly fileBytes: number;
  /** Files kept; the oldest goes first. */
  readonly files: number;
  /** Records are written at the latest after so long. */
  readonly flushMs: number;
  /** Records held in memory at most, in each of two batches. */
  readonly batchRecords?: number;
  readonly onProblem?: (text: string) => void;
  /** Default: the folder `directory`. */
  readonly disk?: Disk;
}

/** A batch in memory. */
interface Batch {
  readonly bytes: Buffer;
  readonly view: DataView;
  count: number;
}

/** Appending never waits and never throws; a disk that refuses costs records only when both batches are full. */
export class RecordLog {
  /** Records that found no room in memory while the disk refused or was slow. */
  lost = 0;
  /** Records on disk, of this run. */
  written = 0;
  /** Writes that the disk refused; they are tried again. */
  failures = 0;
  /** Bytes of a cut or damaged record that were removed when opening. */
  repairedBytes = 0;
  readonly #options: RecordLogOptions;
  readonly #disk: Disk;
  readonly #capacity: number;
  #filling: Batch;
  /** Being written, or waiting to be tried again. */
  #full: Batch;
  #writing: Promise<void> | undefined;
  #file: DiskFile | undefined;
  #number = 0;
  #fileBytes = 0;
  readonly #timer: NodeJS.Timeout;

  private constructor(options: RecordLogOptions) {
    this.#options = options;
    this.#disk = options.disk ?? realDisk(options.directory);
    this.#capacity = options.batchRecords ?? 1024;
    const makeBatch = () => newBatch(this.#capacity * options.recordBytes);
    this.#filling = makeBatch();
    this.#full = makeBatch();
    this.#timer = setInterval(() => void this.flush(), options.flushMs);
    this.#timer.unref();
  }

  /** Opens the newest file and cuts what is damaged off its end, or begins the first. Throws what the disk throws. */
  static async open(options: RecordLogOptions): Promise<RecordLog> {
    const log = new RecordLog(options);
    try {
      await log.#openNewest();
    } catch (error) {
      clearInterval(log.#timer);
      throw error;
    }
    return log;
  }

  /** Adds a record; `write` puts its `recordBytes` at `offset`, the last four the CRC-32 of the others. */
  append(write: (into: DataView, offset: number) => void): void {
    if (this.#filling.count === this.#capacity && !this.#swap()) {
      this.lost++;
      return;
    }
    const { recordBytes } = this.#options;
    const offset = this.#filling.count * recordBytes;
    write(this.#filling.view, offset);
    this.#filling.count++;
    if (this.#filling.count === this.#capacity) void this.flush();
  }

  /** Writes everything that is in memory. Never rejects; what the disk refused is kept for the next time. */
  async flush(): Promise<void> {
    // Twice: what waits to be tried again, then what came after it.
    for (let batch = 0; batch < 2; batch++) {
      this.#swap();
      await this.#write();
      if (this.#full.count > 0) return;
    }
  }

  /** When what is being written now has been written. */
  settled(): Promise<void> {
    return this.#writing ?? Promise.resolve();
  }

  /** Flushes and closes the file. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
    await this.#file?.close();
    this.#file = undefined;
  }

  /** Exchanges the batches if the other one is empty. */
  #swap(): boolean {
    if (this.#full.count > 0) return false;
    [this.#filling, this.#full] = [this.#full, this.#filling];
    return true;
  }

  #write(): Promise<void> {
    this.#writing ??= this.#writeFull().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  async #writeFull(): Promise<void> {
    const batch = this.#full;
    if (batch.count === 0) return;
    try {
      const bytes = batch.count * this.#options.recordBytes;
      if (this.#fileBytes > headerBytes && this.#fileBytes + bytes > this.#options.fileBytes)
        await this.#rotate();
      // At a place of our own, not at the end: a refused write may have left a part behind.
      await this.#file!.write(this.#fileBytes, batch.bytes.subarray(0, bytes));
      await this.#file!.sync();
      this.#fileBytes += bytes;
      this.written += batch.count;
      batch.count = 0;
    } catch (error) {
      this.failures++;
      this.#options.onProblem?.(`${this.#options.name} log: ${(error as Error).message}`);
    }
  }

  async #openNewest(): Promise<void> {
    const numbers = await this.#fileNumbers();
    this.#number = numbers.at(-1) ?? 0;
    if (this.#number === 0) return this.#begin();
    const file = await this.#disk.open(this.#fileName(this.#number));
    const bytes = await file.read(0, file.size);
    const found = readRecordFile(bytes);
    // A header that was cut has no records behind it; a foreign one is left alone.
    if (found.recordBytes !== this.#options.recordBytes) {
      await file.close();
      if (bytes.length >= headerBytes) return this.#begin();
      this.#number--;
      return this.#begin();
    }
    this.repairedBytes = bytes.length - found.wholeBytes;
    this.#file = file;
    if (this.repairedBytes > 0) await file.truncate(found.wholeBytes);
    this.#fileBytes = found.wholeBytes;
  }

  async #rotate(): Promise<void> {
    const previous = this.#file;
    await this.#begin();
    await previous?.close();
    const numbers = await this.#fileNumbers();
    for (const number of numbers.slice(0, -this.#options.files))
      await this.#disk.remove(this.#fileName(number));
  }

  /** Begins the next file. */
  async #begin(): Promise<void> {
    const header = Buffer.alloc(headerBytes);
    writeHeader(header, this.#options.recordBytes);
    const file = await this.#disk.open(this.#fileName(this.#number + 1));
    // What a header that was cut has left.
    await file.truncate(0);
    await file.write(0, header);
    this.#file = file;
    this.#number++;
    this.#fileBytes = headerBytes;
  }

  async #fileNumbers(): Promise<number[]> {
    return logFileNumbers(await this.#disk.list(), this.#options.name);
  }

  #fileName(number: number): string {
    return logFileName(this.#options.name, number);
  }
}

function newBatch(size: number): Batch {
  const bytes = Buffer.alloc(size);
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, size), count: 0 };
}

export function logFileName(name: string, number: number): string {
  return `${name}-${String(number).padStart(8, '0')}.log`;
}

/** Numbers of the log's files, oldest first. */
export function logFileNumbers(files: readonly string[], name: string): number[] {
  const numbers = files.map((file) =>
    Number(/^(.+)-(\d{8})\.log$/.exec(file)?.[1] === name ? file.slice(-12, -4) : 0),
  );
  return numbers.filter((number) => number > 0).sort((a, b) => a - b);
}
