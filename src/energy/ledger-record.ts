/** One line of the ledger: plain JSON with a checksum as its last field, so that any reader of NDJSON can use it. */
import { crc32 } from '../engine/crc32.ts';
import type { MeterSource } from './meter.ts';

/** What happened in one interval. All numbers are of this interval alone, so records can be summed. */
export interface LedgerRecord {
  readonly version: 1;
  /** Wall clock, milliseconds since 1970; may step when the clock is set. */
  readonly startMs: number;
  /** Length by the monotonic clock. */
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly ticks: number;
  /** Ticks that ran the engine not at all (tier 3). */
  readonly skips: number;
  /** Ticks per tier; they sum to `ticks`. */
  readonly tiers: readonly [number, number, number, number];
  /** Multiply-accumulates that were executed. */
  readonly macs: number;
  /** Those that full compute on every tick (tier 0, with its KV cache) would have executed. */
  readonly macsDense: number;
  /** Whole board; null when the meter could not be read. */
  readonly energyJ: number | null;
  /** Above idle; null when it or idle is not known. */
  readonly energyAboveIdleJ: number | null;
  /** What the MACs not executed would have cost above idle; null when CPU time per MAC was not measured. */
  readonly savedEstimateJ: number | null;
  readonly source: MeterSource;
  /** Differences in joules below this mean nothing. */
  readonly resolutionJ: number;
  /** The device whose watts were used. */
  readonly target: string;
}

const checksumKey = ',"crc32":"';
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** The record as one line, newline included. */
export function encodeRecord(record: LedgerRecord): string {
  const body = JSON.stringify(record).slice(0, -1);
  return `${body}${checksumKey}${checksum(encoder.encode(body))}"}\n`;
}

/** The record of a line (without its newline); undefined when the line is damaged. */
export function decodeRecord(line: Uint8Array): LedgerRecord | undefined {
  const tailBytes = checksumKey.length + 8 + 2;
  if (line.length < tailBytes) return undefined;
  const body = line.subarray(0, line.length - tailBytes);
  const tail = `${checksumKey}${checksum(body)}"}`;
  if (!endsWith(line, encoder.encode(tail))) return undefined;
  return JSON.parse(`${decoder.decode(body)}}`) as LedgerRecord;
}

function checksum(bytes: Uint8Array): string {
  return crc32(bytes).toString(16).padStart(8, '0');
}

function endsWith(line: Uint8Array, tail: Uint8Array): boolean {
  const start = line.length - tail.length;
  return tail.every((byte, i) => line[start + i] === byte);
}

export interface LedgerContents {
  readonly records: readonly LedgerRecord[];
  /** Lines whose checksum does not fit, an unfinished last line not counted. */
  readonly damagedLines: number;
  /** Bytes up to the end of the last whole line. What follows is the rest of an interrupted write. */
  readonly wholeBytes: number;
}

const newline = 10;

/** Reads a ledger file, damaged or cut at any byte. */
export function readLedger(bytes: Uint8Array): LedgerContents {
  const records: LedgerRecord[] = [];
  let damagedLines = 0;
  let start = 0;
  for (let end = bytes.indexOf(newline); end >= 0; end = bytes.indexOf(newline, start)) {
    const record = decodeRecord(bytes.subarray(start, end));
    if (record === undefined) damagedLines++;
    else records.push(record);
    start = end + 1;
  }
  return { records, damagedLines, wholeBytes: start };
}
