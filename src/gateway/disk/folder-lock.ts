/** One gateway at a time writes to a folder. A lock outlives no process: who was killed, or lost power, holds nothing. */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Who holds a folder. */
interface Holder {
  readonly pid: number;
  /** Tells one process of that number from a later one; empty where the system does not say. */
  readonly started: string;
}

/** Another process works in the folder. */
export class FolderHeldError extends Error {
  override readonly name = 'FolderHeldError';
}

const fileName = 'lock';

export class FolderLock {
  readonly #path: string;
  readonly #text: string;
  #isHeld = true;

  private constructor(path: string, text: string) {
    this.#path = path;
    this.#text = text;
  }

  /** Makes the folder if it must. Throws FolderHeldError, and what the disk says. */
  static take(directory: string): FolderLock {
    mkdirSync(directory, { recursive: true });
    const path = join(directory, fileName);
    const text = JSON.stringify({ pid: process.pid, started: startOf(process.pid) ?? '' } satisfies Holder);
    for (let tries = 0; tries < 3; tries++) {
      if (create(path, text)) return new FolderLock(path, text);
      const found = read(path);
      if (found === undefined) continue;
      const holder = parse(found);
      if (holder !== undefined && lives(holder))
        throw new FolderHeldError(
          `${directory}: expected a folder of its own, got one that the process with pid ${holder.pid} works in`,
        );
      remove(path, found);
    }
    throw new FolderHeldError(
      `${directory}: expected a folder of its own, got one that others are taking too`,
    );
  }

  /** May be called twice. */
  release(): void {
    if (this.#isHeld && read(this.#path) === this.#text) rmSync(this.#path, { force: true });
    this.#isHeld = false;
  }
}

/** False: somebody was before us. */
function create(path: string, text: string): boolean {
  // Whole or not at all: a reader must not take a lock that is being written for one that a cut of power left.
  const own = `${path}.${process.pid}`;
  writeFileSync(own, text);
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    // Not every file system has links.
    return createThere(path, text);
  } finally {
    rmSync(own, { force: true });
  }
}

function createThere(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** Undefined for what a cut of power left. */
function parse(text: string): Holder | undefined {
  try {
    const { pid, started } = JSON.parse(text) as Holder;
    return Number.isInteger(pid) && pid > 0 && typeof started === 'string' ? { pid, started } : undefined;
  } catch {
    return undefined;
  }
}

function lives({ pid, started }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  // The number may be another process's by now, above all after the machine was started again.
  const now = startOf(pid);
  return now === undefined || started === '' || now === started;
}

/** When a process was started, and in which life of the machine; undefined where the system does not tell. */
function startOf(pid: number): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name before it may hold anything. Field 22 of proc(5).
    return `${boot} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`;
  } catch {
    return undefined;
  }
}

/** Takes a lock away that nobody holds, unless somebody else has just done so and made one of his own. */
function remove(path: string, text: string): void {
  const aside = `${path}.old.${process.pid}`;
  try {
    renameSync(path, aside);
    if (read(aside) !== text) linkSync(aside, path);
  } catch {
    // It is somebody else's now; the next try sees whose.
  }
  rmSync(aside, { force: true });
}
