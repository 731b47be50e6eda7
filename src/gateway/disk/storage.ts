/** What the gateway keeps on disk while it waits: messages to be worked on, results to be sent, and its subscriptions. */
import type { StorageConfig } from '../config/config.ts';
import { PoisonGuard } from '../poison-guard.ts';
import { type Disk, DiskMeter, realDisk } from './disk.ts';
import { DurableQueue } from './durable-queue.ts';
import { FolderLock } from './folder-lock.ts';
import { decodeMessage } from './journal-record.ts';

export interface StorageOptions {
  readonly onProblem: (text: string) => void;
  /** Told of each message that an earlier run kept, whether it was worked on or not. */
  readonly onKept: (topic: string, payload: Buffer) => void;
  /** Default: the folder of the config. */
  readonly disk?: Disk;
}

const subscriptionsFile = 'subscriptions.json';
const calibrationFile = 'calibration.json';

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
  /** What an earlier run calibrated, as it was saved; empty if nothing. */
  readonly formerCalibration: string;

  private constructor(
    config: StorageConfig,
    meter: DiskMeter,
    queues: { readonly intake: DurableQueue; readonly outbox: DurableQueue },
    former: { readonly filters: readonly string[]; readonly calibration: string },
    lock: FolderLock | undefined,
    guard: PoisonGuard | undefined,
  ) {
    this.config = config;
    this.meter = meter;
    this.intake = queues.intake;
    this.outbox = queues.outbox;
    this.formerFilters = former.filters;
    this.formerCalibration = former.calibration;
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
    const former = {
      filters: parseFilters(await readText(disk, subscriptionsFile)),
      calibration: await readText(disk, calibrationFile),
    };
    const queues = { intake, outbox };
    return new Storage(config, disk, queues, former, lock, guard);
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
    await writeText(this.meter, subscriptionsFile, wanted);
  }

  /** Keeps it for the next run. Rejects with what the disk says. */
  saveCalibration(text: string): Promise<void> {
    return writeText(this.meter, calibrationFile, text);
  }
}

async function writeText(disk: Disk, name: string, text: string): Promise<void> {
  const file = await disk.open(name);
  try {
    await file.truncate(0);
    await file.write(0, Buffer.from(text));
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Empty where there is no file. */
async function readText(disk: Disk, name: string): Promise<string> {
  if (!(await disk.list()).includes(name)) return '';
  const file = await disk.open(name);
  const text = (await file.read(0, file.size)).toString();
  await file.close();
  return text;
}

/** Nothing of a text that is empty or was cut. */
function parseFilters(text: string): string[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
  } catch {
    return [];
  }
}
