/** A model on a recording: gated, dense, and beside the trivial rivals. */
import { Engine } from '../engine/engine.ts';
import type { Model, SpikeSettings } from '../engine/model.ts';
import type { PolicyName } from '../gate/policy.ts';
import type { Witness } from '../gate/witness.ts';
import type { Output } from '../gateway/output.ts';
import { Pipeline } from '../gateway/pipeline.ts';
import { type Recording, selectChannels } from '../recording/recording.ts';
import { median } from '../statistics/statistics.ts';
import { refuseClockChannels } from '../train/clock-channels.ts';
import type { FloatModel } from '../train/float-model.ts';
import { anomalyRivals } from './anomaly-rivals.ts';
import { type Interval, keptShare, metricIntervals, retentionInterval } from './bootstrap.ts';
import { classifyRivals } from './classify-rivals.ts';
import { FloatTwin } from './float-twin.ts';
import { forceTier } from './forced-tier.ts';
import { forecastRivals } from './forecast-rivals.ts';
import type { Metric } from './metrics.ts';
import { loadProtocol, type Protocol } from './protocols.ts';
import { type AlarmRule, alarmRuleOf, makeRecorder, type ScoringRecorder } from './recorders.ts';
import { type Recorder, type RunCounts, type RunOptions, runTests, warmUpRowsOf } from './runs.ts';
import type { Scored } from './scores.ts';

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

/** A model and a recording that do not belong together. The message says what was expected and what was got. */
export class EvaluationError extends Error {
  override readonly name = 'EvaluationError';
}

/** Reads the recording's files and runs everything. Throws EvaluationError or RecordingError. */
export function evaluate(model: Model, recording: Recording, options: EvaluateOptions = {}): Evaluation {
  const protocol = loadProtocol(matchRecording(model, recording));
  const forRivals = rivalsProtocol(protocol, recording);
  if (!options.allowClocks) for (const one of [protocol, forRivals]) refuseOracles(one);
  const evaluation = evaluateProtocol(model, protocol, options, forRivals);
  return { ...evaluation, rivals: { ...evaluation.rivals, ...modelsBeside(recording, options) } };
}

/** Neither a model nor a rival is scored on what counts rows: it may have been told at which ones something happens. */
function refuseOracles({ recording, train, tests }: Protocol): void {
  refuseClockChannels(recording, [...train, ...tests.map(({ series }) => series)]);
}

/**
 * A rival classifier sees every channel that there is, though the model may do without some; what is predicted of
 * channels can be compared on the same ones only.
 */
function rivalsProtocol(protocol: Protocol, recording: Recording): Protocol {
  const { task, channels } = protocol.recording;
  return task !== 'classify' || channels.length === recording.channels.length
    ? protocol
    : loadProtocol(recording);
}

/** The recording with the model's channels in the model's order. Throws EvaluationError where they do not fit. */
export function matchRecording({ meaning }: Pick<Model, 'meaning'>, recording: Recording): Recording {
  const { task, channels, intervalMs } = meaning;
  const same = (what: string, expected: unknown, got: unknown) => {
    if (expected === got) return;
    throw new EvaluationError(
      `${recording.name}: expected ${what} ${expected}, as the model has it, got ${got}`,
    );
  };
  same('the task', task.kind, recording.task);
  same('an interval in ms of', intervalMs, recording.intervalMs);
  if (task.kind === 'classify') same('the classes', task.classes.join(', '), recording.classes!.join(', '));
  if (task.kind === 'forecast') same('a horizon of', task.horizon, recording.horizon);
  const matched = selectChannels(
    recording,
    channels.map(({ name }) => name),
  );
  for (const [index, { name, unit }] of channels.entries()) {
    same(`channel '${name}' in`, unit || 'no unit', matched.channels[index]!.unit || 'no unit');
  }
  return matched;
}

