/**
 * How one model follows another: vetted, kept, tested on a recording, beside the one at work on live ticks, in its
 * place with the old one beside it; and back, at any of these steps. What holds is on disk before it is acted on.
 */
import { engineBytes } from '../../engine/engine.ts';
import type { Frame } from '../../gate/packets.ts';
import type { ModelsConfig } from '../config.ts';
import type { Disk } from '../disk.ts';
import type { LoadedConfig } from '../load-config.ts';
import type { Log } from '../log.ts';
import type { Gateway, Served } from '../service.ts';
import type { Timers } from '../timers.ts';
import { LiveTrial, type Verdict } from './live-trial.ts';
import { type ModelName, type ModelState, ModelStore } from './model-store.ts';
import type { RecentTicks } from './recent-ticks.ts';
import { readSelfTest, SelfTest, type SelfTestReport } from './self-test.ts';
import { sha256Of } from './signature.ts';
import { ModelRefusal, type Offered, type RefusalCode, short, type Trust, vetModel } from './vet.ts';

/** Settling: it is decided, and waits for the disk. */
export type Phase = 'idle' | 'vetting' | 'selfTest' | 'canary' | 'watch' | 'settling';

/** Where a model came from; the id is that of an offer. */
export interface Origin {
  readonly from: 'file' | 'upload' | 'store';
  readonly id?: string | null;
}

/** What became of a model. */
export interface Outcome {
  readonly sha256: string;
  readonly outcome: 'promoted' | 'confirmed' | 'refused' | 'rolledBack' | 'alreadyAtWork';
  readonly code?: RefusalCode;
  readonly reason?: string;
}

export interface SuccessionOptions {
  readonly config: ModelsConfig;
  readonly gateway: () => Gateway;
  readonly trust: Trust;
  readonly log: Log;
  readonly timers: Timers;
  readonly disk: Disk;
  readonly recent: RecentTicks;
  /** Bytes that the process may still take; undefined: nobody set a bound. */
  readonly memoryLeft?: (() => number) | undefined;
  /** Something that `status` tells has changed. */
  readonly onChange: () => void;
  readonly onOutcome: (outcome: Outcome, origin: Origin) => void;
}

/** Ticks that a model catches up with, or rows of the self-test, between two turns of the event loop. */
const ticksPerTurn = 16;
/** A model under watch with which the gateway was started more often, and never stopped in order, is given up. */
const startsMax = 3;

export class Succession {
  readonly #options: SuccessionOptions;
  #store: ModelStore | undefined;
  #state: ModelState | undefined;
  #phase: Phase = 'idle';
  #candidate: { readonly name: ModelName; readonly origin: Origin } | undefined;
  #selfTest: SelfTestReport | undefined;
  #trial: LiveTrial | undefined;
  /** To be considered once the gateway runs. */
  #pending: { readonly offered: Offered; readonly origin: Origin } | undefined;
  #isStopped = false;
  /** The disk has refused what holds. */
  #isOwed = false;
  /** The candidate was given up while something was being waited for. */
  #isWithdrawn = false;

  constructor(options: SuccessionOptions) {
    this.#options = options;
  }

  get isBusy(): boolean {
    return this.#phase !== 'idle';
  }

  /** `file`: what lies where the config says, if it is a model. Rejects with ModelRefusal if none may be run at all. */
  async open(file: Offered | undefined): Promise<void> {
    this.#store = await this.#openStore();
    const stored = await this.#findStored();
    if (stored !== undefined) await this.#goOnWith(stored.state, stored.loaded, file);
    else if (file !== undefined) await this.#beginWith(file, nameOf(file));
    else throw new ModelRefusal('foreign', 'expected a stored model that may be run, got none');
  }

