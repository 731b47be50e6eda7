/** A model in memory: integer weights as the file holds them, and what its inputs and outputs mean. */
import type { TransformerConfig } from './config.ts';

/** `y = round((bias + W x) * multiplier)`, per output row; see docs/integer-rules.md. */
export interface Linear {
  /** [outputs, inputs], row-major, -127..127. */
  readonly weight: Int8Array;
  /** [outputs], accumulator domain, the input's zero point folded in. */
  readonly bias: Int32Array;
  /** [outputs], > 0 or 0 for an output that is always zero. */
  readonly multiplier: Float32Array;
}

/** Steps of a normed activation per root mean square: of all channels, or [hidden] with `normGains: channel`. */
export type Gain = number | Float32Array;

/** RMSNorm, up, GELU, down, onto the residual stream. */
export interface FeedForwardWeights {
  readonly feedForwardGain: Gain;
  /** [feedForward, hidden], to the index of the GELU table. */
  readonly up: Linear;
  /** [256], index u + 128 to activation. */
  readonly gelu: Uint8Array;
  /** [hidden, feedForward], onto the residual stream. */
  readonly down: Linear;
}

export interface LayerWeights extends FeedForwardWeights {
  /** [1, hidden], to a Q16 logit: below 0 a token goes around this layer. Only in routed layers. */
  readonly router?: Linear;
  readonly attentionGain: Gain;
  /** [hidden, hidden]; row = head * headSize + component. */
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  /** [hidden, hidden], onto the residual stream. */
  readonly output: Linear;
  /** [hidden], 1 and up: positions at which key and value must both be positive. Only with spike attention. */
  readonly spikeThreshold?: Int32Array;
  /** [heads, window], accumulator domain of q.k, by age in tokens. This and the next three: empty with spike attention. */
  readonly ageBias: Int32Array;
  /** [heads], accumulator domain of q.k. */
  readonly sink: Int32Array;
  /** [heads], E of the integer rules. */
  readonly exponentScale: Float32Array;
  /** [heads], C of the integer rules. */
  readonly contextScale: Float32Array;
}

/** The linear path over each channel's past, of rank r; see docs/integer-rules.md. */
export interface HistoryWeights {
  /** [r, rows], oldest tick first: to components, as large as features. */
  readonly basis: Linear;
  /** [outputs per channel, r], to Q16 above the present value. A tier uses the first columns of its rank. */
  readonly readout: Linear;
}

export interface ModelWeights {
  /** [hidden, features], and with a history as many columns for each channel's components after them. */
  readonly embedding: Linear;
  readonly layers: readonly LayerWeights[];
  /** Only if the configuration has a refinement. */
  readonly refinement?: FeedForwardWeights;
  readonly headGain: Gain;
  /** [outputs, hidden], to Q16 logits. */
  readonly head: Linear;
  /** [outputs, features], the linear path beside the transformer, to Q16 logits; bias all zero. Not with a history. */
  readonly linear?: Linear;
  /** Only if the configuration has a history: the linear path is there. */
  readonly history?: HistoryWeights;
  /** [256], 2^(-i/256) in Q16. */
  readonly exponentTable: Int32Array;
}

/** One sensor channel: its value is normalised as (value - center) / scale. */
export interface Channel {
  readonly name: string;
  readonly unit: string;
  readonly center: number;
  /** > 0, physical units. */
  readonly scale: number;
}

/** What the outputs mean. All in units of LOGIT_ONE; `anomaly` and `forecast` in normalised channel units. */
export type Task =
  /** outputs = classes: logits of a softmax. */
  | { readonly kind: 'classify'; readonly classes: readonly string[] }
  /**
   * outputs = 2 x channels: for each channel the mean of the next tick, then for each channel the natural log of
   * its scale. The score is the mean Laplace negative log-likelihood of what came, or with a chart how far the plant
   * is from the ordinary of the device's calibration, in the chart's unit; at `threshold` it is an anomaly.
   */
  | { readonly kind: 'anomaly'; readonly threshold: number; readonly chart?: ChartSettings }
  /** outputs = channels x horizon: channel-major, the next `horizon` ticks. */
  | { readonly kind: 'forecast'; readonly horizon: number };

