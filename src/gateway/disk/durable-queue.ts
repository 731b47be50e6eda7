/**
 * A queue of byte records on disk: first in, first out, bounded, whole again after a cut of power at any byte.
 *
 * It is a row of files. `append` only notes; `commit` writes what was noted and syncs once, however much it was. What
 * is done with is released: files that hold nothing else are removed, and how far that went is told by each later
 * record, so that a removal which a cut of power undid brings little back.
 */
import { assert } from '../../engine/limits.ts';
import type { Disk } from './disk.ts';
import { encodeRecord, queueHeaderBytes, recordHeaderBytes } from './queue-file.ts';
import { type QueueRecord, QueueSegments, type Segment } from './queue-segments.ts';

export interface DurableQueueOptions {
  readonly disk: Disk;
  /** Files are `<name>-00000001.queue` and so on. */
  readonly name: string;
  /** Of all files together, and of what waits to be written. */
  readonly maxBytes: number;
  /** A file that would grow beyond this is followed by the next. Default: an eighth of `maxBytes`. */
  readonly fileBytes?: number;
  readonly onProblem?: (text: string) => void;
  /** Told of what is found when opening, released or not. */
  readonly onFound?: (payload: Buffer) => void;
}

interface Pending {
  readonly sequence: number;
  readonly bytes: Buffer;
}

export class DurableQueue {
  /** What the disk refused; what was to be written stays in memory and is tried again. */
  failures = 0;
  /** Bytes of cut or damaged records that were found when opening. */
  repairedBytes = 0;
  /** Records that could not be read again. */
  lost = 0;
  readonly #options: DurableQueueOptions;
  readonly #segments: QueueSegments;
  #pending: Pending[] = [];
  #pendingBytes = 0;
  #last = 0;
  #durable = 0;
  #released = 0;
  /** What the files tell of it. */
  #releasedOnDisk = 0;
  /** Handed out by `read`, up to this number. */
  #readThrough = 0;
  /** One thing at a time is done to the files. */
  #working: Promise<unknown> = Promise.resolve();

  private constructor(options: DurableQueueOptions) {
    this.#options = options;
    const { disk, name, maxBytes } = options;
    this.#segments = new QueueSegments(disk, name, options.fileBytes ?? Math.ceil(maxBytes / 8));
  }

  /** Finds what an earlier run left. Rejects with what the disk says. */
  static async open(options: DurableQueueOptions): Promise<DurableQueue> {
    const queue = new DurableQueue(options);
    await queue.#recover();
    return queue;
  }

  /** Records that are not released, committed or not. */
  get count(): number {
    return this.#last - this.#released;
  }

  /** The number of the latest record. */
  get last(): number {
    return this.#last;
  }

  /** All records up to this number are done with. */
  get releasedThrough(): number {
    return this.#released;
  }

  /** All records up to this number were read. */
  get readThrough(): number {
    return this.#readThrough;
  }

  /** Records that were not yet read. */
  get unread(): number {
    return this.#last - this.#readThrough;
  }

  /** All records up to this number are safe from a cut of power. */
  get durableThrough(): number {
    return this.#durable;
  }

  /** Of the files, and of what waits to be written. */
  get bytes(): number {
    // Each that waits may need a file of its own.
    const headers = queueHeaderBytes * this.#pending.length;
    return this.#segments.bytes + this.#pendingBytes + headers;
  }

  counters(): { readonly [name: string]: number } {
    const { count, bytes, failures, lost, repairedBytes } = this;
    return { records: count, bytes, failures, lost, repairedBytes };
  }

