/** The ledger's sums as text and as JSON. */
import type { LedgerContents } from '../energy/ledger-record.ts';
import type { LedgerTotals } from '../energy/ledger-totals.ts';
import { energyPerInference } from '../energy/per-inference.ts';
import type { Period, SourceSummary } from '../energy/summary.ts';
import { int8MultiplyPj, int32AddPj, theoretical45NmJ } from '../energy/theoretical.ts';
import { throttleNames } from '../energy/throttling.ts';
import type { Json } from '../engine/model.ts';
import { columnChart } from './terminal/chart.ts';
import { alignColumns } from './terminal/columns.ts';
import { percent, scaled } from './terminal/text.ts';

const chartColumns = 72;
const chartRows = 4;
/** So many of the last days and weeks. */
const daysMax = 14;
const weeksMax = 8;
const tierNames = ['0 full', '1 reduced', '2 safe', '3 skip'];

export function energyReport(
  contents: LedgerContents,
  summaries: readonly SourceSummary[],
  directory: string,
  theoretical: boolean,
): string[] {
  const { records, damagedLines } = contents;
  const damaged = damagedLines === 0 ? '' : `, ${damagedLines} damaged lines or of another version left out`;
  return [
    `${directory}: ${records.length} records${damaged}`,
    ...summaries.flatMap((summary) => ['', ...sourceReport(summary, theoretical)]),
  ];
}

function sourceReport(summary: SourceSummary, theoretical: boolean): string[] {
  const { totals, days, weeks } = summary;
  return [
    headline(summary),
    '',
    ...chart(summary),
    '',
    ...periodTable('day', days.slice(-daysMax)),
    '',
    ...periodTable('week of', weeks.slice(-weeksMax)),
    '',
    ...tierTable(totals),
    '',
    ...partLines(summary),
    ...operationLines(totals),
    perInferenceLine(summary),
    ...throttleLines(totals),
    ...(theoretical ? theoreticalLines(totals) : []),
  ];
}

function headline({ source, scope, basis, target, startMs, endMs }: SourceSummary): string {
  const by =
    source === 'model'
      ? `the ${basis} watt model of ${target}: arithmetic, not a measurement`
      : `${source}, all of the ${scope}`;
  return `${moment(startMs)} to ${moment(endMs)}, joules by ${by}`;
}

