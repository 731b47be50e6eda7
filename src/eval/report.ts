/** An evaluation as text: one table with the rivals in it, and sentences that say who wins. */
import type { Evaluation, Rival } from './evaluation.ts';
import type { Metric } from './metrics.ts';

interface Row extends Rival {
  readonly name: string;
}

/** Where a smaller number is better. */
const errors: readonly string[] = ['mse', 'mae'];
/** Not won alone: each can be had for another. */
const rates: readonly string[] = [
  'falseAlarmRate',
  'missedAlarmRate',
  'falseAlarmsPerDay',
  'detectedShare',
  'detectionDelayS',
];
/** Large numbers. */
const coarse: readonly string[] = ['falseAlarmsPerDay', 'detectionDelayS', 'nabStandard'];
export const headings: Readonly<Record<string, string>> = {
  balancedAccuracy: 'balanced',
  macroF1: 'macro F1',
  f1: 'F1',
  falseAlarmRate: 'false alarms',
  missedAlarmRate: 'missed',
  auprc: 'AUPRC',
  falseAlarmsPerDay: 'false/day',
  detectedShare: 'detected',
  detectionDelayS: 'delay s',
  nabStandard: 'NAB',
  mse: 'MSE',
  mae: 'MAE',
};

const gatedName = 'gated';

/** Lines of text for people. */
export function describeEvaluation(evaluation: Evaluation): string[] {
  const rows = tableRows(evaluation);
  const columns = Object.keys(evaluation.metric).filter((name) => !name.endsWith(':threshold'));
  return [
    ...formatTable(rows, columns),
    '',
    ...describeThreshold(evaluation.metric),
    ...describeGating(evaluation),
    '',
    ...judge(rows, columns),
  ];
}

/** Tier 0 of `tiers` is the dense run once more. */
function tableRows({ gated, dense, tiers, float, curve, rivals }: Evaluation): Row[] {
  return [
    { name: gatedName, ...gated },
    ...curve.map((point) => ({ name: `${gatedName}, deltas x ${point.thresholdScale}`, ...point })),
    { name: 'dense', ...dense },
    ...(float === null ? [] : [{ name: 'dense, float32', ...float }]),
    { name: 'dense, tier 1', ...tiers[1] },
    { name: 'dense, tier 2', ...tiers[2] },
    ...rivalRows(rivals),
  ];
}

function rivalRows(rivals: Evaluation['rivals']): Row[] {
  return Object.entries(rivals).map(([name, rival]) => ({ name, ...rival }));
}

function formatTable(rows: readonly Row[], columns: readonly string[]): string[] {
  const best = new Map(columns.map((column) => [column, bestOf(rows, column)]));
  const sure = Object.keys(rows[0]!.interval)[0];
  const cells = rows.map(({ name, metric, interval, macsPerTick }) => [
    name,
    ...columns.map((column) => cell(column, metric[column], best.get(column))),
    ...(sure === undefined ? [] : [range(interval[sure])]),
    macsPerTick === undefined ? '-' : grouped(macsPerTick),
  ]);
  const head = [...columns.map(heading), ...(sure === undefined ? [] : [`95 % of ${heading(sure)}`])];
  return align([['', ...head, 'MACs/tick'], ...cells]);
}

function range(interval: readonly [number, number] | undefined): string {
  if (interval === undefined || Number.isNaN(interval[0])) return '-';
  return `${interval[0].toFixed(4)}-${interval[1].toFixed(4)}`;
}

function heading(column: string): string {
  return headings[column] ?? column.replace(/^accuracy:/, '');
}

function cell(column: string, value: number | undefined, best: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '- ';
  return `${value.toFixed(coarse.includes(column) ? 2 : 4)}${value === best ? '*' : ' '}`;
}

/** undefined where nothing can be won. */
function bestOf(rows: readonly Row[], column: string): number | undefined {
  if (rates.includes(column)) return undefined;
  const values = rows.flatMap(({ metric }) => (Number.isFinite(metric[column]) ? [metric[column]!] : []));
  return errors.includes(column) ? Math.min(...values) : Math.max(...values);
}

/** How it scores with the threshold that it runs with in a gateway. */
function describeThreshold(metric: Metric): string[] {
  if (metric['f1:threshold'] === undefined) return [];
  const [f1, falseAlarms, missed] = ['f1', 'falseAlarmRate', 'missedAlarmRate'].map(
    (name) => metric[`${name}:threshold`]!,
  );
  const own = `F1 ${f1!.toFixed(4)}, false alarms ${percent(falseAlarms!)}, missed ${percent(missed!)}`;
  return [`With the model's own threshold, without calibration per file: ${own}.`];
}

function describeGating(evaluation: Evaluation): string[] {
  const { gated, retention, retentionInterval, computeReduction, timeReduction, tiers } = evaluation;
  const shares = gated.tierShares.map((share, tier) => `tier ${tier} ${percent(share)}`).join(', ');
  const time = Number.isNaN(timeReduction) ? '' : `, time by ${timeReduction.toFixed(2)}`;
  const compute = Number.isNaN(computeReduction) ? 'all there is' : computeReduction.toFixed(2);
  const [low, high] = retentionInterval;
  const skipped = `Skipped ${percent(gated.skipRate)} of ticks (${shares}).`;
  if (Number.isNaN(retention)) {
    return [skipped, `Gating divides compute by ${compute}${time}; the dense model has no quality to keep.`];
  }
  const sure = Number.isNaN(low) ? '' : ` (95 %: ${low.toFixed(4)} to ${high.toFixed(4)})`;
  const [, tier1, tier2] = tiers.map((tier) => tier.retention.toFixed(4));
  return [
    skipped,
    `Gating divides compute by ${compute}${time}, and keeps ${retention.toFixed(4)}${sure} of the dense quality.`,
    `Every tick at tier 1 keeps ${tier1} of it, at tier 2 ${tier2}.`,
  ];
}

/** Says plainly where something simpler is better. */
function judge(rows: readonly Row[], columns: readonly string[]): string[] {
  const gated = rows.find(({ name }) => name === gatedName)!;
  const rivals = rows.filter(({ name }) => !name.startsWith(gatedName) && !name.startsWith('dense'));
  const losses = columns.flatMap((column) => {
    const best = bestOf(rivals, column);
    const own = gated.metric[column]!;
    if (best === undefined || !(errors.includes(column) ? best < own : best > own)) return [];
    const winner = rivals.find(({ metric }) => metric[column] === best)!;
    return [
      `${winner.name} beats the gated model in ${heading(column)}: ${best.toFixed(4)} against ${own.toFixed(4)}.`,
    ];
  });
  return losses.length > 0 ? losses : ['No rival beats the gated model.'];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function grouped(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ' ');
}

/** Names to the left, numbers to the right. */
export function align(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  return rows.map((row) =>
    row.map((text, at) => (at === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[at]!))).join('  '),
  );
}
