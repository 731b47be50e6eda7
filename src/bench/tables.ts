/**
 * The latency tables: both presets, every tier, one step and a whole sequence, and a skipped tick; whether time
 * follows the multiply-accumulates; and what a mix of tiers costs.
 */
import type { Target } from '../energy/target.ts';
import { wattsPerCore } from '../energy/watt-model.ts';
import { type PresetName, presetConfig, presetNames, type TransformerConfig } from '../engine/config.ts';
import { Engine } from '../engine/engine.ts';
import type { KernelName } from '../engine/kernels/contract.ts';
import { Pipeline } from '../gateway/pipeline.ts';
import {
  type BenchCase,
  type BenchResult,
  type Details,
  type Effort,
  type Measurement,
  measure,
  result,
  rounded,
  type Timing,
} from './harness.ts';
import { claims, MIX, mixture } from './prototype.ts';
import { randomFeatures, randomModel } from './random-model.ts';

const CHANNELS = ['a', 'b', 'c', 'd', 'e'];
const FEATURES = CHANNELS.length * 4 + 16;
const OUTPUTS = 2;
const SKIP_BATCH = 1000;

/** What the printed table shows; JSON also has the counts that these are made of. */
export const tableColumns = [
  'perSecond',
  'speedup',
  'ratio',
  'macRatio',
  'fixedUs',
  'expectedRatio',
  'offPercent',
  'gigaMacsPerSecond',
  'bytes',
  'modelledUj',
  'claimedUs',
  'claimedRatio',
];

type EngineCall = 'step' | 'prefill all' | 'prefill last';

interface Row {
  readonly call: EngineCall | 'skip';
  readonly tier: number;
  readonly macs: number;
  readonly bytes: number;
  readonly bench: BenchCase;
  /** The same call on the least model. */
  readonly fixed?: BenchCase;
}

interface Measured extends Row {
  readonly timing: Measurement;
  readonly fixedUs: number;
}

const CALLS: readonly EngineCall[] = ['step', 'prefill all', 'prefill last'];
const TIERS = [0, 1, 2] as const;

/** `target`: whose watts the modelled energy takes; none: it is left out. */
export async function tables(effort: Effort, kernels?: KernelName, target?: Target): Promise<BenchResult[]> {
  const results: BenchResult[] = [];
  for (const preset of presetNames) results.push(...(await presetTable(preset, effort, kernels, target)));
  return results;
}

async function presetTable(
  preset: PresetName,
  effort: Effort,
  kernels: KernelName | undefined,
  target: Target | undefined,
): Promise<BenchResult[]> {
  const config = presetConfig(preset, FEATURES, OUTPUTS);
  const makeEngine = (one: TransformerConfig) =>
    new Engine(randomModel({ channels: CHANNELS, config: one }), kernels === undefined ? {} : { kernels });
  const [engine, least] = [makeEngine(config), makeEngine(leastConfig(config))];
  const rows = CALLS.flatMap((call) => TIERS.map((tier) => engineRow(preset, call, tier, engine, least)));
  const measured = await measureRows([...rows, skipRow(preset, engine)], effort);
  return [
    ...measured.map((row) => describe(preset, row, measured, engine.kernel, target)),
    mixRow(preset, measured, engine.kernel),
  ];
}

/** One layer, 16 wide: what it takes does not grow with the multiply-accumulates. */
function leastConfig({ sequence }: TransformerConfig): TransformerConfig {
  const limits = { layers: 1, sequence, window: 1 };
  const sizes = { features: FEATURES, outputs: OUTPUTS, hidden: 16, heads: 1, feedForward: 16 };
  return { ...sizes, layers: 1, sequence, window: 1, tiers: [limits, limits, limits] };
}

function engineRow(preset: PresetName, call: EngineCall, tier: number, engine: Engine, least: Engine): Row {
  const count = call === 'step' ? 1 : engine.plans[tier]!.write.sequence;
  const name = `${preset} tier ${tier} ${call}${count === 1 ? '' : ` ${count}`}`;
  const run = engineCall(engine, call, tier, count);
  // Until the window is full.
  for (let tick = 0; tick < engine.config.window; tick++) run();
  const { macs, weightBytes, kvReadBytes, kvWriteBytes } = engine.stats;
  const bytes = weightBytes + kvReadBytes + kvWriteBytes;
  const fixed = { name, run: engineCall(least, call, tier, count) };
  return { call, tier, macs, bytes, bench: { name, run }, fixed };
}

