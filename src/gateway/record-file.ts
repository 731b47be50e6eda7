/**
 * Files of fixed-size records: a header, then records that each carry a checksum, so that after a cut at any byte
 * everything up to the last whole record can be read.
 */
import { crc32 } from '../engine/crc32.ts';

/** Magic, size of a record's body, CRC-32 of both. */
export const headerBytes = 16;
const checksumBytes = 4;
const magic = Buffer.from('DORMOUS1', 'latin1');

/** Bytes of a record on disk: body and checksum. */
export function storedBytes(recordBytes: number): number {
  return recordBytes + checksumBytes;
}

/** Writes the header for records with bodies of `recordBytes`. */
export function writeHeader(into: Buffer, recordBytes: number): void {
  magic.copy(into, 0);
  into.writeUInt32LE(recordBytes, 8);
  into.writeUInt32LE(crc32(into.subarray(0, 12)), 12);
}

/** Seals the record whose body was written at `offset`. */
export function sealRecord(into: Buffer, offset: number, recordBytes: number): void {
  into.writeUInt32LE(crc32(into.subarray(offset, offset + recordBytes)), offset + recordBytes);
}

/** What a file holds. */
export interface RecordFile {
  /** Body size; 0 when the header is cut or foreign. */
  readonly recordBytes: number;
  readonly count: number;
  /** Length up to the last whole record. */
  readonly wholeBytes: number;
  /** Body of record `index` < count; a view. */
  record(index: number): Buffer;
}

/** Reads a file's bytes: every record up to the first that is cut or damaged. Never throws. */
export function readRecordFile(bytes: Buffer): RecordFile {
  const recordBytes = readHeader(bytes);
  const size = storedBytes(recordBytes);
  const count = recordBytes === 0 ? 0 : countWhole(bytes, recordBytes);
  return {
    recordBytes,
    count,
    wholeBytes: recordBytes === 0 ? 0 : headerBytes + count * size,
    record: (index) => bytes.subarray(headerBytes + index * size, headerBytes + index * size + recordBytes),
  };
}

function readHeader(bytes: Buffer): number {
  if (bytes.length < headerBytes || !bytes.subarray(0, 8).equals(magic)) return 0;
  return bytes.readUInt32LE(12) === crc32(bytes.subarray(0, 12)) ? bytes.readUInt32LE(8) : 0;
}

function countWhole(bytes: Buffer, recordBytes: number): number {
  const size = storedBytes(recordBytes);
  let count = 0;
  for (let at = headerBytes; at + size <= bytes.length; at += size) {
    if (bytes.readUInt32LE(at + recordBytes) !== crc32(bytes.subarray(at, at + recordBytes))) break;
    count++;
  }
  return count;
}
