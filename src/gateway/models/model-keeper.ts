/** What holds of models, in memory and on disk: what the disk refuses is told, and tried again where it holds already. */

import type { LoadedConfig } from '../config/load-config.ts';
import type { Disk } from '../disk/disk.ts';
import type { Log } from '../log.ts';
import { type ModelName, type ModelState, ModelStore } from './model-store.ts';
import { ModelRefusal, type Offered, short } from './vet.ts';

export interface ModelKeeperOptions {
  readonly disk: Disk;
  readonly log: Log;
  /** Throws ModelRefusal for a model that may not be run. */
  readonly vet: (offered: Offered, sha256: string) => LoadedConfig;
}

export class ModelKeeper {
  /** Undefined: nothing could ever be kept. */
  state: ModelState | undefined;
  readonly #options: ModelKeeperOptions;
  #store: ModelStore | undefined;
  /** The disk has refused what holds. */
  #isOwed = false;

  constructor(options: ModelKeeperOptions) {
    this.#options = options;
  }

  /** A disk that refuses must not keep the gateway from its work. Never rejects. */
  async open(): Promise<void> {
    const { disk, log } = this.#options;
    try {
      this.#store = await ModelStore.open(disk);
    } catch (error) {
      log.error(`models: ${(error as Error).message}; no other model is taken on`);
    }
  }

  /** The latest state whose model is whole and may be run. Never rejects. */
  async find(): Promise<{ readonly state: ModelState; readonly loaded: LoadedConfig } | undefined> {
    for (const state of this.#store?.states ?? []) {
      const current = await this.load(state.current);
      if (current !== undefined) return { state, loaded: current };
      const { previous } = state;
      const loaded = previous === null ? undefined : await this.load(previous);
      if (loaded !== undefined)
        return { state: { ...state, current: previous!, previous: null, trial: null }, loaded };
    }
    return undefined;
  }

  /** A stored model, vetted; undefined after telling why not. Never rejects. */
  async load(name: ModelName): Promise<LoadedConfig | undefined> {
    const { vet, log } = this.#options;
    try {
      const offered = await this.#store?.read(name);
      if (offered !== undefined) return vet(offered, name.sha256);
      log.warning(`models: ${short(name.sha256)} is not whole any more`);
    } catch (error) {
      log.warning(`models: stored ${short(name.sha256)}: ${(error as Error).message}`);
    }
    return undefined;
  }

  /** A stored model as it is; undefined: it can't be had. Never rejects. */
  async read(name: ModelName): Promise<Offered | undefined> {
    return this.#store?.read(name).catch(() => undefined);
  }

  /** A model, and the state that names it. Rejects with ModelRefusal. */
  async keep(state: ModelState, { sha256 }: ModelName, bytes: Uint8Array): Promise<void> {
    const refuse = (why: string) => new ModelRefusal('disk', `the folder of the models refuses: ${why}`);
    if (this.#store === undefined) throw refuse('it could not be opened');
    try {
      await this.#store.put(sha256, bytes);
    } catch (error) {
      throw refuse((error as Error).message);
    }
    if (!(await this.commit(state))) throw refuse('it takes no state');
  }

  /** What holds already: what the disk refuses of it is tried again. Never rejects. */
  async record(state: ModelState): Promise<void> {
    this.state = state;
    this.#isOwed = !(await this.commit(state));
  }

  /** What holds if it is on disk; whether it is. Never rejects. */
  async commit(state: ModelState): Promise<boolean> {
    if (this.#store === undefined) return false;
    try {
      await this.#store.commit(state);
    } catch (error) {
      this.#options.log.error(`models: ${(error as Error).message}`);
      return false;
    }
    this.state = state;
    this.#isOwed = false;
    return true;
  }

  /** Now and then: what the disk has refused. Never rejects. */
  async tend(): Promise<void> {
    if (this.#isOwed) await this.commit(this.state!);
  }

  /** When what was begun is done. Never rejects. */
  async settled(): Promise<void> {
    await this.#store?.settled();
  }
}
