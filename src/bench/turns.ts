/**
 * Times pipelines on the same rows in turns, a few hundred ticks each, so that the machine's moods hit all of them; and
 * tick by tick over several rounds, so that what other programs interrupt can be told from what a tick takes.
 */
import type { Protocol } from '../eval/protocols.ts';
import type { Pipeline } from '../gateway/pipeline.ts';
import type { Series } from '../recording/recording.ts';
import { median } from '../statistics/statistics.ts';
import { letCompile, timeLeft } from './harness.ts';

/** Ticks of one pipeline before the next has its turn. */
const TURN_TICKS = 250;
const WARM_UP_ROUNDS = 2;

export interface Times {
  /** Microseconds of every tick of every round, in order: what other programs interrupted included. */
  readonly everyUs: Float64Array;
  /** Of each tick the median over rounds: what it takes by itself, a look at the clock included. */
  readonly serviceUs: Float64Array;
  /** Of `serviceUs`. */
  readonly meanUs: number;
}

/**
 * Every tested file from a cold start, `rounds` times, or fewer after `msMax` milliseconds, but once at least; the times
 * of each pipeline.
 */
export async function timeInTurns(
  protocol: Protocol,
  pipelines: readonly Pipeline[],
  rounds: number,
  msMax?: number,
): Promise<Times[]> {
  const rows = protocol.tests.reduce((sum, { series }) => sum + series.rows, 0);
  const everyUs = pipelines.map(() => new Float64Array(rounds * rows));
  const hasTime = timeLeft(msMax);
  let done = 0;
  for (let round = -WARM_UP_ROUNDS; round < rounds && (done === 0 || hasTime()); round++) {
    if (round < 0 && !hasTime()) continue;
    let at = done * rows;
    for (const { series } of protocol.tests) {
      playSeries(series, protocol.channels, pipelines, everyUs, at);
      at += series.rows;
    }
    if (round >= 0) done++;
    await letCompile();
  }
  return everyUs.map((all) => {
    const timesUs = all.subarray(0, done * rows);
    const serviceUs = medians(timesUs, rows);
    return { everyUs: timesUs, serviceUs, meanUs: serviceUs.reduce((sum, us) => sum + us, 0) / rows };
  });
}

function playSeries(
  series: Series,
  channels: number,
  pipelines: readonly Pipeline[],
  everyUs: readonly Float64Array[],
  at: number,
): void {
  for (const pipeline of pipelines) pipeline.reset();
  for (let from = 0; from < series.rows; from += TURN_TICKS) {
    const to = Math.min(series.rows, from + TURN_TICKS);
    for (const [index, pipeline] of pipelines.entries()) {
      playTurn(series, channels, pipeline, from, to, everyUs[index]!, at);
    }
  }
}

function playTurn(
  { timeMs, values }: Series,
  channels: number,
  pipeline: Pipeline,
  from: number,
  to: number,
  intoUs: Float64Array,
  at: number,
): void {
  const frame = { timeMs: 0, values: new Float64Array(channels) };
  for (let row = from; row < to; row++) {
    frame.timeMs = timeMs[row]!;
    for (let channel = 0; channel < channels; channel++) {
      frame.values[channel] = values[row * channels + channel]!;
    }
    const before = performance.now();
    pipeline.tick(frame);
    intoUs[at + row] = (performance.now() - before) * 1000;
  }
}

/** Of each of `rows` the median over the rounds that lie one after another in `ticksUs`. */
function medians(ticksUs: Float64Array, rows: number): Float64Array {
  const rounds = ticksUs.length / rows;
  return Float64Array.from({ length: rows }, (_, row) =>
    median(Array.from({ length: rounds }, (_, round) => ticksUs[round * rows + row]!)),
  );
}
