/**
 * How one model follows another: vetted, kept, tested on a recording, beside the one at work on live ticks, in its
 * place with the old one beside it; and back, at any of these steps. What holds is on disk before it is acted on.
 */

import type { LoadedConfig } from '../config/load-config.ts';
import type { Disk } from '../disk/disk.ts';
import type { Served } from '../served.ts';
import { Candidacy, type CandidacyOptions, type Origin } from './candidacy.ts';
import { LiveTrial, type Verdict } from './live-trial.ts';
import { ModelKeeper } from './model-keeper.ts';
import type { ModelName, ModelState } from './model-store.ts';
import { Rehearsal, type RehearsalOptions } from './rehearsal.ts';
import { sha256Of } from './signature.ts';
import { ModelRefusal, type Offered, type RefusalCode, short, type Trust, vetModel } from './vet.ts';

export interface SuccessionOptions extends RehearsalOptions, CandidacyOptions {
  readonly trust: Trust;
  readonly disk: Disk;
}

/** A model under watch with which the gateway was started more often, and never stopped in order, is given up. */
const startsMax = 3;

export class Succession {
  readonly #options: SuccessionOptions;
  readonly #keeper: ModelKeeper;
  readonly #rehearsal: Rehearsal;
  readonly #candidacy: Candidacy;
  #trial: LiveTrial | undefined;
  /** To be considered once the gateway runs. */
  #pending: { readonly offered: Offered; readonly origin: Origin } | undefined;

  constructor(options: SuccessionOptions) {
    const { disk, log } = options;
    this.#options = options;
    this.#candidacy = new Candidacy(options);
    this.#rehearsal = new Rehearsal(options);
    this.#keeper = new ModelKeeper({ disk, log, vet: (offered, sha256) => this.#vet(offered, sha256) });
  }

  get isBusy(): boolean {
    return this.#candidacy.isOpen;
  }

  /** `file`: what lies where the config says, if it is a model. Rejects with ModelRefusal if none may be run at all. */
  async open(file: Offered | undefined): Promise<void> {
    await this.#keeper.open();
    const stored = await this.#keeper.find();
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
    this.#candidacy.begin({ name, origin });
    this.#admit(offered, name, origin, sha256).catch((error: Error) => void this.#refuse(refusalOf(error)));
  }

