/** A model on a recording: gated, dense, and beside the trivial rivals. */
import { Engine } from '../engine/engine.ts';
import type { Model, SpikeSettings } from '../engine/model.ts';
import type { PolicyName } from '../gate/policy.ts';
import type { Witness } from '../gate/witness.ts';
import type { Output } from '../gateway/output.ts';
import { Pipeline } from '../gateway/pipeline.ts';
import { type Recording, selectChannels } from '../recording/recording.ts';
import { median } from '../statistics/statistics.ts';
import { anomalyRivals } from './anomaly-rivals.ts';
import { type BlockedQuality, retentionInterval } from './bootstrap.ts';
import { classifyRivals } from './classify-rivals.ts';
import { forecastRivals } from './forecast-rivals.ts';
import type { Metric } from './metrics.ts';
import { loadProtocol, type Protocol } from './protocols.ts';
import { makeRecorder, type ScoringRecorder } from './recorders.ts';
import { type Recorder, type RunCounts, type RunOptions, runTests } from './runs.ts';

export interface Evaluation {
  readonly task: Recording['task'];
  /** Of the gated run, which is how the gateway runs. */
  readonly metric: Metric;
  /** Tier 0 at every tick, with its KV cache: what caching saves is not counted as gating. */
  readonly dense: { readonly metric: Metric; readonly macsPerTick: number };
  readonly gated: {
    readonly metric: Metric;
    readonly macsPerTick: number;
    /** Share of ticks without a token. */
    readonly skipRate: number;
    /** Shares of ticks by tier 0 to 3. */
    readonly tierShares: readonly [number, number, number, number];
  };
  /** Quality kept by gating: gated over dense (of the worst file, where files are scored apart); 1 is all of it. */
  readonly retention: number;
  /** 95 % interval of `retention`: paired block bootstrap over time, for anomalies over files. */
  readonly retentionInterval: readonly [number, number];
  /** Dense over gated multiply-accumulates of the engine. */
  readonly computeReduction: number;
  /** Dense over gated wall time of whole ticks, gate included, on this machine. */
  readonly timeReduction: number;
  readonly rivals: Readonly<Record<string, Rival>>;
}

export interface Rival {
  readonly metric: Metric;
  /** Of rivals that run the model. */
  readonly macsPerTick?: number;
}

export interface EvaluateOptions {
  /** Default: the pipeline's own. */
  readonly policy?: PolicyName;
  /** Default: the model's own. */
  readonly spikes?: SpikeSettings;
  /** Timed passes of each kind; default 3. */
  readonly repetitions?: number;
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
  return evaluateProtocol(model, protocol, options);
}

/** The recording with the model's channels in the model's order. Throws EvaluationError where they do not fit. */
export function matchRecording(model: Model, recording: Recording): Recording {
  const { task, channels, intervalMs } = model.meaning;
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

/** The same for a recording that was matched and read. */
export function evaluateProtocol(
  model: Model,
  protocol: Protocol,
  options: EvaluateOptions = {},
): Evaluation {
  const runs = new Runs(model, protocol, options);
  const gated = runs.gated();
  const dense = runs.dense();
  const decimated = runs.decimated(1 - share(gated.counts, 3));
  return {
    task: protocol.recording.task,
    metric: gated.metric,
    dense: { metric: dense.metric, macsPerTick: macsPerTick(dense.counts) },
    gated: {
      metric: gated.metric,
      macsPerTick: macsPerTick(gated.counts),
      skipRate: share(gated.counts, 3),
      tierShares: [
        share(gated.counts, 0),
        share(gated.counts, 1),
        share(gated.counts, 2),
        share(gated.counts, 3),
      ],
    },
    retention: retention(protocol.recording.task, gated.metric, dense.metric),
    retentionInterval: retentionInterval(gated.blocked, dense.blocked),
    computeReduction: macsPerTick(dense.counts) / macsPerTick(gated.counts),
    timeReduction: runs.timeReduction(),
    rivals: {
      ...trivialRivals(protocol),
      decimation: { metric: decimated.metric, macsPerTick: macsPerTick(decimated.counts) },
    },
  };
}

function macsPerTick({ macs, ticks }: RunCounts): number {
  return macs / ticks;
}

function share({ tierTicks, ticks }: RunCounts, tier: number): number {
  return tierTicks[tier]! / ticks;
}

/** Accuracy or F1 kept, or the inverse of the error's growth; NaN where the dense model keeps nothing. */
export function retention(task: Recording['task'], gated: Metric, dense: Metric): number {
  if (task === 'anomaly') return gated.f1! / dense.f1!;
  if (task === 'forecast') return dense.mse! / gated.mse!;
  const files = Object.keys(dense).filter((name) => name.startsWith('accuracy:'));
  return Math.min(...files.map((name) => gated[name]! / dense[name]!));
}

function trivialRivals(protocol: Protocol): Record<string, Rival> {
  const byTask = { classify: classifyRivals, anomaly: anomalyRivals, forecast: forecastRivals };
  const metrics = byTask[protocol.recording.task](protocol);
  return Object.fromEntries(Object.entries(metrics).map(([name, metric]) => [name, { metric }]));
}

interface ScoredRun {
  readonly metric: Metric;
  readonly blocked: BlockedQuality;
  readonly counts: RunCounts;
}

/** The passes over the tests. Two streams of one engine: gated and dense share the weights, not the past. */
class Runs {
  readonly #protocol: Protocol;
  readonly #options: EvaluateOptions;
  readonly #gated: Pipeline;
  readonly #dense: Pipeline;
  readonly #warmUpRows: number;
  readonly #threshold: number;
  readonly #passes: number;
  #pass = 0;

  constructor(model: Model, protocol: Protocol, options: EvaluateOptions) {
    const { policy, spikes } = options;
    const { task } = model.meaning;
    const { sequence, layers } = model.config;
    const engine = new Engine(model, { streams: 2 });
    this.#protocol = protocol;
    this.#options = options;
    this.#gated = new Pipeline(engine, 0, { ...(policy && { policy }), ...(spikes && { spikes }) });
    this.#dense = new Pipeline(engine, 1, { gating: false });
    this.#threshold = task.kind === 'anomaly' ? task.threshold : Number.NaN;
    // So many tokens can reach the first scored one; ticks that are skipped on the way need room too.
    this.#warmUpRows = 4 * sequence * layers;
    this.#passes = 3 + 2 * this.#repetitions;
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
    return this.#score('decimated', this.#dense, rate);
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
    const scoring = makeRecorder(this.#protocol, this.#threshold);
    const recorder = trace === undefined ? scoring : both(scoring, trace);
    const counts = this.#run(name, pipeline, { rate, recorder });
    return { metric: scoring.metric(), blocked: scoring.blocked(), counts };
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
