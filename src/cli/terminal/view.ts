/** The live view of a gateway: a state in, lines out. Nothing here reads a clock or writes to a terminal. */
import type { Tier } from '../../engine/config.ts';
import {
  duration,
  grouped,
  joinSpans,
  type Line,
  measure,
  percent,
  renderLine,
  type Span,
  type Style,
  scaled,
  shareBars,
  sparkline,
  spread,
} from './text.ts';

export interface ChannelView {
  readonly name: string;
  readonly unit: string;
  /** NaN: unknown. */
  readonly value: number;
  /** Mean per column, oldest first; NaN where there is none. */
  readonly trace: readonly number[];
  /** Share of the ticks of a column at which the channel fired. */
  readonly fired: readonly number[];
}

/** What the model says, and what is true if somebody knows. */
export interface OutputView {
  /** Such as `occupied`. */
  readonly label: string;
  /** From 0 to 1; NaN where the task has none. */
  readonly confidence: number;
  /** Per column, NaN where there was no tick. */
  readonly trace: readonly number[];
}

export interface TruthView {
  readonly label: string;
  readonly trace: readonly number[];
  /** Share of the ticks so far at which the output was right. */
  readonly accuracy: number;
}

export interface EnergyView {
  readonly source: string;
  readonly target: string;
  /** NaN: unknown. */
  readonly totalJ: number;
  readonly aboveIdleJ: number;
  readonly savedEstimateJ: number;
}

/** Traces and tiers have one length, oldest column first; of too many the newest are shown. */
export interface LiveView {
  /** What plays, and through what. */
  readonly title: string;
  readonly subtitle: string;
  readonly elapsedS: number;
  readonly totalS: number;
  /** The time of the readings, milliseconds since 1970. */
  readonly timeMs: number;
  readonly columnMs: number;
  readonly channels: readonly ChannelView[];
  /** Ticks per tier in each column, oldest first. */
  readonly tiers: readonly (readonly number[])[];
  readonly lambda: {
    readonly ready: boolean;
    readonly value: number;
    readonly reference: number;
    readonly trace: readonly number[];
    readonly trust: string;
    readonly reason: string;
  };
  readonly output: OutputView;
  readonly truth: TruthView | undefined;
  readonly ticks: number;
  /** Ticks that ran the engine. */
  readonly tokens: number;
  readonly macs: number;
  readonly macsDense: number;
  readonly energy: EnergyView;
}

/** Width of names, values and units before a trace. */
const labelColumns = 32;
const nameColumns = 15;
const valueColumns = 7;
const tierStyles: Readonly<Record<Tier, Style>> = { 0: 'magenta', 1: 'yellow', 2: 'cyan', 3: 'dim' };

/** Columns that traces have on a terminal of that width. */
export function traceColumns(columns: number): number {
  return Math.max(1, columns - labelColumns);
}

/** Lines that fit `columns` x `rows`: what matters least is left out first. */
export function renderView(
  view: LiveView,
  { columns, rows }: { columns: number; rows: number },
  color: boolean,
): string[] {
  const shown = newest(view, traceColumns(columns));
  const full = assemble(shown, columns, true);
  const lines = full.length <= rows ? full : assemble(shown, columns, false);
  return lines.slice(0, rows).map((line) => renderLine(line, columns, color).trimEnd());
}

/** The view with traces of at most `columns`, the newest. */
function newest(view: LiveView, columns: number): LiveView {
  const cut = (trace: readonly number[]) => trace.slice(-columns);
  return {
    ...view,
    channels: view.channels.map((channel) => ({
      ...channel,
      trace: cut(channel.trace),
      fired: cut(channel.fired),
    })),
    tiers: view.tiers.slice(-columns),
    lambda: { ...view.lambda, trace: cut(view.lambda.trace) },
    output: { ...view.output, trace: cut(view.output.trace) },
    truth: view.truth && { ...view.truth, trace: cut(view.truth.trace) },
  };
}

function assemble(view: LiveView, columns: number, roomy: boolean): Line[] {
  const gap: Line[] = roomy ? [[]] : [];
  return [
    spread([{ text: view.title, style: 'bold' }], [clock(view)], columns),
    [{ text: view.subtitle, style: 'dim' }],
    ...gap,
    ...view.channels.flatMap((channel) => channelLines(channel, roomy)),
    ...gap,
    tierLine(view),
    lambdaLine(view),
    outputLine('says', view.output.label, view.output.confidence, view.output.trace),
    ...(view.truth === undefined
      ? []
      : [outputLine('truth', view.truth.label, Number.NaN, view.truth.trace)]),
    ...gap,
    countLine(view),
    macsLine(view),
    energyLine(view.energy),
  ];
}

function clock({ elapsedS, totalS }: LiveView): string {
  return Number.isFinite(totalS) ? `${duration(elapsedS)} of ${duration(totalS)}` : duration(elapsedS);
}

