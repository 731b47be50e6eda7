/** The row of files under a durable queue: written at its end, read from wherever it was read last, removed at its start. */
import type { Disk, DiskFile } from './disk.ts';
import {
  decodeRecord,
  encodeQueueHeader,
  encodeRecord,
  queueFileName,
  queueFileNumbers,
  queueHeaderBytes,
  recordHeaderBytes,
  recordLengthAt,
  scanQueueFile,
} from './queue-file.ts';

export interface QueueRecord {
  readonly sequence: number;
  readonly payload: Buffer;
}

/** A file that holds records up to number `last`. */
export interface Segment {
  readonly number: number;
  readonly file: DiskFile;
  last: number;
  /** Length up to the last whole record. */
  bytes: number;
}

/** What an earlier run left: the last record, how far records were released, and bytes of cut or damaged ones. */
interface Recovered {
  last: number;
  released: number;
  repairedBytes: number;
}

/** One thing at a time is done to it. What the disk refuses rejects. */
export class QueueSegments {
  /** A file that would grow beyond this is followed by the next. */
  readonly fileBytes: number;
  readonly #disk: Disk;
  readonly #name: string;
  readonly #segments: Segment[] = [];
  #nextFile = 1;
  /** Where to read on, in which file. */
  #cursor = { file: 0, at: queueHeaderBytes };
  /** A write or a sync failed: what the last file holds beyond its whole records is not known. */
  #isDoubtful = false;

  constructor(disk: Disk, name: string, fileBytes: number) {
    this.#disk = disk;
    this.#name = name;
    this.fileBytes = fileBytes;
  }

  get bytes(): number {
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  get first(): Segment | undefined {
    return this.#segments[0];
  }

  /** The one with the first record after that number. */
  after(sequence: number): Segment | undefined {
    return this.#segments.find(({ last }) => last > sequence);
  }

  /** `onFound` is told of every record's payload, released or not. */
  async recover(onFound: ((payload: Buffer) => void) | undefined): Promise<Recovered> {
    const recovered = { last: 0, released: 0, repairedBytes: 0 };
    const numbers = queueFileNumbers(await this.#disk.list(), this.#name);
    for (const number of numbers) await this.#recoverFile(number, recovered, onFound);
    this.#nextFile = (numbers.at(-1) ?? 0) + 1;
    return recovered;
  }

  async #recoverFile(
    number: number,
    recovered: Recovered,
    onFound: ((payload: Buffer) => void) | undefined,
  ): Promise<void> {
    const file = await this.#disk.open(this.#fileName(number));
    const bytes = await file.read(0, file.size);
    const found = scanQueueFile(bytes, onFound);
    recovered.repairedBytes += bytes.length - found.wholeBytes;
    if (found.wholeBytes === 0) {
      await file.close();
      await this.#disk.remove(this.#fileName(number));
      return;
    }
    recovered.last = Math.max(recovered.last, found.last);
    recovered.released = Math.max(recovered.released, found.released);
    if (bytes.length > found.wholeBytes) await file.truncate(found.wholeBytes);
    // A program that was killed may not have synced what it wrote.
    await file.sync();
    this.#segments.push({ number, file, last: recovered.last, bytes: found.wholeBytes });
  }

  /**
   * Where the next `bytes` go; a new file begins after record `last`, with what was released. After a refusal never the
   * same file: a system may take what it could not sync for written.
   */
  async forWriting(bytes: number, last: number, released: number): Promise<Segment> {
    const end = this.#segments.at(-1);
    const isFull = end !== undefined && end.bytes + bytes > this.fileBytes && end.bytes > queueHeaderBytes;
    if (end !== undefined && !isFull && !this.#isDoubtful) return end;
    const number = this.#nextFile++;
    const file = await this.#disk.open(this.#fileName(number));
    try {
      await file.write(0, encodeQueueHeader(released));
    } catch (error) {
      await file.close().catch(() => {});
      await this.#disk.remove(this.#fileName(number)).catch(() => {});
      throw error;
    }
    const segment = { number, file, last, bytes: queueHeaderBytes };
    this.#segments.push(segment);
    this.#isDoubtful = false;
    return segment;
  }

  /** At the end of a segment, synced. */
  async append(segment: Segment, bytes: Buffer): Promise<void> {
    this.#isDoubtful = true;
    await segment.file.write(segment.bytes, bytes);
    await segment.file.sync();
    this.#isDoubtful = false;
    segment.bytes += bytes.length;
  }

  /** Tells of what was released, where there is a file that can be trusted. */
  async mark(released: number): Promise<void> {
    const end = this.#segments.at(-1);
    if (end !== undefined && !this.#isDoubtful)
      await this.append(end, encodeRecord(0, released, Buffer.alloc(0)));
  }

  async removeFirst(): Promise<void> {
    const { file, number } = this.#segments.shift()!;
    await file.close();
    await this.#disk.remove(this.#fileName(number));
  }

  /** Shows `take` the next records of a segment, of about `maxBytes` but at least one, until that wants no more. */
  async read(
    { number, file, bytes: end }: Segment,
    maxBytes: number,
    take: (record: QueueRecord) => boolean,
  ): Promise<void> {
    if (this.#cursor.file !== number) this.#cursor = { file: number, at: queueHeaderBytes };
    const { at: from } = this.#cursor;
    let chunk = await file.read(from, Math.min(Math.max(maxBytes, recordHeaderBytes), end - from));
    const first = recordLengthAt(chunk, 0) ?? 0;
    if (first > chunk.length) chunk = await file.read(from, first);
    let at = 0;
    for (let record = decodeRecord(chunk, at); record !== undefined; record = decodeRecord(chunk, at)) {
      at += record.length;
      if (!take(record)) break;
    }
    if (at === 0) throw new Error(`${this.#fileName(number)}: no record at ${from}, where there was one`);
    this.#cursor.at = from + at;
  }

  async close(): Promise<void> {
    for (const { file } of this.#segments) await file.close().catch(() => {});
  }

  #fileName(number: number): string {
    return queueFileName(this.#name, number);
  }
}
