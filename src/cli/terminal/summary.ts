/** What a demo has shown, in a few lines that stay on the terminal. */
import { alignColumns } from './columns.ts';
import { duration, grouped, measure, percent, scaled } from './text.ts';

export interface Summary {
  readonly name: string;
  /** What the accuracy was measured against. */
  readonly truth: string;
  readonly wallS: number;
  /** Time that passed in the readings. */
  readonly playedMs: number;
  readonly ticks: number;
  /** Ticks per tier. */
  readonly tiers: readonly [number, number, number, number];
  readonly scored: number;
  readonly right: number;
  readonly macs: number;
  readonly macsDense: number;
  readonly cpuMs: number;
  readonly energy: {
    readonly source: string;
    readonly target: string;
    readonly basis: string;
    readonly aboveIdleJ: number;
    readonly totalJ: number;
    readonly savedEstimateJ: number;
  };
  /** Ticks that were played but never came through. */
  readonly lost: number;
}

export function renderSummary(summary: Summary): string[] {
  const { name, ticks, tiers, macs, macsDense } = summary;
  const tokens = ticks - tiers[3];
  const rows = [
    ['ticks', `${grouped(ticks)}: ${span(summary.playedMs)} in ${duration(summary.wallS)}`],
    ['tokens', `${grouped(tokens)}; skipped ${percent(tiers[3] / ticks)}`],
    ['tiers', `full ${grouped(tiers[0])}, reduced ${grouped(tiers[1])}, safe ${grouped(tiers[2])}`],
    ...accuracyRow(summary),
    ['MACs', `${scaled(macs)} of ${scaled(macsDense)} dense${fewer(macsDense / macs)}`],
    ['CPU time', `${measure(summary.cpuMs / 1000)} s, broker and player included`],
    ...energyRows(summary),
    ...(summary.lost > 0 ? [['not decided', `${grouped(summary.lost)} ticks were still on their way`]] : []),
  ];
  return [name, ...alignColumns(rows).map((line) => `  ${line}`)];
}

function accuracyRow({ scored, right, truth }: Summary): string[][] {
  if (scored === 0) return [];
  return [['accuracy', `${percent(right / scored)} of ${grouped(scored)} ticks, against ${truth}`]];
}

function energyRows({ energy }: Summary): string[][] {
  const { source, target, basis, aboveIdleJ, totalJ, savedEstimateJ } = energy;
  const known = Number.isFinite(savedEstimateJ);
  return [
    [
      'energy',
      `${measure(aboveIdleJ)} J above idle, ${measure(totalJ)} J in all (${source}: ${target}, watts ${basis})`,
    ],
    ...(known ? [['saved', `about ${measure(savedEstimateJ)} J by not computing (an estimate)`]] : []),
  ];
}

function fewer(factor: number): string {
  return Number.isFinite(factor) ? `: ${factor.toFixed(1)} times fewer` : '';
}

function span(ms: number): string {
  const hours = ms / 3_600_000;
  if (hours >= 48) return `${measure(hours / 24)} days`;
  return hours >= 2 ? `${measure(hours)} hours` : `${measure(ms / 60_000)} minutes`;
}
