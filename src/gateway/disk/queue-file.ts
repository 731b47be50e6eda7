/**
 * How records lie in a file of a durable queue. A header (magic, numbers released when the file was begun, CRC-32),
 * then records: CRC-32 of all that follows, length of the payload, the record's number, numbers released when it was
 * appended, the payload. Numbers are doubles: they outlast 32 bits. A record numbered 0 tells only what was released.
 */
import { crc32 } from '../../engine/crc32.ts';

const magic = Buffer.from('DORMOUSQ', 'latin1');
export const queueHeaderBytes = 20;
export const recordHeaderBytes = 24;

export function encodeQueueHeader(released: number): Buffer {
  const header = Buffer.alloc(queueHeaderBytes);
  magic.copy(header);
  header.writeDoubleLE(released, 8);
  header.writeUInt32LE(crc32(header.subarray(0, 16)), 16);
  return header;
}

/** Numbers released when the file was begun; undefined when this is no whole header. */
function decodeQueueHeader(bytes: Buffer): number | undefined {
  if (bytes.length < queueHeaderBytes || !bytes.subarray(0, 8).equals(magic)) return undefined;
  return bytes.readUInt32LE(16) === crc32(bytes.subarray(0, 16)) ? bytes.readDoubleLE(8) : undefined;
}

export function encodeRecord(sequence: number, released: number, payload: Uint8Array): Buffer {
  const record = Buffer.allocUnsafe(recordHeaderBytes + payload.length);
  record.writeUInt32LE(payload.length, 4);
  record.writeDoubleLE(sequence, 8);
  record.writeDoubleLE(released, 16);
  record.set(payload, recordHeaderBytes);
  record.writeUInt32LE(crc32(record.subarray(4)), 0);
  return record;
}

export interface DecodedRecord {
  readonly sequence: number;
  readonly released: number;
  /** A view. */
  readonly payload: Buffer;
  /** Bytes of the whole record. */
  readonly length: number;
}

/** The record at `at`; undefined when there is none that is whole. */
export function decodeRecord(bytes: Buffer, at: number): DecodedRecord | undefined {
  const length = recordLengthAt(bytes, at);
  if (length === undefined || at + length > bytes.length) return undefined;
  if (bytes.readUInt32LE(at) !== crc32(bytes.subarray(at + 4, at + length))) return undefined;
  return {
    sequence: bytes.readDoubleLE(at + 8),
    released: bytes.readDoubleLE(at + 16),
    payload: bytes.subarray(at + recordHeaderBytes, at + length),
    length,
  };
}

/** What a record's header says of its length, not yet checked; undefined when even that is cut. */
export function recordLengthAt(bytes: Buffer, at: number): number | undefined {
  return at + recordHeaderBytes > bytes.length ? undefined : recordHeaderBytes + bytes.readUInt32LE(at + 4);
}

/** What a whole file holds. */
export interface QueueFileScan {
  /** Up to the last whole record; 0: not even the header is whole. */
  readonly wholeBytes: number;
  /** The greatest number of a record, or, where there is none, the numbers released. */
  readonly last: number;
  readonly released: number;
}

/** Reads a file up to the first record that is cut or damaged. */
export function scanQueueFile(bytes: Buffer, onFound?: (payload: Buffer) => void): QueueFileScan {
  const begun = decodeQueueHeader(bytes);
  if (begun === undefined) return { wholeBytes: 0, last: 0, released: 0 };
  let [at, last, released] = [queueHeaderBytes, begun, begun];
  for (let record = decodeRecord(bytes, at); record !== undefined; record = decodeRecord(bytes, at)) {
    at += record.length;
    last = Math.max(last, record.sequence);
    released = Math.max(released, record.released);
    if (record.sequence > 0) onFound?.(record.payload);
  }
  return { wholeBytes: at, last, released };
}

export function queueFileName(name: string, number: number): string {
  return `${name}-${String(number).padStart(8, '0')}.queue`;
}

/** Numbers of a queue's files, oldest first. */
export function queueFileNumbers(files: readonly string[], name: string): number[] {
  const numbers = files.map((file) => {
    const match = /^(.+)-(\d{8})\.queue$/.exec(file);
    return match?.[1] === name ? Number(match[2]) : 0;
  });
  return numbers.filter((number) => number > 0).sort((a, b) => a - b);
}
