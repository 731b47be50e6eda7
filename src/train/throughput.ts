/** How fast one thread trains: whole steps, from sampling to optimiser, on a seeded random series. */
import type { TransformerConfig } from '../engine/config.ts';
import { presetConfig } from '../engine/config.ts';
import { featureCount } from '../gate/features.ts';
import type { Dataset } from './dataset.ts';
import { Random } from './random.ts';
import { defaultSettings } from './settings.ts';
import { train } from './trainer.ts';

export interface Throughput {
  readonly config: TransformerConfig;
  /** Training steps timed, after as many for warming up, float and quantised each. */
  readonly steps: number;
  /** Tokens per second of one thread; the median over the steps. */
  readonly floatTokensPerSecond: number;
  readonly quantisedTokensPerSecond: number;
}

const SEED = 20251;
const CHANNELS = 5;
const ROWS = 2000;

/**
 * Trains the micro preset on `CHANNELS` random walks. `nowMs`: a clock, for example `performance.now`. Where the second
 * step shows that it would take longer than `msMax`, it is done with two steps of one shard instead; `steps` tells.
 */
export async function measureThroughput(
  steps: number,
  nowMs: () => number,
  msMax = Number.POSITIVE_INFINITY,
): Promise<Throughput> {
  try {
    return await timeSteps(steps, defaultSettings.shards, nowMs, msMax);
  } catch (error) {
    if (!(error instanceof TooSlow)) throw error;
    // The first step of the second half pays for calibration, so there must be another.
    return await timeSteps(2, 1, nowMs, Number.POSITIVE_INFINITY);
  }
}

class TooSlow extends Error {}

/** Throws TooSlow after the second step where all of them would take longer than `msMax`. */
async function timeSteps(
  steps: number,
  shards: number,
  nowMs: () => number,
  msMax: number,
): Promise<Throughput> {
  const dataset = randomDataset();
  const config = presetConfig('micro', featureCount(CHANNELS), 2);
  const settings = {
    ...defaultSettings,
    seed: SEED,
    steps: 4 * steps,
    shards,
    quantisedShare: 0.5,
    patience: Number.POSITIVE_INFINITY,
    evaluateEvery: 8 * steps,
  };
  const times = { float: [] as number[], quantised: [] as number[] };
  let lastMs = nowMs();
  let tokens = 0;
  await train(dataset, config, settings, 1, (report) => {
    const now = nowMs();
    // The first pays for the pool.
    if (times.float.length > 0 && (now - lastMs) * settings.steps > msMax) throw new TooSlow();
    if (report.validation === null) times[report.quantised ? 'quantised' : 'float'].push(now - lastMs);
    tokens = report.tokens;
    lastMs = now;
  });
  // Each half's first steps warm the kernels up (and pay for pool and calibration).
  const rate = (list: number[]) => (1000 * tokens) / median(list.slice(Math.floor(list.length / 2)));
  return {
    config,
    steps,
    floatTokensPerSecond: rate(times.float),
    quantisedTokensPerSecond: rate(times.quantised),
  };
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

function randomDataset(): Dataset {
  const random = new Random(SEED);
  const values = new Float64Array(ROWS * CHANNELS);
  for (let i = 0; i < values.length; i++) {
    values[i] = (i < CHANNELS ? 0 : 0.99 * values[i - CHANNELS]!) + 0.14 * random.normal();
  }
  const series = {
    name: 'random walks',
    rows: ROWS,
    timeMs: Float64Array.from({ length: ROWS }, (_, row) => 1000 * row),
    values,
    labels: Int8Array.from({ length: ROWS }, (_, row) => (values[row * CHANNELS]! > 0 ? 1 : 0)),
  };
  const perChannel = (value: number) => Array<number>(CHANNELS).fill(value);
  return {
    train: [series],
    validation: [series],
    channels: perChannel(0).map((_, index) => ({ name: `channel ${index}`, unit: '', center: 0, scale: 1 })),
    restingLevel: perChannel(0),
    levelDrift: perChannel(0),
    intervalMs: 1000,
    task: { kind: 'classify', classes: ['below', 'above'] },
    spikes: { delta: perChannel(0.2), heartbeat: perChannel(60), refractory: perChannel(0) },
  };
}
