/** Plays the tested files through a pipeline, tick by tick, and counts what it took. */
import type { Tier, TransformerConfig } from '../engine/config.ts';
import type { Frame } from '../gate/packets.ts';
import type { Recording } from '../recording/recording.ts';
import { type Protocol, scoredSpan, type TestSeries } from './protocols.ts';

/** What an evaluation needs of a pipeline. */
export interface Ticker<Output, Facts extends TickFacts = TickFacts> {
  tick(frame: Frame): Facts;
  readonly output: Output;
  reset(): void;
}

/** What an evaluation needs of a witness. */
export interface TickFacts {
  readonly tier: Tier;
  readonly macs: number;
}

/** Sums over the scored rows. */
export interface RunCounts {
  ticks: number;
  macs: number;
  /** Ticks by tier; those that were left out count as skipped. */
  readonly tierTicks: [number, number, number, number];
  /** Wall time of the scored rows. */
  elapsedMs: number;
}

/** Sees the output after each row; `facts` is null where the tick was left out. */
export interface Recorder<Output, Facts extends TickFacts = TickFacts> {
  row(file: number, row: number, output: Output, facts: Facts | null): void;
}

export interface RunOptions<Output, Facts extends TickFacts = TickFacts> {
  readonly recorder?: Recorder<Output, Facts>;
  /** Share of ticks that are shown to the pipeline, evenly spread, the first always; default 1. */
  readonly rate?: number;
  /** Rows before the first scored one that a forecast's pass begins with. */
  readonly warmUpRows: number;
}

/**
 * Rows before the first scored one after which a model remembers what it would have remembered: so many tokens can reach
 * it, skipped ticks on the way need room too, and a path over the past must be full.
 */
export function warmUpRowsOf({ sequence, layers, history }: TransformerConfig): number {
  return Math.max(4 * sequence * layers, history?.rows ?? 0);
}

/** One pass over every tested file, each with a pipeline as good as new. */
export function runTests<Output, Facts extends TickFacts>(
  protocol: Protocol,
  ticker: Ticker<Output, Facts>,
  options: RunOptions<Output, Facts>,
): RunCounts {
  const counts: RunCounts = { ticks: 0, macs: 0, tierTicks: [0, 0, 0, 0], elapsedMs: 0 };
  for (let file = 0; file < protocol.tests.length; file++) runTest(protocol, file, ticker, options, counts);
  return counts;
}

function runTest<Output, Facts extends TickFacts>(
  { recording, channels, tests }: Protocol,
  file: number,
  ticker: Ticker<Output, Facts>,
  { recorder, rate = 1, warmUpRows }: RunOptions<Output, Facts>,
  counts: RunCounts,
): void {
  const { series } = tests[file]!;
  const { from, to } = scoredSpan(recording, tests[file]!);
  const frame = { timeMs: 0, values: new Float64Array(channels) };
  let startMs = performance.now();
  ticker.reset();
  for (let row = startRow(recording, tests[file]!, warmUpRows); row < to; row++) {
    if (row === from) startMs = performance.now();
    frame.timeMs = series.timeMs[row]!;
    frame.values.set(series.values.subarray(row * channels, (row + 1) * channels));
    const facts = isDue(row, rate) ? ticker.tick(frame) : null;
    recorder?.row(file, row, ticker.output, facts);
    if (row >= from) count(counts, facts);
  }
  counts.elapsedMs += performance.now() - startMs;
}

/** Files begin at their first row, so that anomaly scores can be calibrated; a forecast's long past is cut. */
function startRow(recording: Recording, test: TestSeries, warmUpRows: number): number {
  if (recording.task !== 'forecast') return 0;
  return Math.max(scoredSpan(recording, test).from - warmUpRows, 0);
}

/** Evenly spread over the rows, so that decimation gets exactly the rate of the gate. */
function isDue(row: number, rate: number): boolean {
  return row === 0 || Math.floor(row * rate) !== Math.floor((row - 1) * rate);
}

function count(counts: RunCounts, facts: TickFacts | null): void {
  counts.ticks++;
  counts.macs += facts?.macs ?? 0;
  counts.tierTicks[facts?.tier ?? 3]!++;
}
