/** Records of a ledger by the day, by the week and by the hour, in the time of the place where they are read. */
import type { LedgerRecord } from './ledger-record.ts';
import { LedgerTotals } from './ledger-totals.ts';
import type { MeterScope, MeterSource } from './meter.ts';

/** A day, a week or an hour. */
export interface Period {
  /** Such as `2026-11-24`, or of the Monday with which the week began. */
  readonly name: string;
  readonly startMs: number;
  readonly totals: LedgerTotals;
}

/** Records that one meter has made: joules of different sources are never summed. */
export interface SourceSummary {
  readonly source: MeterSource;
  readonly scope: MeterScope;
  readonly basis: LedgerRecord['watts']['basis'];
  readonly target: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly totals: LedgerTotals;
  readonly days: readonly Period[];
  readonly weeks: readonly Period[];
  readonly hours: readonly Period[];
}

/** One summary for each source, in the order in which they first appear. */
export function summarise(records: readonly LedgerRecord[]): readonly SourceSummary[] {
  const groups = new Map<string, LedgerRecord[]>();
  for (const record of records) {
    const key = [record.source, record.scope, record.watts.basis, record.target].join(' ');
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [record]);
    else group.push(record);
  }
  return [...groups.values()].map(summariseOne);
}

function summariseOne(records: readonly LedgerRecord[]): SourceSummary {
  const first = records[0]!;
  const last = records.at(-1)!;
  return {
    source: first.source,
    scope: first.scope,
    basis: first.watts.basis,
    target: first.target,
    startMs: first.startMs,
    endMs: last.startMs + last.wallMs,
    totals: sumUp(records),
    days: group(records, startOfDay, dateName),
    weeks: group(records, startOfWeek, dateName),
    hours: group(records, startOfHour, hourName),
  };
}

export function sumUp(records: Iterable<LedgerRecord>): LedgerTotals {
  const totals = new LedgerTotals();
  for (const record of records) totals.add(record);
  return totals;
}

/** A record counts where it begins. Periods in the order of time, also when the clock was set back between. */
function group(
  records: readonly LedgerRecord[],
  start: (date: Date) => Date,
  name: (date: Date) => string,
): readonly Period[] {
  const periods = new Map<number, Period>();
  for (const record of records) {
    const date = start(new Date(record.startMs));
    const startMs = date.getTime();
    if (!periods.has(startMs))
      periods.set(startMs, { name: name(date), startMs, totals: new LedgerTotals() });
    periods.get(startMs)!.totals.add(record);
  }
  return [...periods.values()].sort((a, b) => a.startMs - b.startMs);
}

function startOfHour(date: Date): Date {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate(), date.getHours());
}

function startOfDay(date: Date): Date {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate());
}

function startOfWeek(date: Date): Date {
  const sinceMonday = (date.getDay() + 6) % 7;
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() - sinceMonday);
}

function dateName(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

function hourName(date: Date): string {
  return `${dateName(date)} ${String(date.getHours()).padStart(2, '0')}:00`;
}
