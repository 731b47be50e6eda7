/** One line of the ledger: plain JSON with a checksum as its last field, so that any reader of NDJSON can use it. */
import { crc32 } from '../engine/crc32.ts';
import type { MeterScope, MeterSource } from './meter.ts';
import type { WattModel } from './watt-model.ts';

/** A number per tier: full, reduced, safe, skip. */
export type PerTier = readonly [number, number, number, number];

/** What happened in one interval. All numbers are of this interval alone, so records can be summed. */
export interface LedgerRecord {
  readonly version: 2;
  /** Wall clock, milliseconds since 1970; may step when the clock is set. */
  readonly startMs: number;
  /** Length by the monotonic clock. */
  readonly wallMs: number;
  /** CPU time of this process; null where it is not told, of the whole machine; and of the engine, by measured cost. */
  readonly cpuMs: number;
  readonly busyMs: number | null;
  readonly engineCpuMs: number | null;
  /** Mean clock of the processor; null where it is not told. */
  readonly clockMHz: number | null;
  readonly ticks: number;
  /** Ticks that ran the engine not at all (tier 3). */
  readonly skips: number;
  /** Ticks per tier; they sum to `ticks`. */
  readonly tiers: PerTier;
  /** Multiply-accumulates that were executed. */
  readonly macs: number;
  /** Those that full compute on every tick (tier 0, with its KV cache) would have executed. */
  readonly macsDense: number;
  /** Bytes that the engine read and wrote, by measured cost of each tier, and what tier 0 on every tick would have. */
  readonly bytes: number | null;
  readonly bytesDense: number | null;
  /** All that the source sees (`scope`); null when it could not be read for a tenth of the time. */
  readonly energyJ: number | null;
  /** Half width of the 95 % confidence interval of `energyJ`. */
  readonly errorJ: number | null;
  /** The part of `errorJ` that is independent of other intervals, so that it averages out over many. */
  readonly noiseJ: number | null;
  /** Above idle; null when it is not known what the source shows at idle. */
  readonly energyAboveIdleJ: number | null;
  /** This process above idle, by CPU time and watts per core: the engine's share by tier, the rest by ticks. */
  readonly tiersJ: PerTier;
  /** Other processes above idle, by the same rule; null where their CPU time is not told. */
  readonly othersJ: number | null;
  /** What the watt model makes of the interval: equal to `energyJ` where the source is the model. */
  readonly modelJ: number;
  /** An estimate: what tier 0 on every tick would have cost more, by measured CPU time of each tier. */
  readonly savedEstimateJ: number | null;
  /** Bits of `vcgencmd get_throttled` that held at any look; null where nothing tells. */
  readonly throttled: number | null;
  readonly source: MeterSource;
  readonly scope: MeterScope;
  /** Differences in joules below this mean nothing. */
  readonly resolutionJ: number;
  /** The watt model that was used. */
  readonly watts: RecordedWatts;
  /** The device that it was made for. */
  readonly target: string;
}

/** See WattModel. */
export interface RecordedWatts {
  readonly idle: number;
  readonly idleError: number;
  readonly core: number;
  readonly coreError: number;
  readonly basis: WattModel['basis'];
}

const recordVersion = 2;
const checksumKey = ',"crc32":"';
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

/** The record as one line, newline included. */
export function encodeRecord(record: LedgerRecord): string {
  const body = JSON.stringify(record).slice(0, -1);
  return `${body}${checksumKey}${checksum(encoder.encode(body))}"}\n`;
}

/** The record of a line (without its newline); undefined when the line is damaged or of another version. */
export function decodeRecord(line: Uint8Array): LedgerRecord | undefined {
  const tailBytes = checksumKey.length + 8 + 2;
  if (line.length < tailBytes) return undefined;
  const body = line.subarray(0, line.length - tailBytes);
  const tail = `${checksumKey}${checksum(body)}"}`;
  if (!endsWith(line, encoder.encode(tail))) return undefined;
  const record = JSON.parse(`${decoder.decode(body)}}`) as LedgerRecord;
  return record.version === recordVersion ? record : undefined;
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
  /** Lines whose checksum does not fit or that another version wrote, an unfinished last line not counted. */
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
