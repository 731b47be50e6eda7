/**
 * Long histories: one step with a full ring, dense and by each pattern, in eight and in four bits, from which length on
 * each is faster than dense attention of int8, and what the rings take.
 */
import type { KeyValueFormat, TransformerConfig } from '../engine/config.ts';
import { Engine } from '../engine/engine.ts';
import type { KernelName } from '../engine/kernels/contract.ts';
import type { Model } from '../engine/model.ts';
import type { HeadPattern } from '../engine/patterns.ts';
import type { Token } from '../eval/attention-samples.ts';
import { contextError, ringBytes } from '../eval/context-error.ts';
import { randomNumbers } from '../statistics/random.ts';
import { type BenchResult, type Effort, measure, result, rounded } from './harness.ts';
import { randomFeatures, randomModel } from './random-model.ts';

const FEATURES = 36;
const LENGTHS = [64, 128, 256, 512, 1024, 2048, 4096, 8192];
const QUICK_LENGTH_MAX = 256;
/** Longer ones take as long as their timing to compare. */
const COMPARED_LENGTH_MAX = 1024;
const TICKS = 64;
/** One token in so many is marked. */
const MARKED_EVERY = 20;
const shape = { features: FEATURES, hidden: 128, heads: 4, layers: 2, feedForward: 512 };

interface Variant {
  readonly name: string;
  readonly keyValues?: KeyValueFormat;
  /** What each head looks at; absent: everything. */
  readonly pattern?: HeadPattern;
}

const local = 32;
/** Each of the sparse ones sees 64 to 96 positions. */
const variants: readonly Variant[] = [
  { name: 'dense' },
  { name: 'a-shape', pattern: { local: 64 } },
  { name: 'vertical-slash', pattern: { local, pinned: 8, ages: [32, 40, 48, 60, 61, 62, 63] } },
  { name: 'block-sparse', pattern: { local, blocks: 2 } },
  { name: 'int4', keyValues: 'int4' },
  { name: 'int4-rotated', keyValues: 'int4-rotated' },
  { name: 'block-sparse int4-rotated', keyValues: 'int4-rotated', pattern: { local, blocks: 2 } },
];

export async function longContext(effort: Effort, kernels?: KernelName): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  for (const length of LENGTHS) {
    if (effort.quick && length > QUICK_LENGTH_MAX) continue;
    results.push(...(await measureLength(length, effort, kernels)));
  }
  return results;
}

async function measureLength(length: number, effort: Effort, kernels?: KernelName): Promise<BenchResult[]> {
  const engines = variants.map((variant) => engineOf(variant, length, kernels));
  const least = engineOf({ name: 'window 1', pattern: { local: 1 } }, length, kernels);
  const cases = [...engines, least].map((engine, index) => ({
    name: String(index),
    run: stepper(engine, length),
  }));
  const timings = await measure(cases, effort);
  const floorUs = timings.at(-1)!.medianUs;
  return variants.map(({ name }, index) => {
    const timing = timings[index]!;
    const engine = engines[index]!;
    const { stats, kernel } = engine;
    return result('long-context', `${length} ${name}`, kernel, timing, {
      attentionUs: rounded(timing.medianUs - floorUs),
      overDense: rounded(timing.medianUs / timings[0]!.medianUs),
      positions: stats.positions,
      macs: stats.macs,
      kvReadBytes: stats.kvReadBytes,
      kvWriteBytes: stats.kvWriteBytes,
      ringBytes: ringBytes(engine),
      ...(length > COMPARED_LENGTH_MAX ? {} : errorsOf(engines[0]!.model, engine.model)),
    });
  });
}

/** How far attention is from dense int8, on weights without a training, and where one component in 16 is ten times as large. */
function errorsOf(dense: Model, model: Model) {
  const random = randomNumbers(3);
  const tokens = Array.from({ length: dense.config.window + TICKS }, (_, tick): Token => {
    const mark = random() * MARKED_EVERY < 1 ? 1 + Math.floor(random() * 1000) : 0;
    return { features: randomFeatures(FEATURES, tick), kv: 'write', mark, held: 0 };
  });
  const outliers = contextError(withOutliers(dense), withOutliers(model), [tokens]);
  return {
    relativeError: rounded(contextError(dense, model, [tokens]).relativeError),
    outlierError: rounded(outliers.relativeError),
  };
}

/** One component in 16 of each key and value is ten times as large as the others. */
export function withOutliers(model: Model): Model {
  const layers = model.weights.layers.map((layer) => {
    const stretch = ({ multiplier, ...rest }: (typeof layer)['key']) => ({
      ...rest,
      multiplier: multiplier.map((one, row) => (row % 16 === 3 ? one : one / 10)),
    });
    return { ...layer, key: stretch(layer.key), value: stretch(layer.value) };
  });
  return { ...model, weights: { ...model.weights, layers } };
}

function engineOf({ keyValues, pattern }: Variant, length: number, kernels?: KernelName): Engine {
  const limits = { layers: shape.layers, sequence: length, window: length };
  const config: Partial<TransformerConfig> = {
    ...shape,
    sequence: length,
    window: length,
    tiers: [limits, limits, limits],
    ...(keyValues === undefined ? {} : { keyValues }),
    ...(pattern === undefined
      ? {}
      : {
          patterns: Array.from({ length: shape.layers }, () =>
            Array(shape.heads).fill(fitted(pattern, length)),
          ),
        }),
  };
  return new Engine(randomModel({ config }), kernels === undefined ? {} : { kernels });
}

/** A window may be shorter than what a pattern names. */
function fitted(pattern: HeadPattern, length: number): HeadPattern {
  const { ages } = pattern;
  return {
    ...pattern,
    local: Math.min(pattern.local, length),
    ...(ages === undefined ? {} : { ages: ages.filter((age) => age < length) }),
  };
}

/** Steps of a stream whose ring is full. */
function stepper(engine: Engine, length: number): () => void {
  const ticks = randomFeatures(TICKS * FEATURES, 1);
  const rows = Array.from({ length: TICKS }, (_, tick) =>
    ticks.subarray(tick * FEATURES, (tick + 1) * FEATURES),
  );
  const random = randomNumbers(2);
  const plan = engine.plans[0]!.write;
  let tick = 0;
  const step = () => {
    if (engine.marks.length > 0 && random() * MARKED_EVERY < 1)
      engine.marks[0] = 1 + Math.floor(random() * 1000);
    engine.step(0, rows[tick++ % TICKS]!, plan);
  };
  for (let i = 0; i < length; i++) step();
  return step;
}

/** From which length on each variant is faster than dense attention, at every length measured from there. */
export function crossovers(results: readonly BenchResult[]): string[] {
  return variants.slice(1).map(({ name }) => {
    const rows = results.filter(
      (row) => row.case.endsWith(` ${name}`) && row.case.split(' ').length === name.split(' ').length + 1,
    );
    const slower = rows.findLastIndex(({ overDense }) => Number(overDense) >= 1);
    const first = rows[slower + 1];
    if (first === undefined) return `${name}: never faster than dense attention up to the longest measured`;
    return `${name}: faster than dense attention from ${first.case.split(' ')[0]} positions on (lengths measured double)`;
  });
}

export const longContextColumns: readonly string[] = [
  'attentionUs',
  'overDense',
  'positions',
  'kvReadBytes',
  'ringBytes',
  'relativeError',
  'outlierError',
];
