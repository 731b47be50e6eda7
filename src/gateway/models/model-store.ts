/**
 * Models on disk: their files, named by their digests, and which of them works. What works is told by a small file with
 * a checksum; a change writes the next of them, syncs it, and only then removes the one before. So whatever a cut of
 * power leaves, one whole such file says either what was or what is, and the models that it names were synced before.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from '../../engine/crc32.ts';
import type { Disk } from '../disk/disk.ts';
import { sha256Of } from './signature.ts';
import type { Offered } from './vet.ts';

/** A model by its digest, and who vouched for it. */
export interface ModelName {
  readonly sha256: string;
  readonly signature: string | null;
}

export interface ModelState {
  /** The one that works. */
  readonly current: ModelName;
  /** The one that worked before it. */
  readonly previous: ModelName | null;
  /** The one that is on trial to become current. */
  readonly candidate: ModelName | null;
  /** What lay in the file that the config names when it was last looked at. */
  readonly file: ModelName;
  /** Starts of the gateway since `current` came, while it is still watched; null: it has stood the watch. */
  readonly trial: number | null;
}

const stateName = /^state-(\d{8})\.json$/;
const modelName = /^([0-9a-f]{64})\.safetensors$/;
const digestPattern = /^[0-9a-f]{64}$/;
const stateVersion = 1;

export class ModelStore {
  /** What the files say, the latest first; empty: nothing yet, or nothing whole. */
  states: readonly ModelState[];
  readonly #disk: Disk;
  #next: number;
  /** One thing at a time is done to the folder. */
  #working: Promise<unknown> = Promise.resolve();

  private constructor(disk: Disk, states: readonly ModelState[], next: number) {
    this.#disk = disk;
    this.states = states;
    this.#next = next;
  }

  /** Finds what an earlier run left. Rejects with what the disk says. */
  static async open(disk: Disk): Promise<ModelStore> {
    const numbers = (await disk.list()).flatMap((name) => {
      const match = stateName.exec(name);
      return match === null ? [] : [Number(match[1])];
    });
    numbers.sort((a, b) => b - a);
    const states: ModelState[] = [];
    for (const number of numbers) {
      const state = decodeState(await readWhole(disk, fileName(number)));
      if (state !== undefined) states.push(state);
    }
    return new ModelStore(disk, states, (numbers[0] ?? 0) + 1);
  }

  /** The bytes of a model; undefined: it is not there, or damaged. Rejects with what the disk says. */
  read(name: ModelName): Promise<Offered | undefined> {
    return this.#exclusively(async () => {
      const { sha256, signature } = name;
      const file = modelFile(sha256);
      if (!(await this.#disk.list()).includes(file)) return undefined;
      const bytes = await readWhole(this.#disk, file);
      return sha256Of(bytes) === sha256 ? { bytes, signature } : undefined;
    });
  }

  /** Keeps a model, synced. Rejects with what the disk says. */
  put(sha256: string, bytes: Uint8Array): Promise<void> {
    return this.#exclusively(async () => {
      const name = modelFile(sha256);
      if ((await this.#disk.list()).includes(name)) {
        const isWhole = sha256Of(await readWhole(this.#disk, name)) === sha256;
        if (isWhole && this.#isNamed(sha256)) return;
        // What is there may be whole and yet not safe: a system may take what it could not sync for written.
        await this.#disk.remove(name);
      }
      await this.#write(name, bytes);
    });
  }

  /** From now on this holds, whatever happens. Rejects with what the disk says: then what held before may hold still. */
  commit(state: ModelState): Promise<void> {
    return this.#exclusively(async () => {
      const number = this.#next++;
      await this.#write(fileName(number), encodeState(state));
      this.states = [state];
      await this.#tidy(state, number);
    });
  }

  /** Resolves when what was begun is done; never rejects. */
  async settled(): Promise<void> {
    await this.#working;
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#working.then(work);
    this.#working = done.catch(() => {});
    return done;
  }

  async #write(name: string, bytes: Uint8Array): Promise<void> {
    const file = await this.#disk.open(name);
    try {
      await file.truncate(0);
      await file.write(0, bytes);
      await file.sync();
    } catch (error) {
      await file.close().catch(() => {});
      await this.#disk.remove(name).catch(() => {});
      throw error;
    }
    await file.close();
  }

  /** A state names only what was synced before it. */
  #isNamed(sha256: string): boolean {
    return this.states.some(({ current, previous, candidate }) =>
      [current, previous, candidate].some((name) => name?.sha256 === sha256),
    );
  }

  /** Removes states from before, and models that nobody names. What can't be removed stays until the next time. */
  async #tidy(state: ModelState, number: number): Promise<void> {
    const { current, previous, candidate } = state;
    const named = [current, previous, candidate].map((name) => name?.sha256);
    for (const name of await this.#disk.list().catch(() => [])) {
      const isOldState = stateName.test(name) && name !== fileName(number);
      const digest = modelName.exec(name)?.[1];
      const isUnnamed = digest !== undefined && !named.includes(digest);
      if (isOldState || isUnnamed) await this.#disk.remove(name).catch(() => {});
    }
  }
}

/**
 * The bytes of the model that worked last, of a folder on the real disk, for when the file that the config names is
 * gone or damaged; undefined: there is none. Vouches for nothing but that it is whole.
 */
export function storedModelBytes(directory: string): Uint8Array | undefined {
  const names = existsSync(directory) ? readdirSync(directory) : [];
  const read = (name: string) => (names.includes(name) ? readFileSync(join(directory, name)) : undefined);
  for (const name of names
    .filter((each) => stateName.test(each))
    .sort()
    .reverse()) {
    const sha256 = decodeState(read(name)!)?.current.sha256;
    const bytes = sha256 === undefined ? undefined : read(modelFile(sha256));
    if (bytes !== undefined && sha256Of(bytes) === sha256) return bytes;
  }
  return undefined;
}

function fileName(number: number): string {
  return `state-${String(number).padStart(8, '0')}.json`;
}

function modelFile(sha256: string): string {
  return `${sha256}.safetensors`;
}

async function readWhole(disk: Disk, name: string): Promise<Buffer> {
  const file = await disk.open(name);
  try {
    return await file.read(0, file.size);
  } finally {
    await file.close();
  }
}

function checksum(text: string): string {
  return crc32(Buffer.from(text)).toString(16).padStart(8, '0');
}

/** One line: the checksum of the rest, then JSON. */
function encodeState(state: ModelState): Buffer {
  const text = JSON.stringify({ version: stateVersion, ...state });
  return Buffer.from(`${checksum(text)} ${text}\n`);
}

/** Undefined: it is cut, damaged, or another version's. */
function decodeState(bytes: Buffer): ModelState | undefined {
  const line = bytes.toString();
  const text = line.slice(9, -1);
  if (!line.endsWith('\n') || line.slice(0, 9) !== `${checksum(text)} `) return undefined;
  const { version, ...state } = JSON.parse(text) as ModelState & { version: number };
  const names = [state.current, state.previous, state.candidate, state.file];
  const isWhole = names.every((name) => name === null || digestPattern.test(name?.sha256));
  return version === stateVersion && isWhole && state.current !== null ? state : undefined;
}