/** The same, but for models beside, of a recording that was matched and read. */
export function evaluateProtocol(
  model: Model,
  protocol: Protocol,
  options: EvaluateOptions = {},
  forRivals: Protocol = protocol,
): Evaluation {
  const { task } = protocol.recording;
  const runs = new Runs(model, protocol, options);
  const gated = runs.gated();
  const dense = runs.dense();
  const decimated = runs.decimated(1 - share(gated.counts, 3));
  const compared = (run: ScoredRun) => ({
    ...resultOf(run),
    retention: retention(task, run.metric, dense.metric),
  });
  return {
    task,
    metric: gated.metric,
    dense: resultOf(dense),
    gated: { ...resultOf(gated), skipRate: share(gated.counts, 3), tierShares: tierShares(gated.counts) },
    retention: retention(task, gated.metric, dense.metric),
    retentionInterval: retentionInterval(gated.blocked, dense.blocked),
    computeReduction: keptShare(macsPerTick(dense.counts), macsPerTick(gated.counts)),
    timeReduction: runs.timeReduction(),
    tiers: [compared(runs.forced(0)), compared(runs.forced(1)), compared(runs.forced(2))],
    float: options.float === undefined ? null : runs.float(options.float),
    curve: (options.curveScales ?? []).map((thresholdScale) => {
      const run = runs.scaled(thresholdScale);
      return { thresholdScale, ...compared(run), skipRate: share(run.counts, 3) };
    }),
    rivals: {
      ...trivialRivals(forRivals),
      decimation: resultOf(decimated),
    },
  };
}

function resultOf({ metric, blocked, counts }: ScoredRun): RunResult {
  return { metric, interval: metricIntervals(blocked), macsPerTick: macsPerTick(counts) };
}

function tierShares(counts: RunCounts): GatedResult['tierShares'] {
  return [share(counts, 0), share(counts, 1), share(counts, 2), share(counts, 3)];
}

/** Each as it is: on every tick, at its own tier 0, with the channels that it was trained on. */
function modelsBeside(recording: Recording, { beside }: EvaluateOptions): Record<string, Rival> {
  return Object.fromEntries(
    [...(beside ?? [])].map(([name, model]) => {
      const protocol = loadProtocol(matchRecording(model, recording));
      return [name, resultOf(new Runs(model, protocol, {}).dense())];
    }),
  );
}

function macsPerTick({ macs, ticks }: RunCounts): number {
  return macs / ticks;
}

function share({ tierTicks, ticks }: RunCounts, tier: number): number {
  return tierTicks[tier]! / ticks;
}

/** Accuracy or F1 kept, or the inverse of the error's growth; NaN where the dense model has nothing to keep. */
export function retention(task: Recording['task'], run: Metric, dense: Metric): number {
  if (task === 'anomaly') return keptShare(run.f1!, dense.f1!);
  if (task === 'forecast') return keptShare(1 / run.mse!, 1 / dense.mse!);
  const files = Object.keys(dense).filter((name) => name.startsWith('accuracy:'));
  return Math.min(...files.map((name) => keptShare(run[name]!, dense[name]!)));
}

function trivialRivals(protocol: Protocol): Record<string, Rival> {
  const byTask = { classify: classifyRivals, anomaly: anomalyRivals, forecast: forecastRivals };
  const scored = byTask[protocol.recording.task](protocol);
  return Object.fromEntries(
    Object.entries(scored).map(([name, { metric, blocked }]) => [
      name,
      { metric, interval: metricIntervals(blocked) },
    ]),
  );
}

interface ScoredRun extends Scored {
  readonly counts: RunCounts;
}

const tierCount = 3;

/** The same settings with every channel's delta times `scale`. */
export function scaleThresholds(spikes: SpikeSettings, scale: number): SpikeSettings {
  return { ...spikes, delta: spikes.delta.map((delta) => delta * scale) };
}

/** The passes over the tests. Two streams of one engine: gated and dense share the weights, not the past. */
class Runs {
  readonly #protocol: Protocol;
  readonly #options: EvaluateOptions;
  readonly #engine: Engine;
  readonly #gated: Pipeline;
  readonly #dense: Pipeline;
  readonly #warmUpRows: number;
  readonly #rule: AlarmRule | null;
  readonly #passes: number;
  #pass = 0;

