/**
 * The latest ticks on disk, from which a gateway that starts again makes what its model remembered: spikes, coherence,
 * keys and values. They are played when the first tick has come, up to just before it: a tick that the broker brings
 * once more is then answered as it was the first time.
 */
import { crc32 } from '../engine/crc32.ts';
import type { Frame } from '../gate/packets.ts';
import type { Witness } from '../gate/witness.ts';
import type { MemoryConfig } from './config.ts';
import { type Disk, realDisk } from './disk.ts';
import { FolderLock } from './folder-lock.ts';
import type { Output } from './output.ts';
import type { GatewayPart } from './part.ts';
import { readRecordFile } from './record-file.ts';
import { logFileName, logFileNumbers, RecordLog } from './record-log.ts';

export interface TickMemoryOptions {
  /** Names of the channels: ticks of others are passed over. */
  readonly channels: readonly string[];
  readonly onProblem: (text: string) => void;
  /** Default: the folder of the config. */
  readonly disk?: Disk;
}

const logName = 'ticks';
/**
 * u32 CRC-32 of the channels' names, u32 flags (1: the first tick, nothing before it is remembered), f64 time in
 * milliseconds, f64 of each channel, u32 CRC-32 of the rest.
 */
const flagsAt = 4;
const timeAt = 8;
const valuesAt = 16;
const FLAG_FIRST = 1;
const headerBytesOfFile = 16;

export class TickMemory implements GatewayPart {
  readonly records: RecordLog;
  readonly #channelsHash: number;
  readonly #bytes: Buffer;
  readonly #view: DataView;
  /** What an earlier run has left; empty once it was played. */
  #frames: readonly Frame[];
  #lock: FolderLock | undefined;
  readonly #encode = (into: DataView, offset: number) => {
    for (let at = 0; at < this.#bytes.length; at++) into.setUint8(offset + at, this.#bytes[at]!);
  };

  private constructor(
    records: RecordLog,
    channelsHash: number,
    recordBytes: number,
    frames: readonly Frame[],
  ) {
    this.records = records;
    this.#channelsHash = channelsHash;
    this.#bytes = Buffer.alloc(recordBytes);
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, recordBytes);
    this.#frames = frames;
  }

  /** Reads what is there. Rejects with what the disk says, and with FolderHeldError. */
  static async open(config: MemoryConfig, options: TickMemoryOptions): Promise<TickMemory> {
    const lock = options.disk === undefined ? FolderLock.take(config.directory) : undefined;
    try {
      const memory = await TickMemory.#openWith(config, options);
      memory.#lock = lock;
      return memory;
    } catch (error) {
      lock?.release();
      throw error;
    }
  }

  static async #openWith(config: MemoryConfig, options: TickMemoryOptions): Promise<TickMemory> {
    const { directory, ticks, flushMs } = config;
    const { channels, onProblem, disk = realDisk(directory) } = options;
    const recordBytes = valuesAt + 8 * channels.length + 4;
    const hash = crc32(Buffer.from(JSON.stringify(channels)));
    const frames = framesOf(await readRecords(disk, recordBytes), hash, channels.length);
    const fileBytes = headerBytesOfFile + ticks * recordBytes;
    const log = { directory, name: logName, recordBytes, fileBytes, files: 2, flushMs, onProblem, disk };
    return new TickMemory(await RecordLog.open(log), hash, recordBytes, frames.slice(-ticks));
  }

  /** Ticks that wait to be played. */
  get waiting(): number {
    return this.#frames.length;
  }

  /**
   * Plays what was before the tick at `timeMs`: all, unless that tick is among them. `restarts` says that the frame is
   * earlier than the one before. Once only.
   */
  play(timeMs: number, onFrame: (frame: Frame, restarts: boolean) => void): void {
    const frames = this.#frames;
    this.#frames = [];
    const again = frames.findLastIndex((frame) => frame.timeMs === timeMs);
    let lastMs = Number.NEGATIVE_INFINITY;
    for (const frame of again < 0 ? frames : frames.slice(0, again)) {
      onFrame(frame, frame.timeMs <= lastMs);
      lastMs = frame.timeMs;
    }
  }

  onTick(witness: Witness, _output: Output, { timeMs, values }: Frame): void {
    const crcAt = this.#bytes.length - 4;
    this.#view.setUint32(0, this.#channelsHash, true);
    // Only the first tick, after a start or a reset, comes no time after another.
    this.#view.setUint32(flagsAt, witness.elapsedIntervals === 0 ? FLAG_FIRST : 0, true);
    this.#view.setFloat64(timeAt, timeMs, true);
    for (let channel = 0; channel < values.length; channel++)
      this.#view.setFloat64(valuesAt + 8 * channel, values[channel]!, true);
    this.#view.setUint32(crcAt, crc32(this.#bytes.subarray(0, crcAt)), true);
    this.records.append(this.#encode);
  }

  counters(): { readonly memory: { readonly [name: string]: number } } {
    const { written, lost, failures } = this.records;
    return { memory: { written, writtenBytes: written * this.#bytes.length, lost, failures } };
  }

  async stop(): Promise<void> {
    await this.records.close();
    this.#lock?.release();
  }
}

/** Of all files that have records of this size, oldest first. */
async function readRecords(disk: Disk, recordBytes: number): Promise<Buffer[]> {
  const records: Buffer[] = [];
  for (const number of logFileNumbers(await disk.list(), logName)) {
    const file = await disk.open(logFileName(logName, number));
    const found = readRecordFile(await file.read(0, file.size));
    await file.close();
    if (found.recordBytes !== recordBytes) continue;
    for (let index = 0; index < found.count; index++) records.push(found.record(index));
  }
  return records;
}

/** Ticks as they were last done: from one that was done again on, what was done before is void. */
function framesOf(records: readonly Buffer[], channelsHash: number, channels: number): Frame[] {
  const frames: Frame[] = [];
  const places = new Map<number, number>();
  for (const record of records) {
    const timeMs = record.readDoubleLE(timeAt);
    // Of other channels: what came before them was another gateway's.
    const isForeign = record.readUInt32LE(0) !== channelsHash;
    const isFirst = (record.readUInt32LE(flagsAt) & FLAG_FIRST) !== 0;
    const again = isForeign || isFirst ? 0 : places.get(timeMs);
    for (const { timeMs: voidMs } of again === undefined ? [] : frames.splice(again)) places.delete(voidMs);
    if (isForeign) continue;
    places.set(timeMs, frames.length);
    const values = Float64Array.from({ length: channels }, (_, channel) =>
      record.readDoubleLE(valuesAt + 8 * channel),
    );
    frames.push({ timeMs, values });
  }
  return frames;
}