function engineCall(engine: Engine, call: EngineCall, tier: number, count: number): () => void {
  const { write } = engine.plans[tier]!;
  const ticks = randomFeatures(FEATURES * count, 1);
  if (call === 'step') return () => engine.step(0, ticks, write);
  const wanted = call === 'prefill all' ? 'all' : 'last';
  return () => engine.prefill(0, ticks, count, write, wanted);
}

/** A frame in which nothing moved: from the values, through the spike encoder, to the held output. */
function skipRow(preset: PresetName, engine: Engine): Row {
  const spikes = {
    delta: CHANNELS.map(() => 1),
    heartbeat: CHANNELS.map(() => 2 ** 40),
    refractory: CHANNELS.map(() => 0),
  };
  const pipeline = new Pipeline(engine, 0, { spikes });
  const frame = { timeMs: 0, values: Float64Array.from(CHANNELS, () => 20) };
  const run = () => {
    frame.timeMs += 1000;
    frame.values[frame.timeMs % 5]! += frame.timeMs & 1024 ? 0.001 : -0.001;
    pipeline.tick(frame);
  };
  run();
  const bench = { name: `${preset} tier 3 skip`, run, batch: SKIP_BATCH };
  return { call: 'skip', tier: 3, macs: 0, bytes: 0, bench };
}

async function measureRows(rows: readonly Row[], effort: Effort): Promise<Measured[]> {
  const fixed = rows.flatMap((row) => (row.fixed === undefined ? [] : [row.fixed]));
  const timings = await measure([...rows.map(({ bench }) => bench), ...fixed], effort);
  return rows.map((row, index) => ({
    ...row,
    timing: timings[index]!,
    fixedUs: row.fixed === undefined ? 0 : timings[rows.length + fixed.indexOf(row.fixed)]!.medianUs,
  }));
}

function describe(
  preset: PresetName,
  row: Measured,
  all: readonly Measured[],
  kernel: string,
  target: Target | undefined,
): BenchResult {
  const { medianUs } = row.timing;
  const claimed = row.call === 'prefill all' || row.call === 'skip' ? claims[preset].tierUs : null;
  return result('tables', row.bench.name, kernel, row.timing, {
    tier: row.tier,
    perSecond: Math.round(1e6 / medianUs),
    ...comparedWithTier0(row, all),
    gigaMacsPerSecond: row.macs === 0 ? null : rounded(row.macs / medianUs / 1000),
    macs: row.macs,
    bytes: row.bytes,
    modelledUj: target === undefined ? null : rounded(medianUs * wattsPerCore(target)),
    claimedUs: claimed?.[row.tier] ?? null,
    claimedRatio: claimed?.[row.tier] == null ? null : rounded(claimed[row.tier]! / claimed[0]),
  });
}

/**
 * Time over tier 0's, and what it should be: the fixed part, and the multiply-accumulates at the rate at which tier 0
 * does its own.
 */
function comparedWithTier0(row: Measured, all: readonly Measured[]): Details {
  const tier0 = all.find(({ call }) => call === (row.call === 'skip' ? 'step' : row.call))!;
  const fullUs = tier0.timing.medianUs;
  const ratio = row.timing.medianUs / fullUs;
  const speedup = rounded(1 / ratio);
  if (row.call === 'skip') {
    return {
      speedup,
      ratio: rounded(ratio),
      macRatio: 0,
      fixedUs: null,
      expectedRatio: null,
      offPercent: null,
    };
  }
  const macRatio = row.macs / tier0.macs;
  const expectedRatio = (row.fixedUs + macRatio * (fullUs - tier0.fixedUs)) / fullUs;
  return {
    speedup,
    ratio: rounded(ratio),
    macRatio: rounded(macRatio),
    fixedUs: rounded(row.fixedUs),
    expectedRatio: rounded(expectedRatio),
    offPercent: rounded(100 * (ratio / expectedRatio - 1), 2),
  };
}

/** The prototype's mix of whole sequences, as a mixture. */
function mixRow(preset: PresetName, all: readonly Measured[], kernel: string): BenchResult {
  const tiers = [0, 1, 2, 3].map(
    (wanted) =>
      all.find(({ call, tier }) => tier === wanted && (call === 'prefill all' || call === 'skip'))!.timing,
  );
  const weighted = (of: (timing: Timing) => number) =>
    tiers.reduce((sum, timing, tier) => sum + MIX[tier]! * of(timing), 0);
  return result('tables', `${preset} mix, whole sequences`, kernel, mixture(tiers, MIX), {
    meanUs: rounded(weighted(({ medianUs }) => medianUs)),
    meanOfP99sUs: rounded(weighted(({ p99Us }) => p99Us)),
    claimedUs: claims[preset].mixMeanUs,
  });
}
