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
  /** What else the case has to say: ratios, counts, claims to compare with. */
  readonly [detail: string]: string | number | boolean | null;
}

export interface Effort {
  readonly rounds: number;
  /** Milliseconds per case and round. */
  readonly sliceMs: number;
}

export const QUICK: Effort = { rounds: 3, sliceMs: 15 };
export const FULL: Effort = { rounds: 10, sliceMs: 60 };

const WARM_UP_SLICES = 2;

export interface Timing {
  readonly medianUs: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly samples: number;
}

/** Microseconds per call of each case, in the order given. */
export function measure(cases: readonly BenchCase[], effort: Effort): Timing[] {
  const samples = cases.map(() => [] as number[]);
  const ignored: number[] = [];
  for (const one of cases)
    for (let slice = 0; slice < WARM_UP_SLICES; slice++) runSlice(one, effort.sliceMs, ignored);
  for (let round = 0; round < effort.rounds; round++) {
    for (const [index, one] of cases.entries()) runSlice(one, effort.sliceMs, samples[index]!);
  }
  return samples.map(summarise);
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

function summarise(samples: number[]): Timing {
  const sorted = Float64Array.from(samples).sort();
  const quantile = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  return { medianUs: quantile(0.5), p99Us: quantile(0.99), p999Us: quantile(0.999), samples: sorted.length };
}

/** One line of results about this machine. */
export function result(
  suite: string,
  name: string,
  kernel: string,
  timing: Timing,
  details: Record<string, string | number | boolean | null> = {},
): BenchResult {
  const round = (us: number) => Number(us.toPrecision(4));
  return {
    suite,
    case: name,
    unit: 'us',
    median: round(timing.medianUs),
    p99: round(timing.p99Us),
    p999: round(timing.p999Us),
    samples: timing.samples,
    cpu: cpus()[0]?.model ?? 'unknown',
    node: process.version,
    kernel,
    ...details,
  };
}
