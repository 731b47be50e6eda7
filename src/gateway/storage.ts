/** What the gateway keeps on disk while it waits: messages to be worked on, results to be sent, and its subscriptions. */
import type { StorageConfig } from './config.ts';
import { type Disk, DiskMeter, realDisk } from './disk.ts';
import { DurableQueue } from './durable-queue.ts';
import { decodeMessage } from './journal-record.ts';

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

  private constructor(
    config: StorageConfig,
    meter: DiskMeter,
    queues: { readonly intake: DurableQueue; readonly outbox: DurableQueue },
    formerFilters: readonly string[],
  ) {
    this.config = config;
    this.meter = meter;
    this.intake = queues.intake;
    this.outbox = queues.outbox;
    this.formerFilters = formerFilters;
  }

  /** Finds what an earlier run left. Rejects with what the disk says. */
  static async open(config: StorageConfig, options: StorageOptions): Promise<Storage> {
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
    return new Storage(config, disk, { intake, outbox }, await readFilters(disk));
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