  /** Notes a copy of a record; gives its number, or undefined when there is no room. */
  append(payload: Uint8Array): number | undefined {
    const bytes = encodeRecord(this.#last + 1, this.#released, payload);
    if (this.bytes + queueHeaderBytes + bytes.length > this.#options.maxBytes) return undefined;
    const sequence = ++this.#last;
    this.#pending.push({ sequence, bytes });
    this.#pendingBytes += bytes.length;
    return sequence;
  }

  /** Makes everything that was appended before safe; false when the disk refuses, to be tried again. Never rejects. */
  async commit(): Promise<boolean> {
    const wanted = this.#last;
    await this.#exclusively(async () => {
      this.#forgetReleased();
      while (this.#durable < wanted && (await this.#writeFile()));
    });
    return this.#durable >= wanted;
  }

  /** Everything up to and including this number is done with. */
  release(through: number): void {
    assert(through <= this.#last, 'only what was appended can be released');
    this.#released = Math.max(this.#released, through);
    this.#readThrough = Math.max(this.#readThrough, through);
  }

  /** Removes files that hold only what is released. Never rejects. */
  tidy(): Promise<void> {
    return this.#exclusively(async () => {
      this.#forgetReleased();
      for (let first = this.#segments.first; first !== undefined; first = this.#segments.first) {
        if (first.last > this.#released) break;
        await this.#segments.removeFirst().catch((error) => this.#refuse(error));
      }
    });
  }

  /** Releases what the oldest file holds, or else what waits to be written; gives how many records that were. */
  async dropOldest(): Promise<number> {
    const before = this.#released;
    this.release(this.#segments.first?.last ?? this.#last);
    await this.tidy();
    return this.#released - before;
  }

  /** What was appended is known to whoever would read it. */
  skipUnread(): void {
    this.#readThrough = this.#last;
  }

  /**
   * The next records, committed or not, each once, of about `maxBytes` and `maxRecords` at most but at least one, unless there
   * is none.
   */
  read(maxBytes: number, maxRecords = Number.POSITIVE_INFINITY): Promise<QueueRecord[]> {
    return this.#exclusively(async () => {
      for (;;) {
        const segment = this.#segments.after(this.#readThrough);
        if (segment === undefined) return this.#readPending(maxRecords);
        const records = await this.#readSegment(segment, maxBytes, maxRecords).catch((error) => {
          this.#refuse(error);
          this.lost += segment.last - this.#readThrough;
          this.#readThrough = segment.last;
          return [];
        });
        if (records.length > 0) return records;
      }
    });
  }

  /** Commits, notes what was released, and closes the files. */
  async close(): Promise<void> {
    await this.commit();
    await this.tidy();
    await this.#exclusively(async () => {
      if (this.#released > this.#releasedOnDisk)
        await this.#segments.mark(this.#released).catch((error) => this.#refuse(error));
      await this.#segments.close();
    });
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#working.then(work);
    this.#working = done.catch(() => {});
    return done;
  }

  /** What is done with before it was written need not be. */
  #forgetReleased(): void {
    const kept = this.#pending.filter(({ sequence }) => sequence > this.#released);
    this.#pendingBytes = kept.reduce((sum, { bytes }) => sum + bytes.length, 0);
    this.#pending = kept;
    this.#durable = Math.max(this.#durable, Math.min(this.#released, this.#last));
  }

  /** Writes what waits, as much as one file takes; false when the disk refuses. */
  async #writeFile(): Promise<boolean> {
    try {
      const needed = this.#pending[0]!.bytes.length;
      const segment = await this.#segments.forWriting(needed, this.#durable, this.#released);
      const batch = this.#batchFor(segment);
      const released = this.#released;
      const bytes = Buffer.concat(batch.map((each) => each.bytes));
      await this.#segments.append(segment, bytes);
      this.#pendingBytes -= bytes.length;
      this.#pending = this.#pending.slice(batch.length);
      segment.last = this.#durable = batch.at(-1)!.sequence;
      this.#releasedOnDisk = Math.min(released, this.#durable);
      return true;
    } catch (error) {
      this.#refuse(error);
      return false;
    }
  }

  /** The first records that wait, as many as fit, but at least one. */
  #batchFor({ bytes: used }: Segment): Pending[] {
    let size = used;
    const end = this.#pending.findIndex(({ bytes }, index) => {
      size += bytes.length;
      return index > 0 && size > this.#segments.fileBytes;
    });
    return end < 0 ? this.#pending : this.#pending.slice(0, end);
  }

  #refuse(error: unknown): void {
    this.failures++;
    this.#options.onProblem?.(`${this.#options.name} queue: ${(error as Error).message}`);
  }

  async #readSegment(segment: Segment, maxBytes: number, maxRecords: number): Promise<QueueRecord[]> {
    const records: QueueRecord[] = [];
    await this.#segments.read(segment, maxBytes, ({ sequence, payload }) => {
      if (sequence <= this.#readThrough) return true;
      this.#readThrough = sequence;
      records.push({ sequence, payload });
      return records.length < maxRecords;
    });
    return records;
  }

  #readPending(maxRecords: number): QueueRecord[] {
    const unread = this.#pending.filter(({ sequence }) => sequence > this.#readThrough).slice(0, maxRecords);
    this.#readThrough = unread.at(-1)?.sequence ?? this.#readThrough;
    return unread.map(({ sequence, bytes }) => ({ sequence, payload: bytes.subarray(recordHeaderBytes) }));
  }

  async #recover(): Promise<void> {
    const { last, released, repairedBytes } = await this.#segments.recover(this.#options.onFound);
    this.#last = this.#durable = last;
    this.#released = this.#releasedOnDisk = this.#readThrough = Math.min(released, last);
    this.repairedBytes = repairedBytes;
    await this.tidy();
  }
}
