/** What a model goes through before it sees live ticks: room in memory, a recording, and what was seen lately. */
import { engineBytes } from '../../engine/engine.ts';
import type { ModelsConfig } from '../config/config.ts';
import type { LoadedConfig } from '../config/load-config.ts';
import type { Served } from '../served.ts';
import type { Gateway } from '../service.ts';
import type { Timers } from '../timers.ts';
import type { RecentTicks } from './recent-ticks.ts';
import { readSelfTest, SelfTest, type SelfTestReport } from './self-test.ts';
import { ModelRefusal } from './vet.ts';

export interface RehearsalOptions {
  readonly config: ModelsConfig;
  readonly gateway: () => Gateway;
  readonly timers: Timers;
  readonly recent: RecentTicks;
  /** Bytes that the process may still take; undefined: nobody set a bound. */
  readonly memoryLeft?: (() => number) | undefined;
}

/** Ticks, or rows, between two turns of the event loop: live ticks do not wait for more. */
const ticksPerTurn = 16;

export class Rehearsal {
  /** Nothing is gone on with. */
  isStopped = false;
  readonly #options: RehearsalOptions;

  constructor(options: RehearsalOptions) {
    this.#options = options;
  }

  /** Throws ModelRefusal unless there is room for a file of so many bytes, its engine, and another for the self-test. */
  requireMemory({ model }: LoadedConfig, fileBytes: number): void {
    const left = this.#options.memoryLeft?.();
    if (left === undefined) return;
    const tested = this.#options.config.selfTest === undefined ? 0 : this.#runningBytes;
    const needed = fileBytes + engineBytes(model.config) + tested;
    if (needed <= left) return;
    const expected = `expected to need at most ${Math.max(0, left)} bytes more`;
    throw new ModelRefusal('memory', `${expected}, got ${needed}`);
  }

  /** An engine and a pipeline beside those at work, and `moreBytes`. Throws ModelRefusal where the target has no room. */
  make(loaded: LoadedConfig, moreBytes = 0): Served {
    try {
      return this.#options.gateway().make(loaded, this.#runningBytes + moreBytes);
    } catch (error) {
      throw new ModelRefusal('memory', (error as Error).message, { cause: error });
    }
  }

  /** Both from the beginning of the recording. Leaves `served` as it was made. Rejects with ModelRefusal. */
  async test(served: Served): Promise<SelfTestReport | undefined> {
    const { config, timers, gateway } = this.#options;
    if (config.selfTest === undefined) return undefined;
    const { meaning } = served.loaded.model;
    const { totalBytes } = served.engine.memoryPlan;
    const trusted = this.make(gateway().served.loaded, totalBytes).pipeline;
    const pipelines = { trusted, judged: served.pipeline };
    const { thresholds } = config;
    const options = { config: config.selfTest, thresholds, timers };
    const test = new SelfTest(readSelfTest(config.selfTest, meaning), pipelines, meaning, options);
    while (!test.run(ticksPerTurn) && !this.isStopped) await this.#soon();
    const problem = this.isStopped ? undefined : test.problem();
    if (problem !== undefined) throw new ModelRefusal('selfTest', problem);
    served.pipeline.reset();
    return test.report();
  }

  /**
   * Lets it see what the model at work has seen, from tick `from` on. When this resolves it has seen the very last tick,
   * whose number is given.
   */
  async catchUp({ pipeline }: Served, from = this.#options.recent.oldest): Promise<number> {
    const { recent } = this.#options;
    let next = from;
    for (;;) {
      next = recent.replay(next, ticksPerTurn, (frame) => void pipeline.tick(frame));
      if (next >= recent.total || this.isStopped) return next;
      await this.#soon();
    }
  }

  get #runningBytes(): number {
    return this.#options.gateway().engine.memoryPlan.totalBytes;
  }

  #soon(): Promise<void> {
    return new Promise((resolve) => void this.#options.timers.soon(resolve));
  }
}
