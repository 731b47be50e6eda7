/** How cost grows: with the sequence, windowed against dense; with layers; with width; with streams. */
import type { TransformerConfig } from '../engine/config.ts';
import { Engine } from '../engine/engine.ts';
import type { KernelName } from '../engine/kernels/contract.ts';
import {
  type BenchResult,
  type Details,
  type Effort,
  measure,
  result,
  rounded,
  type Timing,
} from './harness.ts';
import { randomFeatures, randomModel } from './random-model.ts';
import { streams } from './streams.ts';

const FEATURES = 36;
const CHUNK_ROWS = 64;
const WINDOW = 16;
const SEQUENCES = [64, 256, 1024, 4096];
const QUICK_SEQUENCE_MAX = 1024;

interface Shape {
  readonly sequence: number;
  readonly window: number;
  readonly hidden: number;
  readonly layers: number;
}

/** A prefill of a whole sequence of some shape. */
interface Subject {
  readonly name: string;
  readonly shape: Shape;
  readonly engine: Engine;
  readonly run: () => void;
}

const micro: Shape = { sequence: 32, window: 8, hidden: 128, layers: 2 };

export async function scaling(effort: Effort, kernels?: KernelName): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  for (const sequence of SEQUENCES) {
    if (effort.quick && sequence > QUICK_SEQUENCE_MAX) continue;
    results.push(...(await measureSequence(sequence, effort, kernels)));
  }
  const layers = [1, 2, 4, 8].map((count) =>
    makeSubject(`layers ${count}`, { ...micro, layers: count }, kernels),
  );
  const widths = [64, 128, 256, 512].map((hidden) =>
    makeSubject(`hidden ${hidden}`, { ...micro, hidden }, kernels),
  );
  results.push(...(await measureSubjects(layers, effort)), ...(await measureSubjects(widths, effort)));
  return [...results, ...(await streams(effort, kernels))];
}

/** Attention alone is what a window takes more than a window of one. */
async function measureSequence(
  sequence: number,
  effort: Effort,
  kernels: KernelName | undefined,
): Promise<BenchResult[]> {
  const make = (name: string, window: number) =>
    makeSubject(`sequence ${sequence}, ${name}`, { ...micro, sequence, window }, kernels);
  const [windowed, dense, least] = [
    make(`window ${WINDOW}`, WINDOW),
    make('dense', sequence),
    make('window 1', 1),
  ];
  const [windowedTiming, denseTiming, leastTiming] = await measure([windowed, dense, least], effort);
  const attentionUs = (timing: Timing) => timing.medianUs - leastTiming!.medianUs;
  return [
    describe(windowed, windowedTiming!, { attentionUs: rounded(attentionUs(windowedTiming!)) }),
    describe(dense, denseTiming!, {
      attentionUs: rounded(attentionUs(denseTiming!)),
      overWindowed: rounded(denseTiming!.medianUs / windowedTiming!.medianUs),
      attentionOverWindowed: rounded(attentionUs(denseTiming!) / attentionUs(windowedTiming!)),
    }),
  ];
}

async function measureSubjects(subjects: readonly Subject[], effort: Effort): Promise<BenchResult[]> {
  const timings = await measure(subjects, effort);
  return subjects.map((subject, index) => describe(subject, timings[index]!, {}));
}

function makeSubject(name: string, shape: Shape, kernels: KernelName | undefined): Subject {
  const options = kernels === undefined ? {} : { kernels };
  const engine = new Engine(randomModel({ config: configOf(shape) }), options);
  const rows = Math.min(CHUNK_ROWS, shape.sequence);
  const ticks = randomFeatures(FEATURES * rows, 1);
  const plan = engine.plans[0]!.write;
  /** In chunks, as a gateway would do it. */
  const run = () => {
    engine.reset(0);
    for (let done = 0; done < shape.sequence; done += rows) engine.prefill(0, ticks, rows, plan);
  };
  return { name, shape, engine, run };
}

function configOf({ sequence, window, hidden, layers }: Shape): Partial<TransformerConfig> {
  const limits = { layers, sequence, window };
  const tiers = [limits, limits, limits] as const;
  return { features: FEATURES, sequence, window, hidden, layers, heads: 4, feedForward: 4 * hidden, tiers };
}

function describe({ name, shape, engine }: Subject, timing: Timing, details: Details): BenchResult {
  const { sequence, window, hidden, layers } = shape;
  // The first positions see fewer than a window.
  const positions = layers * (sequence * window - (window * (window - 1)) / 2);
  const attentionMacs = 2 * positions * hidden;
  const perToken = engine.cost(engine.plans[0]!.write).macs - 2 * layers * window * hidden;
  const macs = sequence * perToken + attentionMacs;
  return result('scaling', name, engine.kernel, timing, {
    perTokenUs: rounded(timing.medianUs / sequence),
    macs,
    attentionShare: rounded(attentionMacs / macs),
    gigaMacsPerSecond: rounded(macs / timing.medianUs / 1000),
    ...details,
  });
}
