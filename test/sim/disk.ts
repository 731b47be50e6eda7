/** A disk in memory whose power can be cut, that fills up, breaks, and can be made read-only; all by one seed. */
import type { Disk, DiskFile } from '../../src/gateway/disk/disk.ts';

interface Content {
  /** As a running system sees it. */
  bytes: Buffer;
  /** As it was when it was last synced; undefined: the file's name was never synced. */
  synced: Buffer | undefined;
  /** A sync failed once: the system takes what was to be synced for clean, and never writes it. */
  isDoubtful: boolean;
}

export interface SimulatedDiskOptions {
  readonly random: () => number;
  /** Of all files. */
  readonly capacityBytes?: number;
}

export class SimulatedDisk implements Disk {
  /** The next operations fail with this code. */
  failure: string | undefined;
  /** Syncs fail, what comes before them does not. */
  failsToSync = false;
  /** Says that it has synced and has not. */
  lies = false;
  bytesWritten = 0;
  syncs = 0;
  capacityBytes: number;
  /** Called before each operation, so that a test may cut the power in the middle of anything. */
  onOperation: (() => void) | undefined;
  readonly #random: () => number;
  #files = new Map<string, Content>();
  /** Removed, but the folder is not synced. */
  #removed = new Map<string, Content>();
  /** Handles from before a cut of power are void. */
  #life = 0;

  constructor({ random, capacityBytes = Number.POSITIVE_INFINITY }: SimulatedDiskOptions) {
    this.#random = random;
    this.capacityBytes = capacityBytes;
  }

  get usedBytes(): number {
    let sum = 0;
    for (const { bytes } of this.#files.values()) sum += bytes.length;
    return sum;
  }

  /**
   * Of each file stays what was synced, and of what was written since any part: cut off at any byte, or with zeros or
   * nonsense where data should be. Files that were removed may be back.
   */
  cutPower(): void {
    this.#life++;
    for (const [name, content] of [...this.#removed, ...this.#files]) {
      const survives = this.#files.has(name)
        ? content.synced !== undefined || this.#chance(0.5)
        : this.#chance(0.5);
      const isOlder = !this.#files.has(name);
      if (!survives || (isOlder && content.synced === undefined)) this.#files.delete(name);
      else this.#files.set(name, this.#afterCut(content));
    }
    this.#removed.clear();
  }

  async list(): Promise<string[]> {
    this.#operate();
    return [...this.#files.keys()].sort();
  }

  async open(name: string): Promise<DiskFile> {
    this.#operate();
    let content = this.#files.get(name);
    if (content === undefined) {
      this.#requireWritable();
      content = { bytes: Buffer.alloc(0), synced: undefined, isDoubtful: false };
      this.#files.set(name, content);
    }
    return this.#fileOf(content);
  }

  async remove(name: string): Promise<void> {
    this.#operate();
    this.#requireWritable();
    const content = this.#files.get(name);
    if (content !== undefined) this.#removed.set(name, content);
    this.#files.delete(name);
  }

  #fileOf(content: Content): DiskFile {
    const life = this.#life;
    const operate = () => {
      this.#operate();
      if (life !== this.#life) throw new Error('this program has lost its power');
    };
    const disk = this;
    return {
      get size() {
        return content.bytes.length;
      },
      async read(at, length) {
        operate();
        return Buffer.from(content.bytes.subarray(at, at + length));
      },
      async write(at, bytes) {
        operate();
        disk.#requireWritable();
        if (at > content.bytes.length) throw new Error(`a hole from ${content.bytes.length} to ${at}`);
        const room = disk.capacityBytes - disk.usedBytes;
        const fits = Math.min(bytes.length, Math.max(0, content.bytes.length - at + room));
        disk.#overwrite(content, at, bytes.subarray(0, fits));
        if (fits < bytes.length) throw diskError('ENOSPC');
      },
      async truncate(size) {
        operate();
        disk.#requireWritable();
        content.bytes = content.bytes.subarray(0, size);
        if (content.synced !== undefined) content.synced = content.synced.subarray(0, size);
      },
      async sync() {
        operate();
        disk.#requireWritable();
        disk.syncs++;
        content.isDoubtful ||= disk.failsToSync;
        if (disk.failsToSync) throw diskError('EIO');
        if (disk.lies) return;
        // The folder of a new file is synced too, and with it what was removed before.
        if (content.synced === undefined) disk.#removed.clear();
        if (!content.isDoubtful) content.synced = Buffer.from(content.bytes);
      },
      async close() {},
    };
  }

  #overwrite(content: Content, at: number, bytes: Uint8Array): void {
    const { bytes: old } = content;
    content.bytes = Buffer.concat([old.subarray(0, at), bytes, old.subarray(at + bytes.length)]);
    this.bytesWritten += bytes.length;
  }

  #afterCut({ bytes, synced = Buffer.alloc(0) }: Content): Content {
    if (bytes.equals(synced)) return { bytes: synced, synced, isDoubtful: false };
    // Appended only: what was synced is a beginning of what was written.
    const kept = synced.length + Math.floor(this.#random() * (bytes.length - synced.length + 1));
    const after = Buffer.from(bytes.subarray(0, kept));
    const damageFrom = synced.length + Math.floor(this.#random() * (kept - synced.length + 1));
    if (this.#chance(0.3)) after.fill(0, damageFrom);
    else if (this.#chance(0.2)) for (let i = damageFrom; i < kept; i++) after[i] = this.#random() * 256;
    return { bytes: after, synced: after, isDoubtful: false };
  }

  #operate(): void {
    this.onOperation?.();
    if (this.failure !== undefined && this.failure !== 'EROFS') throw diskError(this.failure);
  }

  #requireWritable(): void {
    if (this.failure === 'EROFS') throw diskError('EROFS');
  }

  #chance(share: number): boolean {
    return this.#random() < share;
  }
}

export function diskError(code: string): Error {
  return Object.assign(new Error(`${code}: simulated`), { code });
}

/** A disk of a process that may be killed: what it has not begun it never will. */
export function mortalDisk(disk: SimulatedDisk, isAlive: () => boolean): Disk {
  const alive = <T>(call: () => Promise<T>): Promise<T> => (isAlive() ? call() : new Promise(() => {}));
  const mortalFile = (file: DiskFile): DiskFile => ({
    get size() {
      return file.size;
    },
    read: (at, length) => alive(() => file.read(at, length)),
    write: (at, bytes) => alive(() => file.write(at, bytes)),
    truncate: (size) => alive(() => file.truncate(size)),
    sync: () => alive(() => file.sync()),
    close: () => alive(() => file.close()),
  });
  return {
    list: () => alive(() => disk.list()),
    open: (name) => alive(async () => mortalFile(await disk.open(name))),
    remove: (name) => alive(() => disk.remove(name)),
  };
}
