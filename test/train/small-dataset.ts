/** A recording in memory: two channels, the class is whether the first is above its middle, mostly still. */
import { type TransformerConfig, validateConfig } from '../../src/engine/config.ts';
import type { FeatureSet } from '../../src/engine/model.ts';
import { featureCount } from '../../src/gate/features.ts';
import type { Series } from '../../src/recording/recording.ts';
import { type Dataset, outputCount } from '../../src/train/dataset.ts';
import { Random } from '../../src/train/random.ts';
import { defaultSettings, type TrainingSettings } from '../../src/train/settings.ts';

export function smallSeries(rows: number, seed: number): Series {
  const random = new Random(seed);
  const values = new Float64Array(2 * rows);
  const labels = new Int8Array(rows);
  let level = 0;
  for (let row = 0; row < rows; row++) {
    if (random.uniform() < 0.1) level = 4 * random.uniform() - 2;
    values[2 * row] = level + 0.01 * random.normal();
    values[2 * row + 1] = Math.sin(row / 20) + 0.01 * random.normal();
    labels[row] = level > 0 ? 1 : 0;
  }
  return {
    name: `seed ${seed}`,
    rows,
    timeMs: Float64Array.from({ length: rows }, (_, row) => 1000 * row),
    values,
    labels,
  };
}

export function smallDataset(task: Dataset['task']): Dataset {
  return {
    train: [smallSeries(400, 1), smallSeries(20, 2)],
    validation: [smallSeries(200, 3)],
    channels: ['level', 'wave'].map((name) => ({ name, unit: '', center: 0, scale: 1 })),
    restingLevel: [0, 0],
    levelDrift: [0.2, 0.2],
    intervalMs: 1000,
    task,
    spikes: { delta: [0.1, 0.3], heartbeat: [20, 20], refractory: [0, 0] },
  };
}

export function smallConfig(task: Dataset['task'], features: FeatureSet = 'changes'): TransformerConfig {
  return validateConfig({
    features: featureCount(2, features),
    outputs: outputCount(task, 2),
    sequence: 16,
    hidden: 16,
    heads: 2,
    layers: 2,
    window: 4,
    feedForward: 32,
    tiers: [
      { layers: 2, sequence: 16, window: 4 },
      { layers: 1, sequence: 8, window: 4 },
      { layers: 1, sequence: 4, window: 2 },
    ],
  });
}

export const smallSettings: TrainingSettings = {
  ...defaultSettings,
  seed: 7,
  steps: 60,
  sequence: 16,
  shards: 4,
  shardSequences: 4,
  learningRate: 5e-3,
  // What suits this series, whatever suits real ones.
  levelJitter: 0.2,
  eventShuffle: 0,
  holdMax: 1,
  evaluateEvery: 10,
  pool: { ...defaultSettings.pool, variants: 6 },
};
