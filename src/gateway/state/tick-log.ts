/**
 * What has come in since a snapshot, one fixed-size record each: a tick, or values that made none. It is not synced:
 * what was written outlives the process, not a cut of power.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { crc32 } from '../../engine/crc32.ts';

export interface TickRecord {
  /** False: values were taken in, for the next tick. */
  isTick: boolean;
  /** Time began anew before it. */
  isRestart: boolean;
  /** Index in `overrides`. */
  override: number;
  /** Of the tick, or of the last one. */
  timeMs: number;
  /** Grid: of the next tick. */
  nextTickMs: number;
  /** [channels] and [routes], as the frame assembler has them. */
  readonly values: Float64Array;
  readonly routeTimesMs: Float64Array;
}

export function makeTickRecord(channels: number, routes: number): TickRecord {
  return {
    isTick: true,
    isRestart: false,
    override: 0,
    timeMs: 0,
    nextTickMs: Number.NaN,
    values: new Float64Array(channels),
    routeTimesMs: new Float64Array(routes),
  };
}

const headBytes = 24;
const restartFlag = 1;
const tickFlag = 2;
const overrideShift = 4;

/** Checksum with the log's number, flags, times, values, times of the routes. */
export function encodeTick(log: number, record: TickRecord): Buffer {
  const { values, routeTimesMs } = record;
  const bytes = Buffer.allocUnsafe(headBytes + 8 * (values.length + routeTimesMs.length));
  const flags = (record.isRestart ? restartFlag : 0) | (record.isTick ? tickFlag : 0);
  bytes.writeUInt32LE(flags | (record.override << overrideShift), 4);
  bytes.writeDoubleLE(record.timeMs, 8);
  bytes.writeDoubleLE(record.nextTickMs, 16);
  let at = headBytes;
  for (const value of values) at = bytes.writeDoubleLE(value, at);
  for (const timeMs of routeTimesMs) at = bytes.writeDoubleLE(timeMs, at);
  bytes.writeUInt32LE(checksum(log, bytes), 0);
  return bytes;
}

/** A log being written. Throws what the disk says. */
export class TickLog {
  bytes = 0;
  readonly number: number;
  readonly #file: number;

  constructor(path: string, number: number) {
    this.number = number;
    this.#file = openSync(path, 'w');
  }

  append(bytes: Buffer): void {
    writeSync(this.#file, bytes, 0, bytes.length, this.bytes);
    this.bytes += bytes.length;
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** Calls `take` for each record, refilling `into`, up to the first that is cut; gives how many. Nothing where no log is. */
export function readTickLog(path: string, log: number, into: TickRecord, take: () => void): number {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    return 0;
  }
  const size = headBytes + 8 * (into.values.length + into.routeTimesMs.length);
  let count = 0;
  for (let at = 0; at + size <= bytes.length; at += size, count++) {
    const record = bytes.subarray(at, at + size);
    if (record.readUInt32LE(0) !== checksum(log, record)) break;
    decodeTick(record, into);
    take();
  }
  return count;
}

function decodeTick(bytes: Buffer, into: TickRecord): void {
  const flags = bytes.readUInt32LE(4);
  into.isRestart = (flags & restartFlag) !== 0;
  into.isTick = (flags & tickFlag) !== 0;
  into.override = flags >>> overrideShift;
  into.timeMs = bytes.readDoubleLE(8);
  into.nextTickMs = bytes.readDoubleLE(16);
  let at = headBytes;
  for (const array of [into.values, into.routeTimesMs])
    for (let index = 0; index < array.length; index++, at += 8) array[index] = bytes.readDoubleLE(at);
}

function checksum(log: number, record: Buffer): number {
  return (crc32(record.subarray(4)) ^ log) >>> 0;
}
