/** How cost grows: with the sequence, windowed against dense; with layers; with width. */
import type { TransformerConfig } from '../engine/config.ts';
import { Engine } from '../engine/engine.ts';
import type { KernelName } from '../engine/kernels/contract.ts';
import { type BenchResult, type Effort, measure, result } from './harness.ts';
import { randomFeatures, randomModel } from './random-model.ts';

const FEATURES = 36;
const CHUNK_ROWS = 64;

interface Shape {
  readonly sequence: number;
  readonly window: number;
  readonly hidden: number;
  readonly layers: number;
}

const micro: Shape = { sequence: 32, window: 8, hidden: 128, layers: 2 };
const sequences = [64, 256, 1024, 4096];

/** Prefill of a whole sequence, in chunks as a gateway would do it. */
export function scaling(effort: Effort, kernels?: KernelName): BenchResult[] {
  const quick = effort.rounds <= 3;
  const lengths = quick ? sequences.slice(0, 3) : sequences;
  const shapes: { name: string; shape: Shape }[] = [
    ...lengths.flatMap((sequence) => [
      { name: `sequence ${sequence}, window 16`, shape: { ...micro, sequence, window: 16 } },
      { name: `sequence ${sequence}, dense`, shape: { ...micro, sequence, window: sequence } },
    ]),
    ...[1, 2, 4, 8].map((layers) => ({ name: `layers ${layers}`, shape: { ...micro, layers } })),
    ...[64, 128, 256, 512].map((hidden) => ({ name: `hidden ${hidden}`, shape: { ...micro, hidden } })),
  ];
  return shapes.map(({ name, shape }) => measureShape(name, shape, effort, kernels));
}

function configOf({ sequence, window, hidden, layers }: Shape): Partial<TransformerConfig> {
  const limits = { layers, sequence, window };
  return {
    features: FEATURES,
    sequence,
    window,
    hidden,
    layers,
    heads: 4,
    feedForward: 4 * hidden,
    tiers: [limits, limits, limits],
  };
}

function measureShape(
  name: string,
  shape: Shape,
  effort: Effort,
  kernels: KernelName | undefined,
): BenchResult {
  const engine = new Engine(
    randomModel({ config: configOf(shape) }),
    kernels === undefined ? {} : { kernels },
  );
  const rows = Math.min(CHUNK_ROWS, shape.sequence);
  const ticks = randomFeatures(FEATURES * rows, 1);
  const plan = engine.plans[0]!.write;
  let macs = 0;
  let attentionMacs = 0;
  const run = () => {
    macs = attentionMacs = 0;
    engine.reset(0);
    for (let done = 0; done < shape.sequence; done += rows) {
      engine.prefill(0, ticks, rows, plan);
      macs += engine.stats.macs;
      attentionMacs += 2 * engine.stats.positions * shape.hidden;
    }
  };
  const [timing] = measure([{ name, run }], effort);
  return result('scaling', name, engine.kernel, timing!, {
    perTokenUs: Number((timing!.medianUs / shape.sequence).toPrecision(3)),
    macs,
    attentionShare: Number((attentionMacs / macs).toPrecision(3)),
    gigaMacsPerSecond: Number((macs / timing!.medianUs / 1000).toPrecision(3)),
  });
}
