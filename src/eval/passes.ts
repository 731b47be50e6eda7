/** The passes of an evaluation over the tests: gated, dense, decimated, at one tier, with other thresholds, in float. */
import { Engine } from '../engine/engine.ts';
import type { Model, SpikeSettings } from '../engine/model.ts';
import type { Witness } from '../gate/witness.ts';
import type { Output } from '../gateway/output.ts';
import { Pipeline } from '../gateway/pipeline.ts';
import { median } from '../statistics/statistics.ts';
import type { FloatModel } from '../train/float-model.ts';
import { metricIntervals } from './bootstrap.ts';
import type { EvaluateOptions, Result, Trace } from './evaluation.ts';
import { FloatTwin } from './float-twin.ts';
import { forceTier } from './forced-tier.ts';
import type { Protocol } from './protocols.ts';
import { type AlarmRule, alarmRuleOf, makeRecorder, type ScoringRecorder } from './recorders.ts';
import { type RunCounts, type RunOptions, runTests, warmUpRowsOf } from './runs.ts';
import type { Scored } from './scores.ts';

export interface ScoredRun extends Scored {
  readonly counts: RunCounts;
}

const tierCount = 3;

/** The same settings with every channel's delta times `scale`. */
export function scaleThresholds(spikes: SpikeSettings, scale: number): SpikeSettings {
  return { ...spikes, delta: spikes.delta.map((delta) => delta * scale) };
}

/** The passes over the tests. Two streams of one engine: gated and dense share the weights, not the past. */
export class Passes {
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
