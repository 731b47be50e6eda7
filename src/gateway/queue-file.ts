/**
 * How records lie in a file of a durable queue. A header (magic, numbers released when the file was begun, CRC-32),
 * then records: CRC-32 of all that follows, length of the payload, the record's number, numbers released when it was
 * appended, the payload. Numbers are doubles: they outlast 32 bits. A record numbered 0 tells only what was released.
 */
import { crc32 } from '../engine/crc32.ts';

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
export function decodeQueueHeader(bytes: Buffer): number | undefined {
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
