/** What the gateway keeps on disk while it waits: messages to be worked on, results to be sent, and its subscriptions. */
import type { StorageConfig } from './config.ts';
import { type Disk, DiskMeter, realDisk } from './disk.ts';
import { DurableQueue } from './durable-queue.ts';
import { FolderLock } from './folder-lock.ts';
import { decodeMessage } from './journal-record.ts';
import { PoisonGuard } from './poison-guard.ts';

export interface StorageOptions {
  readonly onProblem: (text: string) => void;
  /** Told of each message that an earlier run kept, whether it was worked on or not. */
  readonly onKept: (topic: string, payload: Buffer) => void;
  /** Default: the folder of the config. */
  readonly disk?: Disk;
}

const subscriptionsFile = 'subscriptions.json';

export class Storage {
  readonly config: StorageConfig;
  readonly meter: DiskMeter;
  readonly intake: DurableQueue;
  readonly outbox: DurableQueue;
  /** What an earlier run subscribed to. */
  readonly formerFilters: readonly string[];
  /** Of messages from an earlier run; absent on a disk that is not real. */
  readonly guard: PoisonGuard | undefined;
  readonly #lock: FolderLock | undefined;

  private constructor(
    config: StorageConfig,
    meter: DiskMeter,
    queues: { readonly intake: DurableQueue; readonly outbox: DurableQueue },
    formerFilters: readonly string[],
    lock: FolderLock | undefined,
    guard: PoisonGuard | undefined,
  ) {
    this.config = config;
    this.meter = meter;
    this.intake = queues.intake;
    this.outbox = queues.outbox;
    this.formerFilters = formerFilters;
    this.#lock = lock;
    this.guard = guard;
  }

  /** Finds what an earlier run left. Rejects with what the disk says, and with FolderHeldError. */
  static async open(config: StorageConfig, options: StorageOptions): Promise<Storage> {
    const lock = options.disk === undefined ? FolderLock.take(config.directory) : undefined;
    try {
      return await Storage.#openWith(config, options, lock);
    } catch (error) {
      lock?.release();
      throw error;
    }
  }

  static async #openWith(
    config: StorageConfig,
    options: StorageOptions,
    lock: FolderLock | undefined,
  ): Promise<Storage> {
    const disk = new DiskMeter(options.disk ?? realDisk(config.directory));
    const { onProblem, onKept } = options;
    const intake = await DurableQueue.open({
      disk,
      name: 'intake',
      maxBytes: config.intakeBytes,
      onProblem,
      onFound: (record) => {
        const { topic, payload } = decodeMessage(record);
        onKept(topic, payload);
      },
    });
    const outbox = await DurableQueue.open({ disk, name: 'outbox', maxBytes: config.outboxBytes, onProblem });
    const { directory } = config;
    const { last: through, releasedThrough } = intake;
    const guard =
      lock === undefined || intake.count === 0
        ? undefined
        : new PoisonGuard({ directory, releasedThrough, through, onProblem });
    const queues = { intake, outbox };
    return new Storage(config, disk, queues, await readFilters(disk), lock, guard);
  }

  /** Lets go of the folder; the queues are closed before. */
  close(): void {
    this.guard?.close();
    this.#lock?.release();
  }

  /** Remembers what is subscribed to, if that has changed. Rejects with what the disk says. */
  async saveFilters(filters: readonly string[]): Promise<void> {
    const wanted = JSON.stringify([...filters].sort());
    if (wanted === JSON.stringify(this.formerFilters)) return;
    const file = await this.meter.open(subscriptionsFile);
    try {
      await file.truncate(0);
      await file.write(0, Buffer.from(wanted));
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

/** Nothing where there is no file, or one that was cut. */
async function readFilters(disk: Disk): Promise<string[]> {
  if (!(await disk.list()).includes(subscriptionsFile)) return [];
  const file = await disk.open(subscriptionsFile);
  const text = (await file.read(0, file.size)).toString();
  await file.close();
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
  } catch {
    return [];
  }
}
