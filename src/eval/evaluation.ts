/** What an evaluation is asked for, and what it says. */
import type { Model, SpikeSettings } from '../engine/model.ts';
import type { PolicyName } from '../gate/policy.ts';
import type { Witness } from '../gate/witness.ts';
import type { Output } from '../gateway/output.ts';
import type { Recording } from '../recording/recording.ts';
import type { FloatModel } from '../train/float-model.ts';
import type { Interval } from './bootstrap.ts';
import type { Metric } from './metrics.ts';
import type { Recorder } from './runs.ts';

export interface EvaluateOptions {
  /** Default: the pipeline's own. */
  readonly policy?: PolicyName;
  /** Default: the model's own. */
  readonly spikes?: SpikeSettings;
  /** Gated runs with thresholds so many times the model's, for the curve of quality against compute. */
  readonly curveScales?: readonly number[];
  /** What the model was quantised from. */
  readonly float?: FloatModel;
  /** Other models for the same recording, by name: dense, in the rivals' table. */
  readonly beside?: ReadonlyMap<string, Model>;
  /** Timed passes of each kind; default 3. */
  readonly repetitions?: number;
  /** Score even on a channel that only counts rows. */
  readonly allowClocks?: boolean;
  /** Sees the gated run, row by row. */
  readonly trace?: Trace;
  /** Told before each pass. */
  readonly onProgress?: (pass: string, done: number, total: number) => void;
}

/** Sees a pipeline's output and witness at each row; both are reused. */
export type Trace = Recorder<Output, Witness>;

/** A run of the model, or a rival's answers. */
export interface Result {
  readonly metric: Metric;
  /** 95 % intervals of the metrics that retention is about: block bootstrap over time, for anomalies over files. */
  readonly interval: Readonly<Record<string, Interval>>;
}

export interface RunResult extends Result {
  readonly macsPerTick: number;
}

export interface GatedResult extends RunResult {
  /** Share of ticks without a token. */
  readonly skipRate: number;
  /** Shares of ticks by tier 0 to 3. */
  readonly tierShares: readonly [number, number, number, number];
}

/** A run, beside the dense one. */
export interface ComparedResult extends RunResult {
  /** See Evaluation. */
  readonly retention: number;
}

export interface CurvePoint extends ComparedResult {
  /** Every channel's delta was so many times the model's. */
  readonly thresholdScale: number;
  readonly skipRate: number;
}

export interface Evaluation {
  readonly task: Recording['task'];
  /** Of the gated run, which is how the gateway runs. */
  readonly metric: Metric;
  /** Tier 0 at every tick, with its KV cache: what caching saves is not counted as gating. */
  readonly dense: RunResult;
  readonly gated: GatedResult;
  /**
   * Quality kept by gating: gated over dense (of the worst file, where files are scored apart); 1 is all of it. NaN (null
   * in JSON) where the dense model has none.
   */
  readonly retention: number;
  /** 95 % interval of `retention`: paired block bootstrap over time, for anomalies over files. */
  readonly retentionInterval: Interval;
  /** Dense over gated multiply-accumulates of the engine. */
  readonly computeReduction: number;
  /** Dense over gated wall time of whole ticks, gate included, on this machine. */
  readonly timeReduction: number;
  /** Every tick at that tier. */
  readonly tiers: readonly [ComparedResult, ComparedResult, ComparedResult];
  /** The float32 network that the model was quantised from, on every tick; null unless asked for. */
  readonly float: Result | null;
  /** Gated with other thresholds; empty unless asked for. */
  readonly curve: readonly CurvePoint[];
  readonly rivals: Readonly<Record<string, Rival>>;
}

export interface Rival extends Result {
  /** Of rivals that run a model. */
  readonly macsPerTick?: number;
}
