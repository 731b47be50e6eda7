/**
 * The tail: every step of a long run is timed, and garbage collections meanwhile are counted. Beside it a plain loop
 * of the same length, which shows what the machine alone does to such a time. For a core of its own (Linux, as root):
 *
 *   taskset -c 1 chrt -f 10 node --single-threaded dist/dormouse.mjs bench latency
 *
 * --single-threaded, since V8's compilers would get nothing of a core that one real-time thread has for itself.
 */
import {
  constants,
  createHistogram,
  type NodeGCPerformanceDetail,
  PerformanceObserver,
  type RecordableHistogram,
} from 'node:perf_hooks';
import { type PresetName, presetConfig, presetNames } from '../engine/config.ts';
import { Engine } from '../engine/engine.ts';
import type { KernelName } from '../engine/kernels/contract.ts';
import {
  type BenchResult,
  type Details,
  type Effort,
  letCompile,
  result,
  rounded,
  type Timing,
  timeLeft,
} from './harness.ts';
import { randomFeatures, randomModel } from './random-model.ts';

const FEATURES = 36;
const TICKS = 64;
const WARM_UP_ROUNDS = 10;
const WARM_UP_STEPS = 5000;
const STEPS = 1_000_000;
const QUICK_SHARE = 0.1;
const PROBE_TURNS = 10_000;
/** Fewer have no tail at all. */
const CALLS_MIN = 100;
/** How often a warm-up looks at the clock. */
const WARM_UP_CHUNK = 50;
const MIB = 2 ** 20;

export async function latency(effort: Effort, kernels?: KernelName): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  for (const preset of presetNames) {
    const wanted = effort.quick ? STEPS * QUICK_SHARE : STEPS;
    results.push(...(await measureSteps(preset, wanted, kernels, effort.runMsMax)));
  }
  return results;
}

async function measureSteps(
  preset: PresetName,
  steps: number,
  kernels: KernelName | undefined,
  msMax: number | undefined,
): Promise<BenchResult[]> {
  const model = randomModel({ config: presetConfig(preset, FEATURES, 2) });
  const engine = new Engine(model, kernels === undefined ? {} : { kernels });
  const plan = engine.plans[0]!.write;
  const all = randomFeatures(FEATURES * TICKS, 1);
  const ticks = Array.from({ length: TICKS }, (_, tick) =>
    all.subarray(FEATURES * tick, FEATURES * (tick + 1)),
  );
  const step = await timeCalls((index) => engine.step(0, ticks[index % TICKS]!, plan), steps, msMax);
  const turns = await turnsOf(step.timing.medianUs, msMax);
  const loop = await timeCalls(() => spin(turns), step.timing.samples, msMax);
  return [
    describe(`${preset} step, ${step.timing.samples} times`, step, engine.kernel, {
      p999OverLoop: rounded(step.timing.p999Us / loop.timing.p999Us),
    }),
    describe(`a plain loop as long as a ${preset} step, ${loop.timing.samples} times`, loop, 'none', {}),
  ];
}

/** Work that touches no memory. */
function spin(turns: number): number {
  let value = turns;
  for (let turn = 0; turn < turns; turn++) value = (Math.imul(value, 1_664_525) + 1_013_904_223) | 0;
  return value;
}

/** Turns of `spin` that take so long. */
async function turnsOf(us: number, msMax: number | undefined): Promise<number> {
  const { timing } = await timeCalls(() => spin(PROBE_TURNS), WARM_UP_STEPS, msMax);
  return Math.max(1, Math.round((PROBE_TURNS * us) / timing.medianUs));
}

export interface Run {
  readonly timing: Timing;
  readonly maxUs: number;
  readonly pauses: Pauses;
  readonly growthBytes: number;
}

/**
 * Times each of so many calls, after a warm-up, and counts the garbage collections meanwhile. Where either would take
 * longer than `msMax`, it makes fewer calls, by what they took in the warm-up; `timing.samples` tells how many.
 */
export async function timeCalls(
  call: (index: number) => unknown,
  callsWanted: number,
  msMax = Number.POSITIVE_INFINITY,
): Promise<Run> {
  const calls = Math.min(callsWanted, Math.max(CALLS_MIN, Math.floor(msMax / (await warmUp(call, msMax)))));
  const histogram = makeHistogram();
  const rssBefore = process.memoryUsage.rss();
  const pauses = await collections(() => record(call, calls, histogram));
  const growthBytes = process.memoryUsage.rss() - rssBefore;
  const at = (percentile: number) => histogram.percentile(percentile) / 1000;
  const timing = { medianUs: at(50), p99Us: at(99), p999Us: at(99.9), samples: calls };
  return { timing, maxUs: histogram.max / 1000, pauses, growthBytes };
}

/** In rounds, between which V8's compilers have their time. Gives the milliseconds of a call at its fastest. */
async function warmUp(call: (index: number) => unknown, msMax: number): Promise<number> {
  const hasTime = timeLeft(msMax);
  const ignored = makeHistogram();
  let chunkMs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < WARM_UP_ROUNDS && hasTime(); round++) {
    for (let done = 0; done < WARM_UP_STEPS && hasTime(); done += WARM_UP_CHUNK) {
      const startMs = performance.now();
      record(call, WARM_UP_CHUNK, ignored);
      chunkMs = Math.min(chunkMs, performance.now() - startMs);
    }
    await letCompile();
  }
  return chunkMs / WARM_UP_CHUNK;
}

/** Of nanoseconds. It takes its own time and makes no garbage, as performance.now() does. */
function makeHistogram(): RecordableHistogram {
  return createHistogram({ figures: 4 });
}

function record(call: (index: number) => unknown, calls: number, histogram: RecordableHistogram): void {
  histogram.recordDelta();
  for (let index = 0; index < calls; index++) {
    call(index);
    histogram.recordDelta();
  }
}

function describe(name: string, run: Run, kernel: string, details: Details): BenchResult {
  const { timing, maxUs, pauses, growthBytes } = run;
  return result('latency', name, kernel, timing, {
    p999Us: rounded(timing.p999Us, 4),
    maxUs: rounded(maxUs, 4),
    p999OverMedian: rounded(timing.p999Us / timing.medianUs),
    gcPauses: pauses.minor + pauses.major,
    gcMajor: pauses.major,
    gcMs: rounded(pauses.totalMs),
    rssGrowthMiB: rounded(growthBytes / MIB, 2),
    ...details,
  });
}

interface Pauses {
  minor: number;
  major: number;
  totalMs: number;
}

/** The garbage collections while `run` runs. */
async function collections(run: () => void): Promise<Pauses> {
  const pauses: Pauses = { minor: 0, major: 0, totalMs: 0 };
  let [fromMs, toMs] = [0, Number.POSITIVE_INFINITY];
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { startTime, duration } = entry;
      if (startTime < fromMs || startTime > toMs) continue;
      const { kind } = (entry as unknown as { detail: NodeGCPerformanceDetail }).detail;
      pauses[kind === constants.NODE_PERFORMANCE_GC_MINOR ? 'minor' : 'major']++;
      pauses.totalMs += duration;
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  fromMs = performance.now();
  run();
  toMs = performance.now();
  // The observer is told in a later turn of the event loop.
  await new Promise((resolve) => setTimeout(resolve, 50));
  observer.disconnect();
  return pauses;
}
