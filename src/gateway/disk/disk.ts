/** The few things that the gateway's own files need of a disk, so that tests can cut its power at any byte. */
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** One folder. Every method rejects with what the disk says. */
export interface Disk {
  /** Names of the files; makes the folder if it is not there. */
  list(): Promise<string[]>;
  /** Opens a file, or makes an empty one. */
  open(name: string): Promise<DiskFile>;
  remove(name: string): Promise<void>;
}

/** After a cut of power, a file holds what was synced, and of what was written after that nobody knows what. */
export interface DiskFile {
  readonly size: number;
  /** Fewer bytes only where the file ends. */
  read(at: number, length: number): Promise<Buffer>;
  /** Writes all of `bytes` at `at`, which lies within the file or at its end. */
  write(at: number, bytes: Uint8Array): Promise<void>;
  truncate(size: number): Promise<void>;
  /** What was written, and the file's being there, are safe from a cut of power. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** The folder `directory` of a real disk. */
export function realDisk(directory: string): Disk {
  return {
    async list() {
      await mkdir(directory, { recursive: true });
      return readdir(directory);
    },
    open: (name) => RealFile.open(directory, name),
    remove: (name) => rm(join(directory, name), { force: true }),
  };
}

class RealFile implements DiskFile {
  size: number;
  readonly #directory: string;
  readonly #handle: FileHandle;
  /** Its name is not yet safe in the folder. */
  #isNew: boolean;

  private constructor(directory: string, handle: FileHandle, size: number) {
    this.#directory = directory;
    this.#handle = handle;
    this.size = size;
    this.#isNew = size === 0;
  }

  static async open(directory: string, name: string): Promise<RealFile> {
    const path = join(directory, name);
    const handle = await open(path, 'r+').catch(() => open(path, 'w+'));
    return new RealFile(directory, handle, (await handle.stat()).size);
  }

  async read(at: number, length: number): Promise<Buffer> {
    const buffer = Buffer.alloc(Math.max(0, Math.min(length, this.size - at)));
    let done = 0;
    while (done < buffer.length) {
      const { bytesRead } = await this.#handle.read(buffer, done, buffer.length - done, at + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return buffer.subarray(0, done);
  }

  async write(at: number, bytes: Uint8Array): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, at + done);
      done += bytesWritten;
    }
    this.size = Math.max(this.size, at + bytes.length);
  }

  async truncate(size: number): Promise<void> {
    await this.#handle.truncate(size);
    this.size = Math.min(this.size, size);
  }

  async sync(): Promise<void> {
    await this.#handle.datasync();
    if (!this.#isNew) return;
    await syncFolder(this.#directory);
    this.#isNew = false;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

async function syncFolder(directory: string): Promise<void> {
  const folder = await open(directory, 'r');
  try {
    await folder.sync();
  } catch (error) {
    // Not every system lets a folder be synced; where it can't be, it need not be.
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
  } finally {
    await folder.close();
  }
}

/** A disk writes whole blocks, however little is written. */
const blockBytes = 4096;

/** Counts what is written to a disk. */
export class DiskMeter implements Disk {
  /** In whole blocks. */
  bytesWritten = 0;
  readonly #disk: Disk;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  list(): Promise<string[]> {
    return this.#disk.list();
  }

  remove(name: string): Promise<void> {
    return this.#disk.remove(name);
  }

  async open(name: string): Promise<DiskFile> {
    const file = await this.#disk.open(name);
    return {
      get size() {
        return file.size;
      },
      read: (at, length) => file.read(at, length),
      write: (at, bytes) => {
        const first = Math.floor(at / blockBytes);
        this.bytesWritten += (Math.ceil((at + bytes.length) / blockBytes) - first) * blockBytes;
        return file.write(at, bytes);
      },
      truncate: (size) => file.truncate(size),
      sync: () => file.sync(),
      close: () => file.close(),
    };
  }
}