function moment(ms: number): string {
  const date = new Date(ms);
  const two = (value: number) => String(value).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** Mean power by the hour: the last three days. */
function chart({ hours }: SourceSummary): string[] {
  const last = hours.slice(-chartColumns);
  const watts = last.map(({ totals }) => meanWatts(totals));
  return [
    `mean power by the hour, from ${last[0]!.name} to ${last.at(-1)!.name}`,
    ...columnChart(watts, chartRows, (value) => `${short(value)} W`),
  ];
}

function meanWatts({ energyJ, knownMs }: LedgerTotals): number {
  return knownMs > 0 ? (1000 * energyJ) / knownMs : Number.NaN;
}

function periodTable(name: string, periods: readonly Period[]): string[] {
  const header = [
    name,
    'hours',
    'Wh',
    '+-',
    'mean W',
    'above idle J',
    'own J',
    'saved J (estimate)',
    'ticks',
    'skipped',
  ];
  return alignColumns([header, ...periods.map(({ name: each, totals }) => [each, ...periodCells(totals)])]);
}

function periodCells(totals: LedgerTotals): string[] {
  return [
    short(totals.wallMs / 3_600_000),
    short(totals.energyJ / 3600),
    Number.isNaN(totals.energyJ) ? '-' : short(totals.errorJ / 3600),
    short(meanWatts(totals)),
    short(totals.energyAboveIdleJ),
    short(sum(totals.tiersJ)),
    short(totals.savedEstimateJ),
    String(totals.ticks),
    totals.ticks === 0 ? '-' : percent(totals.tiers[3] / totals.ticks),
  ];
}

/** Above idle: by CPU time and watts per core, whatever the meter. */
function tierTable({ tiers, tiersJ, ticks }: LedgerTotals): string[] {
  const rows = tiers.map((count, tier) => [
    tierNames[tier]!,
    String(count),
    ticks === 0 ? '-' : percent(count / ticks),
    short(tiersJ[tier]!),
    count === 0 ? '-' : short((1000 * tiersJ[tier]!) / count),
  ]);
  return alignColumns([['tier', 'ticks', 'share', 'own J above idle', 'mJ a tick'], ...rows]);
}

function partLines({ totals, source }: SourceSummary): string[] {
  const { energyJ, idleJ, ownJ, othersJ, savedEstimateJ } = totals;
  if (Number.isNaN(energyJ)) return ['the meter could not be read: no joules are known'];
  const others = Number.isNaN(othersJ) ? 0 : othersJ;
  const parts = idleJ + ownJ + others;
  const balance =
    source === 'model' ? '' : `; the meter says ${joules(energyJ)} (${signed(energyJ / parts - 1)})`;
  return [
    `idle ${joules(idleJ)} + this process ${joules(ownJ)} + others ${Number.isNaN(othersJ) ? 'not told' : joules(othersJ)} = ${joules(parts)}${balance}`,
    `always tier 0, an estimate: ${Number.isNaN(savedEstimateJ) ? 'not known' : `${joules(energyJ + savedEstimateJ)}, ${percent(savedEstimateJ / energyJ)} more than ${joules(energyJ)}`}`,
  ];
}

function operationLines(totals: LedgerTotals): string[] {
  const { macs, macsDense, bytes, bytesDense, engineCpuMs, cpuMs } = totals;
  const share = (part: number, whole: number) => (whole > 0 ? ` (${percent(part / whole)})` : '');
  return [
    `multiply-accumulates ${scaled(macs)} of ${scaled(macsDense)}${share(macs, macsDense)}, bytes moved ${scaled(bytes)} of ${scaled(bytesDense)}${share(bytes, bytesDense)}`,
    `CPU time ${short(cpuMs / 1000)} s, of which the engine ${short(engineCpuMs / 1000)} s${share(engineCpuMs, cpuMs)}, by measured cost of its steps`,
  ];
}

function perInferenceLine({ totals, source }: SourceSummary): string {
  const figure = energyPerInference(totals, source);
  if (figure.kind === 'refused') return `per inference: no figure, ${figure.reason}`;
  const how = source === 'model' ? 'by the model, not measured' : `measured by ${source}`;
  return `per inference: ${short(1000 * figure.joules)} mJ +- ${short(1000 * figure.errorJ)} mJ above idle (95 %), ${how}, over ${figure.inferences} inferences in ${short(figure.windowMs / 3_600_000)} h`;
}

function throttleLines({ throttled, throttledIntervals, intervals }: LedgerTotals): string[] {
  if (throttled === null) return [];
  const named = throttleNames(throttled).join(', ');
  if (named === '') return ['never throttled, never undervolted'];
  return [
    `${named}: in ${throttledIntervals} of ${intervals} intervals; joules and times of these are not comparable`,
  ];
}

function theoreticalLines({ macs, macsDense }: LedgerTotals): string[] {
  return [
    `theoretical 45 nm arithmetic energy, of no machine: ${joules(theoretical45NmJ(macs))} of ${joules(theoretical45NmJ(macsDense))} ` +
      `(${int8MultiplyPj} pJ an int8 multiplication, ${int32AddPj} pJ an int32 addition; Horowitz, ISSCC 2014)`,
  ];
}

/** One object: what the text says, in numbers. What is not known is null. */
export function energyJson(
  { records, damagedLines }: LedgerContents,
  summaries: readonly SourceSummary[],
  theoretical: boolean,
): Json {
  const periods = (list: readonly Period[]) =>
    list.map(({ name, totals }) => ({ name, ...totalsJson(totals) }));
  return {
    records: records.length,
    damagedLines,
    sources: summaries.map(({ source, scope, basis, target, startMs, endMs, totals, days, weeks }) => ({
      source,
      scope,
      basis,
      target,
      startMs,
      endMs,
      ...totalsJson(totals),
      perInference: { ...energyPerInference(totals, source) },
      ...(theoretical ? { theoretical45NmJ: theoretical45NmJ(totals.macs) } : {}),
      days: periods(days),
      weeks: periods(weeks),
    })),
  };
}

function totalsJson(totals: LedgerTotals): { [key: string]: Json } {
  const entries = Object.entries({ ...totals }).map(([key, value]): [string, Json] => [
    key,
    knownJson(value),
  ]);
  return {
    ...Object.fromEntries(entries),
    alwaysFullEstimateJ: knownJson(totals.energyJ + totals.savedEstimateJ),
  };
}

function knownJson(value: number | null | readonly number[]): Json {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  return value === null ? null : [...value];
}

function signed(share: number): string {
  return `${share > 0 ? '+' : ''}${percent(share)}`;
}

function sum(values: readonly number[]): number {
  return values.reduce((all, each) => all + each, 0);
}

function short(value: number): string {
  return Number.isNaN(value) ? '-' : String(Number(value.toPrecision(4)));
}

/** Four digits, with kilo and the like. */
function joules(value: number): string {
  const [unit, factor] =
    Math.abs(value) >= 1e6
      ? ['MJ', 1e6]
      : Math.abs(value) >= 1e4
        ? ['kJ', 1e3]
        : Math.abs(value) >= 0.1 || value === 0
          ? ['J', 1]
          : (['mJ', 1e-3] as const);
  return `${short(value / (factor as number))} ${unit}`;
}