  start(): void {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending !== undefined && !this.isBusy) this.consider(pending.offered, pending.origin);
  }

  /** Begins to look at a model, which should have that digest; the end is told by `onOutcome`. Only while not busy. */
  consider(offered: Offered, origin: Origin, sha256?: string): void {
    const name = nameOf(offered);
    this.#candidate = { name, origin };
    this.#isWithdrawn = false;
    this.#selfTest = undefined;
    this.#enter('vetting');
    this.#admit(offered, name, origin, sha256).catch((error: Error) => void this.#refuse(refusalOf(error)));
  }

  /** Gives up the model that is on trial; without one, goes back to the model before. Throws RangeError without that. */
  rollback(): void {
    const reason = 'by command';
    if (this.#phase === 'settling')
      throw new RangeError('expected a model that is settled, got one that is just changing: try again');
    if (this.#phase === 'watch') void this.#fallBack('withdrawn', reason);
    else if (this.#phase === 'canary') void this.#refuse(new ModelRefusal('withdrawn', reason));
    else if (this.isBusy) this.#isWithdrawn = true;
    else if (this.#state?.previous == null)
      throw new RangeError('expected a model that worked before, got none');
    else void this.#goBack(this.#state.previous, reason);
  }

  /** A tick of an earlier run, for the model that is not at work too. */
  recall(frame: Frame): void {
    this.#trial?.beside.pipeline.tick(frame);
  }

  /** Time begins anew, for the model that is not at work too. */
  restartTime(): void {
    this.#trial?.restartTime();
  }

  /** Now and then: what the disk has refused. Never rejects. */
  async tend(): Promise<void> {
    if (this.#isOwed && !this.isBusy) await this.#commit(this.#state!);
  }

  /** For people: what works, what is on trial, how it does. */
  status() {
    const { previous = null } = this.#state ?? {};
    const trial = this.#trial?.report();
    return {
      current: this.#options.gateway().served.loaded.modelSha256,
      previous: previous?.sha256 ?? null,
      phase: this.#phase,
      candidate: this.#candidate?.name.sha256 ?? null,
      selfTest: this.#selfTest ?? null,
      trial: trial ?? null,
    };
  }

  /** What was begun is finished or will be gone on with at the next start. Never rejects. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    // An orderly end says nothing against a model under watch.
    if (this.#phase === 'watch' && this.#state !== undefined)
      await this.#record({ ...this.#state, trial: 0 });
    await this.#store?.settled();
  }

  /** A disk that refuses must not keep the gateway from its work. */
  async #openStore(): Promise<ModelStore | undefined> {
    try {
      return await ModelStore.open(this.#options.disk);
    } catch (error) {
      this.#options.log.error(`models: ${(error as Error).message}; no other model is taken on`);
      return undefined;
    }
  }

  /** The latest state whose model is whole and may be run. */
  async #findStored(): Promise<{ state: ModelState; loaded: LoadedConfig } | undefined> {
    for (const state of this.#store?.states ?? []) {
      const current = await this.#load(state.current);
      if (current !== undefined) return { state, loaded: current };
      const previous = state.previous === null ? undefined : await this.#load(state.previous);
      if (previous !== undefined)
        return {
          state: { ...state, current: state.previous!, previous: null, trial: null },
          loaded: previous,
        };
    }
    return undefined;
  }

  async #load(name: ModelName): Promise<LoadedConfig | undefined> {
    const { gateway, trust, log } = this.#options;
    try {
      const offered = await this.#store!.read(name);
      if (offered !== undefined) return vetModel(offered, trust, gateway().served.loaded, name.sha256);
      log.warning(`models: ${short(name.sha256)} is not whole any more`);
    } catch (error) {
      log.warning(`models: stored ${short(name.sha256)}: ${(error as Error).message}`);
    }
    return undefined;
  }

  /** There is no stored model that may be run: the file's. */
  async #beginWith(file: Offered, name: ModelName): Promise<void> {
    const gateway = this.#options.gateway();
    const loaded = vetModel(file, this.#options.trust, gateway.served.loaded);
    if (loaded.modelSha256 !== gateway.served.loaded.modelSha256) gateway.serve(gateway.make(loaded));
    const state = { current: name, previous: null, candidate: null, file: name, trial: null };
    await this.#keep(state, name, file.bytes);
  }

  async #goOnWith(state: ModelState, loaded: LoadedConfig, file: Offered | undefined): Promise<void> {
    const gateway = this.#options.gateway();
    this.#state = state;
    if (loaded.modelSha256 !== gateway.served.loaded.modelSha256) gateway.serve(gateway.make(loaded));
    if (state.trial !== null) await this.#goOnWatching(state);
    const candidate = state.candidate === null ? undefined : await this.#store!.read(state.candidate);
    if (candidate !== undefined) this.#pending = { offered: candidate, origin: { from: 'store' } };
    if (file !== undefined && !isSame(nameOf(file), state.file))
      this.#pending = { offered: file, origin: { from: 'file' } };
  }

  /** The gateway was stopped or has died while a new model was watched. */
  async #goOnWatching(state: ModelState): Promise<void> {
    const gateway = this.#options.gateway();
    const starts = state.trial! + 1;
    const before = state.previous === null ? undefined : await this.#load(state.previous);
    this.#candidate = { name: state.current, origin: { from: 'store' } };
    if (before === undefined) await this.#record({ ...state, trial: null });
    else if (starts > startsMax) {
      gateway.serve(gateway.make(before));
      const reason = `the gateway had to be started ${starts} times while it was watched`;
      await this.#backFrom(state, 'failed', reason);
    } else {
      await this.#record({ ...state, trial: starts });
      this.#watch(gateway.make(before, gateway.engine.memoryPlan.totalBytes));
    }
  }

  async #admit(offered: Offered, name: ModelName, { from }: Origin, sha256?: string): Promise<void> {
    const { trust } = this.#options;
    const gateway = this.#options.gateway();
    const state = this.#requireState();
    const file = from === 'file' ? name : state.file;
    if (name.sha256 === state.current.sha256) {
      if (!isSame(file, state.file)) await this.#record({ ...state, file });
      this.#conclude({ sha256: name.sha256, outcome: 'alreadyAtWork' });
      return;
    }
    const next = vetModel(offered, trust, gateway.served.loaded, sha256);
    this.#requireMemory(next, offered.bytes.length);
    await this.#keep({ ...state, candidate: name, file }, name, offered.bytes, true);
    if (this.#isStopped) return;
    const served = this.#make(next);
    await this.#test(served);
    await this.#catchUp(served, this.#options.recent.oldest);
    if (this.#isStopped) return;
    if (this.#isWithdrawn) throw new ModelRefusal('withdrawn', 'by command');
    this.#beginCanary(served);
  }

  #requireState(): ModelState {
    if (this.#state !== undefined) return this.#state;
    throw new ModelRefusal('disk', 'expected a folder for models that can be written, got none');
  }

  /** Two engines more for the self-test, one for the rest. */
  #requireMemory({ model }: LoadedConfig, fileBytes: number): void {
    const left = this.#options.memoryLeft?.();
    if (left === undefined) return;
    const running = this.#options.gateway().engine.memoryPlan.totalBytes;
    const engines = engineBytes(model.config) + (this.#options.config.selfTest === undefined ? 0 : running);
    const needed = engines + fileBytes;
    if (needed > left)
      throw new ModelRefusal(
        'memory',
        `expected to need at most ${Math.max(0, left)} bytes more, got ${needed}`,
      );
  }

  #make(loaded: LoadedConfig): Served {
    const gateway = this.#options.gateway();
    try {
      return gateway.make(loaded, gateway.engine.memoryPlan.totalBytes);
    } catch (error) {
      throw new ModelRefusal('memory', (error as Error).message, { cause: error });
    }
  }

  /** In slices, so that live ticks do not wait for it. */
  async #test(served: Served): Promise<void> {
    const { config, timers } = this.#options;
    if (config.selfTest === undefined) return;
    this.#enter('selfTest');
    const gateway = this.#options.gateway();
    const { meaning } = served.loaded.model;
    const trusted = gateway.make(gateway.served.loaded).pipeline;
    const pipelines = { trusted, judged: served.pipeline };
    const { thresholds } = config;
    const options = { config: config.selfTest, thresholds, timers };
    const test = new SelfTest(readSelfTest(config.selfTest, meaning), pipelines, meaning, options);
    while (!test.run(ticksPerTurn)) {
      await this.#soon();
      if (this.#isStopped) return;
    }
    this.#selfTest = test.report();
    const problem = test.problem();
    if (problem !== undefined) throw new ModelRefusal('selfTest', problem);
    served.pipeline.reset();
  }

  /**
   * Lets it see what the model at work has seen, from tick `from` on. When this resolves it has seen the very last tick,
   * whose number is given.
   */
  async #catchUp({ pipeline }: Served, from: number): Promise<number> {
    const { recent } = this.#options;
    let next = from;
    for (;;) {
      next = recent.replay(next, ticksPerTurn, (frame) => void pipeline.tick(frame));
      if (next >= recent.total || this.#isStopped) return next;
      await this.#soon();
    }
  }

  #soon(): Promise<void> {
    return new Promise((resolve) => void this.#options.timers.soon(resolve));
  }

  #beginCanary(served: Served): void {
    this.#options.log.info(`models: ${this.#candidateText()} computes beside the model at work`);
    this.#try(served, 'beside', (verdict) => {
      if (verdict.kind === 'passed') void this.#promote(served);
      else
        void this.#refuse(new ModelRefusal(verdict.kind === 'failed' ? 'failed' : 'canary', verdict.problem));
    });
    this.#enter('canary');
  }

  #try(beside: Served, judged: 'beside' | 'atWork', onVerdict: (verdict: Verdict) => void): void {
    const { config, timers } = this.#options;
    const gateway = this.#options.gateway();
    this.#trial = new LiveTrial({
      gateway,
      beside,
      judged,
      config: judged === 'beside' ? config.canary : config.watch,
      thresholds: config.thresholds,
      timers,
      onVerdict,
    });
    gateway.trial = this.#trial;
  }

  #endTrial(): void {
    this.#trial = undefined;
    this.#options.gateway().trial = undefined;
  }

  async #promote(served: Served): Promise<void> {
    this.#enter('settling');
    const gateway = this.#options.gateway();
    const before = gateway.served;
    const state = this.#state!;
    const current = state.candidate!;
    const next = { ...state, current, previous: state.current, candidate: null, trial: 0 };
    if (!(await this.#commit(next))) {
      await this.#refuse(new ModelRefusal('disk', 'it could not be noted that it takes over'));
      return;
    }
    if (this.#isStopped) return;
    gateway.serve(served);
    this.#tell({ sha256: current.sha256, outcome: 'promoted' });
    this.#watch(before);
  }

  /** The new model is at work, the one before beside it. */
  #watch(before: Served): void {
    this.#try(before, 'atWork', (verdict) => {
      if (verdict.kind === 'passed') void this.#confirm();
      else void this.#fallBack(verdict.kind === 'failed' ? 'failed' : 'canary', verdict.problem);
    });
    this.#enter('watch');
  }

  async #confirm(): Promise<void> {
    this.#enter('settling');
    this.#endTrial();
    await this.#record({ ...this.#state!, trial: null });
    this.#conclude({ sha256: this.#state!.current.sha256, outcome: 'confirmed' });
  }

  /** From the next tick on, without waiting for the disk: should the power be cut now, the watch is gone on with. */
  async #fallBack(code: RefusalCode, reason: string): Promise<void> {
    const gateway = this.#options.gateway();
    const { beside } = this.#trial!;
    this.#enter('settling');
    this.#endTrial();
    if (gateway.served !== beside) gateway.serve(beside);
    await this.#backFrom(this.#state!, code, reason);
  }

  async #backFrom(state: ModelState, code: RefusalCode, reason: string): Promise<void> {
    await this.#record({ ...state, current: state.previous!, previous: null, trial: null });
    this.#conclude({ sha256: state.current.sha256, outcome: 'rolledBack', code, reason });
  }

  /** A person wants the model before, long after it was replaced; the two change places. */
  async #goBack(name: ModelName, reason: string): Promise<void> {
    const { current } = this.#state!;
    this.#enter('settling');
    try {
      await this.#changeTo(name);
      this.#conclude({ sha256: current.sha256, outcome: 'rolledBack', code: 'withdrawn', reason });
    } catch (error) {
      this.#options.log.error(`models: ${short(name.sha256)}, from before: ${(error as Error).message}`);
      this.#enter('idle');
    }
  }

  async #changeTo(name: ModelName): Promise<void> {
    const gateway = this.#options.gateway();
    const state = this.#state!;
    const loaded = await this.#load(name);
    if (loaded === undefined) throw new Error('it can not be had any more');
    const served = this.#make(loaded);
    const seen = await this.#catchUp(served, this.#options.recent.oldest);
    if (!(await this.#commit({ ...state, current: name, previous: state.current, trial: null })))
      throw new Error('it could not be noted that it is at work again');
    await this.#catchUp(served, seen);
    gateway.serve(served);
  }

  async #refuse(refusal: ModelRefusal): Promise<void> {
    const { name, origin } = this.#candidate!;
    this.#enter('settling');
    this.#endTrial();
    const state = this.#state;
    if (state !== undefined) {
      const file = origin.from === 'file' ? name : state.file;
      if (state.candidate !== null || !isSame(file, state.file))
        await this.#record({ ...state, candidate: null, file });
    }
    const { code, message: reason } = refusal;
    this.#conclude({ sha256: name.sha256, outcome: 'refused', code, reason });
  }

  /** The candidate's way has ended. */
  #conclude(outcome: Outcome): void {
    this.#tell(outcome);
    this.#candidate = undefined;
    this.#enter('idle');
  }

  #tell(outcome: Outcome): void {
    const { log, onOutcome } = this.#options;
    const { sha256, outcome: what, reason } = outcome;
    const text = `models: ${short(sha256)} ${what}${reason === undefined ? '' : `: ${reason}`}`;
    if (reason === undefined) log.info(text);
    else log.warning(text);
    onOutcome(outcome, this.#candidate?.origin ?? { from: 'store' });
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#options.onChange();
  }

  /** The state, and a model that it names. Where it is not `required`, a refusing disk is only told. */
  async #keep(state: ModelState, name: ModelName, bytes: Uint8Array, required = false): Promise<void> {
    try {
      await this.#store?.put(name.sha256, bytes);
    } catch (error) {
      const text = `the folder of the models refuses: ${(error as Error).message}`;
      if (required) throw new ModelRefusal('disk', text, { cause: error });
      this.#options.log.error(`models: ${text}`);
      return;
    }
    if (!(await this.#commit(state)) && required)
      throw new ModelRefusal('disk', 'the folder of the models refuses');
  }

  /** What holds already: what the disk refuses of it is tried again. Never rejects. */
  async #record(state: ModelState): Promise<void> {
    this.#state = state;
    this.#isOwed = !(await this.#commit(state));
  }

  /** Whether it is on disk. Never rejects. */
  async #commit(state: ModelState): Promise<boolean> {
    if (this.#store === undefined) return false;
    try {
      await this.#store.commit(state);
    } catch (error) {
      this.#options.log.error(`models: ${(error as Error).message}`);
      return false;
    }
    this.#state = state;
    this.#isOwed = false;
    return true;
  }

  #candidateText(): string {
    return short(this.#candidate!.name.sha256);
  }
}

function nameOf({ bytes, signature }: Offered): ModelName {
  return { sha256: sha256Of(bytes), signature };
}

function isSame(one: ModelName, other: ModelName): boolean {
  return one.sha256 === other.sha256 && one.signature === other.signature;
}

/** Whatever a model makes go wrong is its fault, and ours to survive. */
function refusalOf(error: Error): ModelRefusal {
  return error instanceof ModelRefusal ? error : new ModelRefusal('failed', error.message, { cause: error });
}
