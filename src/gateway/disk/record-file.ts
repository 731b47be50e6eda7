/**
 * Files of fixed-size records: a header, then records whose last four bytes are the CRC-32 of the others, so that
 * after a cut at any byte everything up to the last whole record can be read.
 */
import { crc32 } from '../../engine/crc32.ts';

/** Magic, size of a record, CRC-32 of both. */
export const headerBytes = 16;
const checksumBytes = 4;
const magic = Buffer.from('DORMOUS1', 'latin1');

/** Writes the header for records of `recordBytes`, checksum included. */
export function writeHeader(into: Buffer, recordBytes: number): void {
  magic.copy(into, 0);
  into.writeUInt32LE(recordBytes, 8);
  into.writeUInt32LE(crc32(into.subarray(0, 12)), 12);
}

/** What a file holds. */
export interface RecordFile {
  /** Size of a record; 0 when the header is cut or foreign. */
  readonly recordBytes: number;
  readonly count: number;
  /** Length up to the last whole record. */
  readonly wholeBytes: number;
  /** Record `index` < count; a view. */
  record(index: number): Buffer;
}

/** Reads a file's bytes: every record up to the first that is cut or damaged. Never throws. */
export function readRecordFile(bytes: Buffer): RecordFile {
  const recordBytes = readHeader(bytes);
  const count = recordBytes === 0 ? 0 : countWhole(bytes, recordBytes);
  return {
    recordBytes,
    count,
    wholeBytes: recordBytes === 0 ? 0 : headerBytes + count * recordBytes,
    record: (index) => {
      const at = headerBytes + index * recordBytes;
      return bytes.subarray(at, at + recordBytes);
    },
  };
}

function readHeader(bytes: Buffer): number {
  if (bytes.length < headerBytes || !bytes.subarray(0, 8).equals(magic)) return 0;
  return bytes.readUInt32LE(12) === crc32(bytes.subarray(0, 12)) ? bytes.readUInt32LE(8) : 0;
}

function countWhole(bytes: Buffer, recordBytes: number): number {
  let count = 0;
  for (let at = headerBytes; at + recordBytes <= bytes.length; at += recordBytes) {
    const crcAt = at + recordBytes - checksumBytes;
    if (bytes.readUInt32LE(crcAt) !== crc32(bytes.subarray(at, crcAt))) break;
    count++;
  }
  return count;
}
