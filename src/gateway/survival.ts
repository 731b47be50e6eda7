/** What of a gateway outlives its process: messages and results that wait, on disk, and what its ticks remember. */
import type { Json } from '../engine/model.ts';
import type { Clock } from './clock.ts';
import { OutboxStore } from './disk/outbox-store.ts';
import type { Storage } from './disk/storage.ts';
import type { Intake } from './intake.ts';
import type { Outbox } from './outbox.ts';
import { type KeeperOptions, StateKeeper } from './state/keeper.ts';

const relentMs = 1000;
const msPerDay = 86_400_000;
/** Bytes per day are told as of a gateway that has run for at least so long. */
const ranMsMin = 60_000;

/** Until it is given a storage or a state, nothing does. */
export class Survival {
  readonly #intake: Intake;
  readonly #outbox: Outbox;
  readonly #clock: Clock;
  #storage: Storage | undefined;
  #state: StateKeeper | undefined;
  #snapshotMs = 0;

  constructor(intake: Intake, outbox: Outbox, clock: Clock) {
    this.#intake = intake;
    this.#outbox = outbox;
    this.#clock = clock;
  }

  /** What an earlier run left is worked on and sent first. */
  useStorage(storage: Storage): void {
    const { intake, outbox, config } = storage;
    this.#storage = storage;
    this.#intake.inbox.useJournal({ queue: intake, commitMs: config.commitMs, guard: storage.guard });
    this.#outbox.useStore(
      new OutboxStore({
        queue: outbox,
        maxAgeMs: config.outboxMs,
        maxBytes: config.outboxBytes,
        flushMs: config.outboxFlushMs,
        resendPerS: config.resendPerS,
        nowMs: () => this.#clock.nowMs(),
      }),
    );
  }

  /**
   * Goes on from what an earlier process remembered. Gives how many ticks were lived again for that, if it did. Rejects
   * with what the folder says.
   */
  async useState(options: KeeperOptions, snapshotMs: number): Promise<number | undefined> {
    this.#state = new StateKeeper(options);
    this.#snapshotMs = snapshotMs;
    this.#state.wantSnapshot();
    await this.#state.written();
    return this.#state.replayed;
  }

  /** `every`: calls something at intervals. `onCommitted`: what was received is on disk, and may be worked on. */
  start(every: (intervalMs: number, call: () => void) => void, onCommitted: () => void): void {
    every(relentMs, () => this.#relent());
    if (this.#state !== undefined) every(this.#snapshotMs, () => this.#state?.wantSnapshot());
    if (this.#storage === undefined) return;
    const { commitMs, outboxFlushMs } = this.#storage.config;
    every(commitMs, () => void this.#intake.inbox.commit(this.#clock.nowMs()).then(onCommitted));
    every(outboxFlushMs, () => void this.#outbox.flush());
  }

  /** What an earlier run subscribed to. */
  get formerFilters(): readonly string[] | undefined {
    return this.#storage?.formerFilters;
  }

  /** Rejects with what the disk says. */
  async saveFilters(filters: readonly string[]): Promise<void> {
    await this.#storage?.saveFilters(filters);
  }

  /** The outbox has settled more. What is noted as done with is noted before it is acknowledged. */
  settle(): void {
    const { settledThrough } = this.#outbox;
    this.#state?.settle(settledThrough);
    this.#intake.inbox.settle(settledThrough);
  }

  /** What is acknowledged though nobody took its results does not come again, so it is done with. */
  #relent(): void {
    const { inbox } = this.#intake;
    const { acknowledgedEarly } = inbox;
    inbox.relent();
    if (inbox.acknowledgedEarly > acknowledgedEarly) this.#state?.settle(this.#outbox.pushed);
  }

  /** A message is worked on. */
  message(): void {
    this.#state?.message(this.#outbox.pushed);
  }

  /** A tick is over, its result pushed. */
  tick(): void {
    this.#state?.tick(this.#outbox.pushed);
  }

  /** Time begins anew with the next tick. */
  restart(): void {
    this.#state?.restart();
  }

  counters(startedMs: number): { [key: string]: Json } {
    return {
      ...this.#storageCounters(startedMs),
      ...(this.#state === undefined ? {} : { state: this.#state.counters() }),
    };
  }

  #storageCounters(startedMs: number): { [key: string]: Json } {
    if (this.#storage === undefined) return {};
    const { meter, intake, outbox, guard } = this.#storage;
    const days = Math.max(ranMsMin, this.#clock.nowMs() - startedMs) / msPerDay;
    return {
      storage: {
        bytesWritten: meter.bytesWritten,
        bytesPerDay: Math.round(meter.bytesWritten / days),
        journal: { ...intake.counters(), quarantined: guard?.quarantined ?? 0 },
        outbox: { ...outbox.counters(), ...this.#outbox.storeCounters() },
      },
    };
  }

  /** After the inbox and the outbox. Never rejects. */
  async close(): Promise<void> {
    await this.#state?.close();
    await this.#intake.inbox.closeJournal();
    this.#storage?.close();
  }
}