/** How a device learns at its start what is ordinary there, and how a departure is measured: a control chart. */
export interface ChartSettings {
  /** So many ticks calibrate, at least 2. */
  readonly calibrationTicks: number;
  /** Half-lives, in whole intervals, of the moving averages of levels and of surprises. */
  readonly levelHalfLife: number;
  readonly surpriseHalfLife: number;
  /** An alarm stands until the score falls below this share of the threshold, above 0 and at most 1. */
  readonly release: number;
  /**
   * What a score of 1 is: a T2 as large as that of the strangest tick of the calibration, or as T2 is on average while
   * nothing changes. Default `strangest`.
   */
  readonly unit?: ChartUnit;
  /** Default: an alarm ends by `release` alone. */
  readonly recovery?: RecoverySettings;
}

export type ChartUnit = 'strangest' | 'average';
export const chartUnits: readonly ChartUnit[] = ['strangest', 'average'];

/**
 * An alarm ends, too, when the score has been below a share of its own moving average, taken since the alarm began, for
 * a while: what was wrong is over, though the plant has meanwhile gone elsewhere. Its levels then are the ordinary ones.
 */
export interface RecoverySettings {
  /** Above 0 and below 1. */
  readonly share: number;
  /** Of the moving average, in whole intervals. */
  readonly halfLife: number;
  /** So long the score is low, in whole intervals, at least 1. */
  readonly intervals: number;
}

/**
 * What a reading is compared with: what the last token carried (send-on-delta), that value moved on by its own damped
 * trend, or the model's last forecast (both send-on-prediction; for the last, a model that predicts readings).
 */
export type SpikeRule = 'delta' | 'trend' | 'forecast';
export const spikeRules: readonly SpikeRule[] = ['delta', 'trend', 'forecast'];

/**
 * What the model sees of each channel: value, change, fired flag and age; or its trends over several time scales, too
 * (see src/gate/features.ts).
 */
export type FeatureSet = 'changes' | 'trends';
export const featureSets: readonly FeatureSet[] = ['changes', 'trends'];

/** When a channel fires. Lists have one entry per channel. */
export interface SpikeSettings {
  /** Default `delta`. */
  readonly rule?: SpikeRule;
  /** Physical units: fire when the value has moved this far since it was last seen by the model. */
  readonly delta: readonly number[];
  /** Fire at the latest after so many intervals without a token. */
  readonly heartbeat: readonly number[];
  /**
   * Intervals after a change until the first heartbeat, at least 1; each that finds nothing new waits twice as long,
   * up to `heartbeat`. So the model looks again soon when a change has settled below a threshold. Default: `heartbeat`.
   */
  readonly firstHeartbeat?: readonly number[];
  /** After firing, do not fire again for so many intervals. */
  readonly refractory: readonly number[];
}

/** When a tier-0 token may leave after the first layers. */
export interface ExitRule {
  /** The first so many layers always run; fewer than the model has. */
  readonly layers: number;
  /** It leaves if its answer is at least as confident; see src/gate/confidence.ts. */
  readonly confidenceQ16: number;
}

/** When a tier-0 token is refined once more. */
export interface RefinementRule {
  /** As long as a round makes the answer more confident by as much; see src/gate/anytime.ts. */
  readonly gainQ16: number;
}

/**
 * What else than the model predicts the tick after a token; of each channel the prediction whose errors of late have the
 * least energy is put out. See src/gate/candidates.ts.
 */
export interface CandidateRule {
  /** Half-life, in whole intervals, of what is remembered of errors. */
  readonly energyHalfLife: number;
  /** Half-life, in whole intervals, of the moving average that is one of the candidates. */
  readonly levelHalfLife: number;
}

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** Everything about a model that is not a weight. */
export interface ModelMeaning {
  readonly channels: readonly Channel[];
  /** Milliseconds between ticks: the unit of elapsed time and age. */
  readonly intervalMs: number;
  readonly task: Task;
  readonly spikes: SpikeSettings;
  /** Absent: `changes`. */
  readonly features?: FeatureSet;
  /** Absent: every tier-0 token runs all layers. */
  readonly exit?: ExitRule;
  /** Absent: nothing is refined. */
  readonly refinement?: RefinementRule;
  /** Absent: the model's prediction is put out. Not of classifiers. */
  readonly candidates?: CandidateRule;
  /** Where it came from: recording, source, hashes, seed, command, version, validation results. */
  readonly provenance: { readonly [key: string]: Json };
}

export interface Model {
  readonly config: TransformerConfig;
  readonly weights: ModelWeights;
  readonly meaning: ModelMeaning;
}
