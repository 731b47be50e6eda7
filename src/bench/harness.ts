/**
 * Measures cases against each other in one run: interleaved rounds, so that a machine that slows down slows all of
 * them, and every call timed, so that the spread is known. Results are consumed by the cases themselves.
 */
import { cpus } from 'node:os';

export interface BenchCase {
  readonly name: string;
  /** One call of what is measured. */
  readonly run: () => void;
  /** Calls per timing, for what is shorter than the clock can see; default 1. */
  readonly batch?: number;
}

/** What else a case has to say: ratios, counts, claims to compare with. */
export type Details = Readonly<Record<string, string | number | boolean | null>>;

export interface BenchResult {
  readonly suite: string;
  readonly case: string;
  readonly unit: string;
  readonly median: number;
  readonly p99: number;
  readonly p999: number;
  readonly samples: number;
  readonly cpu: string;
  readonly node: string;
  readonly kernel: string;
  readonly [detail: string]: string | number | boolean | null;
}

export interface Effort {
  readonly rounds: number;
  /** Milliseconds per case and round. */
  readonly sliceMs: number;
  /** Only the smaller sizes of a suite, so that all of them take a minute. */
  readonly quick: boolean;
  /** On a slow machine, no more rounds or calls of one measurement after so many milliseconds; default all of them. */
  readonly runMsMax?: number;
}

export const QUICK: Effort = { rounds: 3, sliceMs: 15, quick: true, runMsMax: 5000 };
export const FULL: Effort = { rounds: 10, sliceMs: 60, quick: false };

const WARM_UP_ROUNDS = 4;
const COMPILE_MS = 20;

/**
 * Lets V8's compilers work: their threads get nothing of a pinned core while a benchmark has it, and the code would
 * stay as slow as it began.
 */
export function letCompile(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, COMPILE_MS));
}

export interface Timing {
  readonly medianUs: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly samples: number;
}

export interface Measurement extends Timing {
  /** Microseconds of every call, in rising order. */
  readonly sortedUs: Float64Array;
}

/** Microseconds per call of each case, in the order given. */
export async function measure(cases: readonly BenchCase[], effort: Effort): Promise<Measurement[]> {
  const samples = cases.map(() => [] as number[]);
  const ignored: number[] = [];
  const hasTime = timeLeft(effort.runMsMax);
  for (let round = 0; round < WARM_UP_ROUNDS && hasTime(); round++) {
    for (const one of cases) runSlice(one, effort.sliceMs / 2, ignored);
    await letCompile();
  }
  for (let round = 0; round === 0 || (round < effort.rounds && hasTime()); round++) {
    for (const [index, one] of cases.entries()) runSlice(one, effort.sliceMs, samples[index]!);
    await letCompile();
  }
  return samples.map((list) => summarise(Float64Array.from(list)));
}

/** Whether fewer than `msMax` milliseconds have passed since now. */
export function timeLeft(msMax = Number.POSITIVE_INFINITY): () => boolean {
  const end = performance.now() + msMax;
  return () => performance.now() < end;
}

function runSlice({ run, batch = 1 }: BenchCase, sliceMs: number, into: number[]): void {
  const end = performance.now() + sliceMs;
  let now = performance.now();
  while (now < end) {
    for (let call = 0; call < batch; call++) run();
    const after = performance.now();
    into.push(((after - now) * 1000) / batch);
    now = after;
  }
}

/** Sorts `timesUs` in place. */
export function summarise(timesUs: Float64Array): Measurement {
  const sortedUs = timesUs.sort();
  const at = (share: number) => quantileUs(sortedUs, share);
  return { medianUs: at(0.5), p99Us: at(0.99), p999Us: at(0.999), samples: sortedUs.length, sortedUs };
}

/** The least of the times that so large a share of calls did not exceed. */
export function quantileUs(sortedUs: Float64Array, share: number): number {
  return sortedUs[Math.min(sortedUs.length - 1, Math.floor(share * sortedUs.length))]!;
}

/** So many digits as a measurement has. */
export function rounded(value: number, digits = 3): number {
  return Number(value.toPrecision(digits));
}

/** One line of results about this machine. */
export function result(
  suite: string,
  name: string,
  kernel: string,
  timing: Timing,
  details: Details = {},
): BenchResult {
  return {
    suite,
    case: name,
    unit: 'us',
    median: rounded(timing.medianUs, 4),
    p99: rounded(timing.p99Us, 4),
    p999: rounded(timing.p999Us, 4),
    samples: timing.samples,
    cpu: cpus()[0]?.model ?? 'unknown',
    node: process.version,
    kernel,
    ...details,
  };
}
