/** Everything that decides what a training run gives; the number of threads does not. */
import type { DatasetSettings } from './dataset.ts';
import type { OptimiserSettings } from './optimiser.ts';
import type { PoolSettings } from './tokens.ts';

export interface TrainingSettings {
  readonly seed: number;
  readonly steps: number;
  /** Tokens in a sequence. */
  readonly sequence: number;
  /** Sequences in a batch: `shards` of `shardSequences` each. Gradients are summed shard by shard, in order. */
  readonly shards: number;
  readonly shardSequences: number;
  readonly learningRate: number;
  /** The cosine ends at this share of the learning rate. */
  readonly floorShare: number;
  readonly warmUpShare: number;
  /** The last share of the steps runs with the engine's integer rules. */
  readonly quantisedShare: number;
  /** A classifier's linear path is the closed-form discriminant of the training rows, and stays it. */
  readonly linearStart: boolean;
  /** How loud values and their changes are at the start, beside flags and ages. */
  readonly inputGain: number;
  readonly labelSmoothing: number;
  readonly exitScale: number;
  /** 0 to 1: so much of the earlier exits' loss is their distance from the last one's answer. */
  readonly distillation: number;
  readonly layerDropout: number;
  /** Weight of each router's auxiliary loss beside the task's. */
  readonly routerWeight: number;
  /** false: routers stay as they began, but for their biases: what routing gains without being learned. */
  readonly routersLearn: boolean;
  readonly levelJitter: number;
  readonly levelNoise: number;
  readonly gainJitter: number;
  readonly channelDropout: number;
  readonly eventShuffle: number;
  readonly rankDropout: number;
  /** With a history: the transformer is never run. */
  readonly lineAlone: boolean;
  readonly holdMax: number;
  readonly optimiser: OptimiserSettings;
  readonly pool: Omit<PoolSettings, 'seed'>;
  readonly dataset: DatasetSettings;
  /** Steps between two looks at the validation rows. */
  readonly evaluateEvery: number;
  /** Looks without a better result before the float part ends early. */
  readonly patience: number;
}

export const defaultSettings: TrainingSettings = {
  seed: 1,
  steps: 120,
  sequence: 32,
  shards: 8,
  shardSequences: 8,
  learningRate: 1e-3,
  floorShare: 0.02,
  warmUpShare: 0.05,
  quantisedShare: 0.25,
  linearStart: true,
  inputGain: 1,
  labelSmoothing: 0.05,
  exitScale: 1,
  distillation: 0,
  layerDropout: 0.1,
  routerWeight: 0.01,
  routersLearn: true,
  levelJitter: 3,
  levelNoise: 0,
  gainJitter: 0,
  channelDropout: 0.1,
  eventShuffle: 0.7,
  rankDropout: 0.5,
  lineAlone: false,
  holdMax: 60,
  optimiser: { beta1: 0.9, beta2: 0.98, weightDecay: 0.1, clipNorm: 1 },
  pool: {
    variants: 48,
    denseShare: 0.4,
    finest: 1 / 3,
    widest: 3,
    levelWander: 0,
    leak: 1,
    leakHalfLife: 60,
    maxBytes: 2 ** 27,
  },
  dataset: {
    features: 'changes',
    validationShare: 0.25,
    deltaShare: 0.1,
    heartbeatIntervals: 60,
    refractoryIntervals: 0,
    leaveOut: [],
    allowClocks: false,
  },
  evaluateEvery: 10,
  patience: 12,
};
