/**
 * Keeps what a gateway remembers beyond the end of its process, even by SIGKILL: a snapshot now and then, and in between
 * everything that is done with, so that the next process gets to where this one was by living it again.
 *
 * What is not done with (the broker has not taken its result) is not noted: the broker, or the journal, brings it again.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Override } from '../../gate/judgement.ts';
import type { Policy } from '../../gate/policy.ts';
import type { Witness } from '../../gate/witness.ts';
import { FolderLock } from '../disk/folder-lock.ts';
import type { Pipeline } from '../pipeline.ts';
import { readSnapshot, type StateOwners, takeSnapshot } from './snapshot.ts';
import { encodeTick, makeTickRecord, readTickLog, TickLog, type TickRecord } from './tick-log.ts';

export interface KeeperOptions {
  readonly directory: string;
  readonly channels: number;
  readonly routes: number;
  /** Those that are at work now; another model has others. */
  readonly owners: () => StateOwners;
  /** Of the owners, the policy and whatever else decides what a state means. */
  readonly identity: () => string;
  /** What the rule of publishing remembers, and where that is put back. */
  readonly published: () => string;
  readonly onPublished: (text: string) => void;
  /** A tick is lived again. */
  readonly onReplay: (witness: Witness) => void;
  readonly onProblem: (text: string) => void;
}

/** Positions are what logs hold: append, never reorder. */
const overrides: readonly Override[] = ['none', 'safe', 'skip'];
/** A log that grows beyond this asks for a snapshot; one that gets none within twice of it is given up. */
const logName = /^ticks-\d+$/;
const logBytesMax = 8 << 20;

interface Pending {
  readonly output: number;
  readonly bytes: Buffer;
}

export class StateKeeper {
  /** Ticks that were lived again at the start; undefined: there was no state to go on from. */
  replayed: number | undefined;
  snapshots = 0;
  failures = 0;
  /** Bytes given to the disk, since the start. */
  bytesWritten = 0;
  readonly #options: KeeperOptions;
  readonly #lock: FolderLock;
  readonly #record: TickRecord;
  /** Undefined while there is no snapshot that a log could follow. */
  #log: TickLog | undefined;
  #nextLog = 1;
  #pending: Pending[] = [];
  #settled = 0;
  #isRestart = false;
  #revision = 0;
  /** What is at work, as far as it was noted. */
  #pipeline: Pipeline;
  #policy: Policy;
  #forgets: number;
  #lastOutput = 0;
  #isWanted = true;
  #writing: Promise<void> | undefined;
  #isClosed = false;