  constructor(model: Model, protocol: Protocol, options: EvaluateOptions) {
    const { task } = model.meaning;
    this.#engine = new Engine(model, { streams: 2 });
    this.#protocol = protocol;
    this.#options = options;
    this.#gated = this.#gatedWith(options.spikes ?? model.meaning.spikes);
    this.#dense = new Pipeline(this.#engine, 1, { gating: false });
    this.#rule = alarmRuleOf(task);
    this.#warmUpRows = warmUpRowsOf(model.config);
    const asked = (options.curveScales?.length ?? 0) + (options.float === undefined ? 0 : 1);
    this.#passes = 3 + tierCount + asked + 2 * this.#repetitions;
  }

  #gatedWith(spikes: SpikeSettings): Pipeline {
    const { policy } = this.#options;
    return new Pipeline(this.#engine, 0, { ...(policy && { policy }), spikes });
  }

  get #repetitions(): number {
    return this.#options.repetitions ?? 3;
  }

  gated(): ScoredRun {
    return this.#score('gated', this.#gated, 1, this.#options.trace);
  }

  dense(): ScoredRun {
    return this.#score('dense', this.#dense, 1);
  }

  /** The dense model, shown a share `rate` of the ticks at even distances, its output held in between. */
  decimated(rate: number): ScoredRun {
    const { task } = this.#engine.model.meaning;
    const calibrationTicks = task.kind === 'anomaly' && task.chart?.calibrationTicks;
    // It calibrates itself in the same time, by as few ticks as it is shown in that.
    const shown = calibrationTicks
      ? { calibrationTicks: Math.max(2, Math.round(rate * calibrationTicks)) }
      : {};
    return this.#score('decimated', new Pipeline(this.#engine, 1, { gating: false, ...shown }), rate);
  }

  /** The dense model with every tick at one tier. */
  forced(tier: 0 | 1 | 2): ScoredRun {
    const pipeline = new Pipeline(forceTier(this.#engine, tier), 1, { gating: false });
    return this.#score(`tier ${tier}`, pipeline, 1);
  }

  /** Every tick by the float network. Its wall time and operations say nothing. */
  float(float: FloatModel): Result {
    const twin = new FloatTwin(this.#engine, float);
    const pipeline = new Pipeline(twin, 0, { gating: false });
    runTests(this.#protocol, pipeline, { warmUpRows: this.#warmUpRows });
    twin.compute();
    const { metric, blocked } = this.#score('float32', pipeline, 1);
    return { metric, interval: metricIntervals(blocked) };
  }

  /** Gated, every threshold times `scale`. */
  scaled(scale: number): ScoredRun {
    const spikes = this.#options.spikes ?? this.#engine.model.meaning.spikes;
    return this.#score(`thresholds x ${scale}`, this.#gatedWith(scaleThresholds(spikes, scale)), 1);
  }

  /** Median of dense over gated time, each pair one after the other so that the machine's moods hit both. */
  timeReduction(): number {
    const ratios = Array.from({ length: this.#repetitions }, () => {
      const gated = this.#run('gated, timed', this.#gated, {}).elapsedMs;
      return this.#run('dense, timed', this.#dense, {}).elapsedMs / gated;
    });
    return ratios.length === 0 ? Number.NaN : median(ratios);
  }

  #score(name: string, pipeline: Pipeline, rate: number, trace?: Trace): ScoredRun {
    const scoring = makeRecorder(this.#protocol, this.#rule);
    const recorder = trace === undefined ? scoring : both(scoring, trace);
    const counts = this.#run(name, pipeline, { rate, recorder });
    return { ...scoring.scored(), counts };
  }

  #run(
    name: string,
    pipeline: Pipeline,
    options: Omit<RunOptions<Output, Witness>, 'warmUpRows'>,
  ): RunCounts {
    this.#options.onProgress?.(name, this.#pass++, this.#passes);
    return runTests(this.#protocol, pipeline, { ...options, warmUpRows: this.#warmUpRows });
  }
}

function both(scoring: ScoringRecorder, trace: Trace): Trace {
  return {
    row(file, row, output, witness) {
      scoring.row(file, row, output, witness);
      trace.row(file, row, output, witness);
    },
  };
}
