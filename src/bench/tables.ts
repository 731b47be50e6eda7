/** The latency tables: both presets, every tier, one step and a whole sequence, and a skipped tick. */

import { findTarget } from '../energy/target.ts';
import { type PresetName, presetConfig, presetNames } from '../engine/config.ts';
import { Engine } from '../engine/engine.ts';
import type { KernelName } from '../engine/kernels/contract.ts';
import { Pipeline } from '../gateway/pipeline.ts';
import { type BenchCase, type BenchResult, type Effort, measure, result, type Timing } from './harness.ts';
import { randomFeatures, randomModel } from './random-model.ts';

const CHANNELS = ['a', 'b', 'c', 'd', 'e'];
const FEATURES = CHANNELS.length * 4 + 16;
const OUTPUTS = 2;
const SKIP_BATCH = 1000;

/** What the prototype's documents say, microseconds for a whole sequence; its code computes nothing. */
const claimedUs: Readonly<Record<PresetName, readonly (number | null)[]>> = {
  micro: [850, 320, null, 12],
  baseline: [3400, 1150, null, 18],
};

interface Row {
  readonly preset: PresetName;
  readonly tier: number;
  readonly what: 'step' | 'prefill' | 'skip';
  readonly macs: number;
  readonly bytes: number;
  readonly bench: BenchCase;
}

export function tables(effort: Effort, kernels?: KernelName): BenchResult[] {
  return presetNames.flatMap((preset) => {
    const rows = presetRows(preset, kernels);
    const timings = measure(
      rows.map(({ bench }) => bench),
      effort,
    );
    const kernel = new Engine(randomModel(), kernels === undefined ? {} : { kernels }).kernel;
    const full = (what: Row['what']) =>
      timings[rows.findIndex((row) => row.what === (what === 'skip' ? 'step' : what))]!;
    return rows.map((row, index) => describe(row, timings[index]!, full(row.what), kernel));
  });
}

function presetRows(preset: PresetName, kernels: KernelName | undefined): Row[] {
  const model = randomModel({ channels: CHANNELS, config: presetConfig(preset, FEATURES, OUTPUTS) });
  const engine = new Engine(model, kernels === undefined ? {} : { kernels });
  const ticks = randomFeatures(FEATURES * engine.rows, 1);
  const steps = engine.plans.map(({ write }, tier): Row => {
    const { macs, bytes } = engine.cost(write);
    const run = () => engine.step(0, ticks, write);
    return { preset, tier, what: 'step', macs, bytes, bench: { name: `${preset} tier ${tier} step`, run } };
  });
  const prefills = engine.plans.map(({ write }, tier): Row => {
    const count = Math.min(write.sequence, engine.rows);
    const run = () => engine.prefill(0, ticks, count, write);
    run();
    const { macs } = engine.stats;
    const bytes = engine.cost(write).bytes;
    return {
      preset,
      tier,
      what: 'prefill',
      macs,
      bytes,
      bench: { name: `${preset} tier ${tier} prefill ${count}`, run },
    };
  });
  return [...steps, ...prefills, skipRow(preset, engine)];
}

/** A frame in which nothing moved: from the values to the held output. */
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
  return {
    preset,
    tier: 3,
    what: 'skip',
    macs: 0,
    bytes: 0,
    bench: { name: `${preset} tier 3 skip`, run, batch: SKIP_BATCH },
  };
}

function describe(row: Row, timing: Timing, full: Timing, kernel: string): BenchResult {
  const { watts, cpu } = findTarget('x64');
  const activeWattsPerCore = (watts.allCores - watts.idle) / cpu.cores;
  return result('tables', row.bench.name, kernel, timing, {
    tier: row.tier,
    perSecond: Math.round(1e6 / timing.medianUs),
    speedupOverTier0: Number((full.medianUs / timing.medianUs).toPrecision(3)),
    macs: row.macs,
    gigaMacsPerSecond: Number((row.macs / timing.medianUs / 1000).toPrecision(3)),
    bytes: row.bytes,
    modelledUj: Number((timing.medianUs * activeWattsPerCore).toPrecision(3)),
    prototypeClaimUs: row.what === 'step' ? null : (claimedUs[row.preset][row.tier] ?? null),
  });
}