  /** Gives up the model that is on trial; without one, goes back to the model before. Throws RangeError without that. */
  rollback(): void {
    const reason = 'by command';
    if (this.#candidacy.phase === 'settling')
      throw new RangeError('expected a model that is settled, got one that is just changing: try again');
    if (this.#candidacy.phase === 'watch') void this.#fallBack('withdrawn', reason);
    else if (this.#candidacy.phase === 'canary') void this.#refuse(new ModelRefusal('withdrawn', reason));
    else if (this.isBusy) this.#candidacy.isWithdrawn = true;
    else if (this.#keeper.state?.previous == null)
      throw new RangeError('expected a model that worked before, got none');
    else void this.#goBack(this.#keeper.state, this.#keeper.state.previous, reason);
  }

  /** Time begins anew, for the model that is not at work too. */
  restartTime(): void {
    this.#trial?.restartTime();
  }

  /** Now and then: what the disk has refused. Never rejects. */
  async tend(): Promise<void> {
    if (!this.isBusy) await this.#keeper.tend();
  }

  /** For people: what works, what is on trial, how it does. */
  status() {
    const { previous = null } = this.#keeper.state ?? {};
    return {
      current: this.#options.gateway().served.loaded.modelSha256,
      previous: previous?.sha256 ?? null,
      phase: this.#candidacy.phase,
      candidate: this.#candidacy.candidate?.name.sha256 ?? null,
      selfTest: this.#candidacy.selfTest ?? null,
      trial: this.#trial?.report() ?? null,
    };
  }

  /** What was begun is finished or will be gone on with at the next start. Never rejects. */
  async stop(): Promise<void> {
    this.#rehearsal.isStopped = true;
    // An orderly end says nothing against a model under watch.
    const { state } = this.#keeper;
    if (this.#candidacy.phase === 'watch' && state !== undefined)
      await this.#keeper.record({ ...state, trial: 0 });
    await this.#keeper.settled();
  }

  #vet(offered: Offered, sha256?: string): LoadedConfig {
    const { gateway, trust } = this.#options;
    return vetModel(offered, trust, gateway().served.loaded, sha256);
  }

  /** There is no stored model that may be run: the file's. */
  async #beginWith(file: Offered, name: ModelName): Promise<void> {
    const gateway = this.#options.gateway();
    const loaded = this.#vet(file);
    if (loaded.modelSha256 !== gateway.served.loaded.modelSha256) gateway.serve(gateway.make(loaded));
    const state = { current: name, previous: null, candidate: null, file: name, trial: null };
    // Without a folder it runs all the same.
    await this.#keeper
      .keep(state, name, file.bytes)
      .catch((error) => this.#options.log.error(`models: ${error.message}`));
  }

  async #goOnWith(state: ModelState, loaded: LoadedConfig, file: Offered | undefined): Promise<void> {
    const gateway = this.#options.gateway();
    this.#keeper.state = state;
    if (loaded.modelSha256 !== gateway.served.loaded.modelSha256) gateway.serve(gateway.make(loaded));
    if (state.trial !== null) await this.#goOnWatching(state);
    const candidate = state.candidate === null ? undefined : await this.#keeper.read(state.candidate);
    if (candidate !== undefined) this.#pending = { offered: candidate, origin: { from: 'store' } };
    if (file !== undefined && !isSame(nameOf(file), state.file))
      this.#pending = { offered: file, origin: { from: 'file' } };
  }

  /** The gateway was stopped or has died while a new model was watched. */
  async #goOnWatching(state: ModelState): Promise<void> {
    const gateway = this.#options.gateway();
    const starts = state.trial! + 1;
    const before = state.previous === null ? undefined : await this.#keeper.load(state.previous);
    if (before === undefined) {
      await this.#keeper.record({ ...state, trial: null });
      return;
    }
    this.#candidacy.candidate = { name: state.current, origin: { from: 'store' } };
    if (starts > startsMax) {
      gateway.serve(gateway.make(before));
      const reason = `the gateway had to be started ${starts} times while it was watched`;
      await this.#backFrom(state, 'failed', reason);
    } else {
      await this.#keeper.record({ ...state, trial: starts });
      this.#watch(gateway.make(before));
    }
  }

  async #admit(offered: Offered, name: ModelName, { from }: Origin, sha256?: string): Promise<void> {
    const rehearsal = this.#rehearsal;
    const { state } = this.#keeper;
    if (state === undefined)
      throw new ModelRefusal('disk', 'expected a folder for models that can be written, got none');
    const file = from === 'file' ? name : state.file;
    if (name.sha256 === state.current.sha256) {
      if (!isSame(file, state.file)) await this.#keeper.record({ ...state, file });
      this.#candidacy.conclude({ sha256: name.sha256, outcome: 'alreadyAtWork' });
      return;
    }
    const next = this.#vet(offered, sha256);
    rehearsal.requireMemory(next, offered.bytes.length);
    await this.#keeper.keep({ ...state, candidate: name, file }, name, offered.bytes);
    const served = rehearsal.make(next);
    if (this.#options.config.selfTest !== undefined) this.#candidacy.enter('selfTest');
    this.#candidacy.selfTest = await rehearsal.test(served);
    await rehearsal.catchUp(served);
    if (rehearsal.isStopped) return;
    if (this.#candidacy.isWithdrawn) throw new ModelRefusal('withdrawn', 'by command');
    this.#beginCanary(served);
  }

  #beginCanary(served: Served): void {
    const { sha256 } = this.#candidacy.candidate!.name;
    this.#options.log.info(`models: ${short(sha256)} computes beside the model at work`);
    this.#try(served, 'beside', (verdict) => {
      if (verdict.kind === 'passed') void this.#promote(served);
      else
        void this.#refuse(new ModelRefusal(verdict.kind === 'failed' ? 'failed' : 'canary', verdict.problem));
    });
    this.#candidacy.enter('canary');
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
    this.#candidacy.enter('settling');
    const gateway = this.#options.gateway();
    const before = gateway.served;
    const state = this.#keeper.state!;
    const current = state.candidate!;
    const next = { ...state, current, previous: state.current, candidate: null, trial: 0 };
    if (!(await this.#keeper.commit(next))) {
      await this.#refuse(new ModelRefusal('disk', 'it could not be noted that it takes over'));
      return;
    }
    if (this.#rehearsal.isStopped) return;
    gateway.serve(served);
    this.#candidacy.tell({ sha256: current.sha256, outcome: 'promoted' });
    this.#watch(before);
  }

  /** The new model is at work, the one before beside it. */
  #watch(before: Served): void {
    this.#try(before, 'atWork', (verdict) => {
      if (verdict.kind === 'passed') void this.#confirm();
      else void this.#fallBack(verdict.kind === 'failed' ? 'failed' : 'canary', verdict.problem);
    });
    this.#candidacy.enter('watch');
  }

  async #confirm(): Promise<void> {
    this.#candidacy.enter('settling');
    this.#endTrial();
    const state = this.#keeper.state!;
    await this.#keeper.record({ ...state, trial: null });
    this.#candidacy.conclude({ sha256: state.current.sha256, outcome: 'confirmed' });
  }

  /** From the next tick on, without waiting for the disk: should the power be cut now, the watch is gone on with. */
  async #fallBack(code: RefusalCode, reason: string): Promise<void> {
    const gateway = this.#options.gateway();
    const { beside } = this.#trial!;
    this.#candidacy.enter('settling');
    this.#endTrial();
    if (gateway.served !== beside) gateway.serve(beside);
    await this.#backFrom(this.#keeper.state!, code, reason);
  }

  async #backFrom(state: ModelState, code: RefusalCode, reason: string): Promise<void> {
    await this.#keeper.record({ ...state, current: state.previous!, previous: null, trial: null });
    this.#candidacy.conclude({ sha256: state.current.sha256, outcome: 'rolledBack', code, reason });
  }

  /** A person wants the model before, long after it was replaced; the two change places. */
  async #goBack(state: ModelState, name: ModelName, reason: string): Promise<void> {
    const { sha256 } = state.current;
    this.#candidacy.enter('settling');
    try {
      await this.#changeTo(state, name);
      this.#candidacy.conclude({ sha256, outcome: 'rolledBack', code: 'withdrawn', reason });
    } catch (error) {
      this.#options.log.error(`models: ${short(name.sha256)}, from before: ${(error as Error).message}`);
      this.#candidacy.enter('idle');
    }
  }

  async #changeTo(state: ModelState, name: ModelName): Promise<void> {
    const loaded = await this.#keeper.load(name);
    if (loaded === undefined) throw new Error('it can not be had any more');
    const served = this.#rehearsal.make(loaded);
    const seen = await this.#rehearsal.catchUp(served);
    if (!(await this.#keeper.commit({ ...state, current: name, previous: state.current, trial: null })))
      throw new Error('it could not be noted that it is at work again');
    await this.#rehearsal.catchUp(served, seen);
    this.#options.gateway().serve(served);
  }

  async #refuse(refusal: ModelRefusal): Promise<void> {
    const { name, origin } = this.#candidacy.candidate!;
    this.#candidacy.enter('settling');
    this.#endTrial();
    const { state } = this.#keeper;
    if (state !== undefined) {
      const file = origin.from === 'file' ? name : state.file;
      if (state.candidate !== null || !isSame(file, state.file))
        await this.#keeper.record({ ...state, candidate: null, file });
    }
    const { code, message: reason } = refusal;
    this.#candidacy.conclude({ sha256: name.sha256, outcome: 'refused', code, reason });
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