/** The trace, and below it how often the channel fired; in one line when there is little room. */
function channelLines(channel: ChannelView, roomy: boolean): Line[] {
  const label = `${cell(channel.name, nameColumns)}${measure(channel.value).padStart(valueColumns)} ${channel.unit}`;
  const head = cell(label, labelColumns);
  if (roomy) {
    return [
      [head, { text: sparkline(channel.trace), style: 'green' }],
      [
        { text: cell('  spikes', labelColumns), style: 'dim' },
        { text: shareBars(channel.fired), style: 'yellow' },
      ],
    ];
  }
  const spans = [...sparkline(channel.trace)].map(
    (text, i): Span => ({
      text,
      style: channel.fired[i]! > 0 ? 'yellow' : 'green',
    }),
  );
  return [[head, ...joinSpans(spans)]];
}

/** How many of a column's ticks ran the engine, in the colour of the deepest tier; a point where none did. */
function tierLine({ tiers, ticks, tokens }: LiveView): Line {
  const spans = tiers.map((counts): Span => {
    const deepest = counts.findIndex((count) => count > 0);
    if (deepest < 0) return { text: ' ' };
    const all = counts.reduce((sum, count) => sum + count, 0);
    const text = deepest === 3 ? '·' : shareBars([1 - counts[3]! / all]);
    return { text, style: tierStyles[deepest as Tier] };
  });
  return [row('tier', `skips ${percent(1 - tokens / ticks)}`), ...joinSpans(spans)];
}

function lambdaLine({ lambda }: LiveView): Line {
  const value = lambda.ready
    ? `${lambda.value.toFixed(2)} of ${lambda.reference.toFixed(2)}`
    : 'not yet known';
  return [row('lambda', value), { text: sparkline(lambda.trace), style: 'cyan' }];
}

function outputLine(name: string, label: string, confidence: number, trace: readonly number[]): Line {
  const certainty = Number.isFinite(confidence) ? ` ${Math.round(100 * confidence)} %` : '';
  return [
    row(name, label + certainty),
    { text: shareBars(trace), style: name === 'truth' ? 'dim' : 'magenta' },
  ];
}

function countLine({ timeMs, ticks, tokens, truth, lambda }: LiveView): Line {
  const accuracy = truth === undefined ? '' : `, right ${percent(truth.accuracy)}`;
  return [
    `${weekday(timeMs)}  ${grouped(ticks)} ticks, ${grouped(tokens)} tokens${accuracy}  `,
    { text: `trust ${lambda.trust}, ${lambda.reason}`, style: lambda.trust === 'allow' ? 'dim' : 'red' },
  ];
}

function macsLine({ macs, macsDense, columnMs }: LiveView): Line {
  const saved = `${scaled(macs)} MACs executed, ${scaled(macsDense - macs)} of ${scaled(macsDense)} saved`;
  return [saved, { text: `  (one column: ${span(columnMs)})`, style: 'dim' }];
}

/** The source stands first: a modelled joule is not a measured one. */
function energyLine({ source, target, totalJ, aboveIdleJ, savedEstimateJ }: EnergyView): Line {
  const saved = Number.isFinite(savedEstimateJ) ? `, about ${joules(savedEstimateJ)} saved` : '';
  return [`${source} of ${target}: ${joules(aboveIdleJ)} above idle${saved}, ${joules(totalJ)} in all`];
}

function row(name: string, value: string): string {
  return cell(cell(name, 8) + value, labelColumns);
}

/** Exactly `columns` wide, cut if need be, with a space at its end. */
function cell(text: string, columns: number): string {
  return `${text.slice(0, columns - 1).padEnd(columns - 1)} `;
}

function joules(value: number): string {
  return Number.isFinite(value) ? `${measure(value)} J` : '? J';
}

const weekdays = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

function weekday(timeMs: number): string {
  const date = new Date(timeMs);
  return Number.isNaN(date.getTime())
    ? '--- --:--'
    : `${weekdays[date.getUTCDay()]} ${date.toISOString().slice(11, 16)}`;
}

function span(ms: number): string {
  const minutes = ms / 60_000;
  if (minutes >= 1) return `${measure(minutes)} min`;
  return `${measure(ms / 1000)} s`;
}

/** One line for a log, where there is no terminal to draw on. */
export function renderPlain(view: LiveView): string {
  const { output, truth, lambda } = view;
  const certainty = Number.isFinite(output.confidence) ? ` ${Math.round(100 * output.confidence)} %` : '';
  const parts = [
    `${duration(view.elapsedS)} ${weekday(view.timeMs)}`,
    `ticks ${view.ticks}`,
    `skipped ${percent(1 - view.tokens / view.ticks)}`,
    `says ${output.label}${certainty}`,
    ...(truth === undefined ? [] : [`truth ${truth.label}`, `right ${percent(truth.accuracy)}`]),
    `lambda ${lambda.ready ? lambda.value.toFixed(2) : '?'}`,
    `MACs saved ${percent(1 - view.macs / view.macsDense)}`,
    `${joules(view.energy.aboveIdleJ)} above idle (${view.energy.source})`,
  ];
  return parts.join('  ');
}