  /** Takes the folder, and goes on from what lies there, if that fits. Throws FolderHeldError and what the disk says. */
  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#lock = FolderLock.take(options.directory);
    this.#record = makeTickRecord(options.channels, options.routes);
    try {
      this.#recover();
    } catch (error) {
      this.#lock.release();
      throw error;
    }
    const { pipeline, frames } = options.owners();
    this.#pipeline = pipeline;
    this.#forgets = pipeline.forgets;
    this.#revision = frames.revision;
    this.#policy = pipeline.policy;
  }

  /** Time begins anew with the next tick. */
  restart(): void {
    this.#isRestart = true;
  }

  /** A tick is over, and so many outputs have been pushed with its own. */
  tick(output: number): void {
    this.#note(true, output);
  }

  /** A message is worked on: if it made no tick, what it said is noted. */
  message(output: number): void {
    if (this.#options.owners().frames.revision !== this.#revision) this.#note(false, output);
  }

  /** All outputs up to this one are settled. To be called before what comes of them is acknowledged. */
  settle(output: number): void {
    this.#settled = Math.max(this.#settled, output);
    let count = 0;
    while (count < this.#pending.length && this.#pending[count]!.output <= this.#settled)
      this.#append(this.#pending[count++]!.bytes);
    if (count > 0) this.#pending.splice(0, count);
    this.#snapshotIfQuiet();
  }

  /** From the next quiet moment on there is a snapshot of that moment. */
  wantSnapshot(): void {
    this.#isWanted = true;
    this.#snapshotIfQuiet();
  }

  counters(): { readonly [name: string]: number | null } {
    const { snapshots, failures, bytesWritten, replayed = null } = this;
    return { snapshots, replayed, failures, bytesWritten };
  }

  /** Once every snapshot that was begun is there, or has failed. */
  async written(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  /** A last snapshot, if what came is done with. Never rejects. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.wantSnapshot();
    await this.written();
    this.#isClosed = true;
    this.#log?.close();
    this.#lock.release();
  }

  get #snapshotPath(): string {
    return join(this.#options.directory, 'snapshot');
  }

  #logPath(number: number): string {
    return join(this.#options.directory, `ticks-${number}`);
  }

  #recover(): void {
    const found = readSnapshot(readOr(this.#snapshotPath));
    const { owners, identity, onProblem, onPublished } = this.#options;
    if (found === undefined) return;
    this.#nextLog = found.head.log + 2;
    if (found.head.identity !== identity())
      onProblem('state: what was kept is of another model, policy or config, and the past is forgotten');
    else if (found.restore(owners())) {
      onPublished(found.head.published);
      // A snapshot that was begun and not finished has left a log of its own.
      this.replayed = this.#replay(found.head.log) + this.#replay(found.head.log + 1);
      owners().pipeline.override = 'none';
    }
  }

  #replay(number: number): number {
    const { owners, onReplay } = this.#options;
    const { pipeline, frames } = owners();
    let ticks = 0;
    readTickLog(this.#logPath(number), number, this.#record, () => {
      const record = this.#record;
      frames.resume(record.timeMs, record.values, record.routeTimesMs, record.nextTickMs);
      if (!record.isTick) return;
      if (record.isRestart) pipeline.restartTime();
      pipeline.override = overrides[record.override] ?? 'none';
      onReplay(pipeline.tick(frames.frame));
      ticks++;
    });
    return ticks;
  }

  #note(isTick: boolean, output: number): void {
    const { pipeline, frames } = this.#options.owners();
    this.#revision = frames.revision;
    this.#lastOutput = output;
    if (this.#hasChanged(pipeline)) this.#giveUp();
    if (this.#log !== undefined) this.#keep(isTick, output);
    if (isTick) this.#isRestart = false;
    this.#snapshotIfQuiet();
  }

  /** Another model, another policy, a past forgotten: what was kept does not lead to here. */
  #hasChanged(pipeline: Pipeline): boolean {
    const { forgets, policy } = pipeline;
    const isSame = pipeline === this.#pipeline && forgets === this.#forgets && policy === this.#policy;
    this.#pipeline = pipeline;
    this.#forgets = forgets;
    this.#policy = policy;
    return !isSame;
  }

  #keep(isTick: boolean, output: number): void {
    const { pipeline, frames } = this.#options.owners();
    const record = this.#record;
    record.isTick = isTick;
    record.isRestart = isTick && this.#isRestart;
    record.override = overrides.indexOf(pipeline.override);
    record.timeMs = frames.timeMs;
    record.nextTickMs = frames.nextTickMs;
    record.values.set(frames.frame.values);
    record.routeTimesMs.set(frames.routeTimesMs);
    const bytes = encodeTick(this.#log!.number, record);
    if (output <= this.#settled && this.#pending.length === 0) this.#append(bytes);
    else this.#pending.push({ output, bytes });
  }

  #append(bytes: Buffer): void {
    const log = this.#log;
    if (log === undefined) return;
    try {
      log.append(bytes);
      this.bytesWritten += bytes.length;
    } catch (error) {
      this.#fail(error as Error);
      return;
    }
    if (log.bytes > logBytesMax) this.#isWanted = true;
    if (log.bytes > 2 * logBytesMax) this.#giveUp();
  }

  /** Nothing is left that somebody could go on from; the next snapshot begins anew. */
  #giveUp(): void {
    this.#log?.close();
    this.#log = undefined;
    this.#pending = [];
    this.#isWanted = true;
    try {
      rmSync(this.#snapshotPath, { force: true });
    } catch (error) {
      this.#options.onProblem(`state: ${(error as Error).message}`);
    }
  }

  #fail(error: Error): void {
    if (this.failures++ === 0)
      this.#options.onProblem(`state: ${error.message} (told once, then only counted)`);
    this.#giveUp();
    // Not at once again: at the next interval.
    this.#isWanted = false;
  }

  /** While something waits for the broker, the state is ahead of what is done with. */
  #snapshotIfQuiet(): void {
    if (!this.#isWanted || this.#isClosed || this.#writing !== undefined) return;
    if (this.#pending.length > 0 || (this.#log === undefined && this.#lastOutput > this.#settled)) return;
    this.#isWanted = false;
    const number = this.#nextLog++;
    const { identity, owners, published } = this.#options;
    const bytes = takeSnapshot(owners(), { identity: identity(), log: number, published: published() });
    const before = this.#log;
    try {
      this.#log = new TickLog(this.#logPath(number), number);
    } catch (error) {
      this.#fail(error as Error);
      return;
    }
    this.#writing = this.#write(bytes, this.#log, before).then(() => {
      this.#writing = undefined;
      this.#snapshotIfQuiet();
    });
  }

  #removeLogs(but: number): void {
    for (const name of readdirSync(this.#options.directory))
      if (logName.test(name) && name !== `ticks-${but}`)
        rmSync(join(this.#options.directory, name), { force: true });
  }

  /** The old snapshot and its log are good until the new one has its name. */
  async #write(bytes: Buffer, log: TickLog, before: TickLog | undefined): Promise<void> {
    before?.close();
    try {
      const file = await open(`${this.#snapshotPath}.new`, 'w');
      try {
        await file.write(bytes, 0, bytes.length, 0);
        await file.datasync();
      } finally {
        await file.close();
      }
      // By now it may have been given up.
      if (this.#log !== log) return;
      await rename(`${this.#snapshotPath}.new`, this.#snapshotPath);
      if (this.#log !== log) rmSync(this.#snapshotPath, { force: true });
      this.bytesWritten += bytes.length;
      this.snapshots++;
      this.#removeLogs(log.number);
    } catch (error) {
      this.#fail(error as Error);
    }
  }
}

function readOr(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}
