/**
 * How well the tick after is predicted: by the model, by each of its rivals, and by the one of least energy that is put
 * out. Each prediction is scored as it stands: one of a single tick is held until the next token, of a longer forecast the
 * first step counts, at the tick after its token. The same readings count for all.
 */
import type { Engine } from '../engine/engine.ts';
import type { CandidateRule, SpikeSettings } from '../engine/model.ts';
import { CANDIDATES, candidateNames } from '../gate/candidates.ts';
import type { PolicyName } from '../gate/policy.ts';
import type { Output } from '../gateway/output.ts';
import { Pipeline } from '../gateway/pipeline.ts';
import { type BlockedQuality, type Interval, makeBlocks, retentionInterval } from './bootstrap.ts';
import { type Protocol, scoredSpan } from './protocols.ts';
import { type Recorder, runTests, warmUpRowsOf } from './runs.ts';

/** What a model without a rule of its own is shown with. */
export const defaultCandidates: CandidateRule = { energyHalfLife: 16, levelHalfLife: 2 };

/** Means over readings, in standard deviations of the channels' training rows; densities are Laplace. */
export interface PredictionScore {
  readonly mae: number;
  /** Negative log-likelihood, nats. */
  readonly nll: number;
  /** Continuous ranked probability score. */
  readonly crps: number;
  /** Of the readings, how many the ranking gave to this one; of `ranked` all. */
  readonly share: number;
}

export const predictors = [...candidateNames, 'ranked'] as const;
export type Predictor = (typeof predictors)[number];

export interface NextTickScores {
  readonly readings: number;
  readonly scores: Readonly<Record<Predictor, PredictionScore>>;
  /** Mean absolute error of `ranked` over that of the model: a 95 % interval, paired block bootstrap over time. */
  readonly errorRatio: Interval;
}

export interface NextTickOptions {
  readonly candidates: CandidateRule;
  /** false: every tick a token. */
  readonly gating: boolean;
  readonly spikes?: SpikeSettings;
  /** Default: the pipeline's own. */
  readonly policy?: PolicyName;
}

/** Plays what is tested, on stream 0 of `engine`, whose model predicts readings. */
export function scoreNextTick(protocol: Protocol, engine: Engine, options: NextTickOptions): NextTickScores {
  const pipeline = new Pipeline(engine, 0, options);
  const recorder = new NextTickRecorder(protocol);
  runTests(protocol, pipeline, { recorder, warmUpRows: warmUpRowsOf(engine.model.config) });
  return recorder.scored();
}

/** As each predictor would say: the model by its head if it has one for that, the others by their errors of late. */
function scalesOf(output: Output, channel: number): number[] {
  const scales: number[] = candidateNames.map((_, i) => output.candidateScaleOf(i, channel));
  const head = output.modelScaleOf(channel);
  if (Number.isFinite(scales[0]) && Number.isFinite(head)) scales[0] = head;
  return [...scales, output.scaleOf(channel)];
}

const RANKED = CANDIDATES;
/** Sums of a predictor: absolute errors, negative log-likelihoods, CRPS, readings it was chosen for. */
const SUMS = 4;

class NextTickRecorder implements Recorder<Output> {
  readonly #protocol: Protocol;
  readonly #spans: readonly { readonly from: number; readonly to: number }[];
  readonly #sums = new Float64Array(SUMS * predictors.length);
  #readings = 0;
  /** [files][rows]: readings of that row that count, and absolute errors of the model and of what was put out. */
  readonly #rows: readonly {
    readonly count: Uint8Array;
    readonly model: Float64Array;
    readonly ranked: Float64Array;
  }[];

  constructor(protocol: Protocol) {
    this.#protocol = protocol;
    this.#spans = protocol.tests.map((test) => scoredSpan(protocol.recording, test));
    this.#rows = protocol.tests.map(({ series: { rows } }) => ({
      count: new Uint8Array(rows),
      model: new Float64Array(rows),
      ranked: new Float64Array(rows),
    }));
  }

  /** What stands after `row` is of the next one. */
  row(file: number, row: number, output: Output): void {
    const { from, to } = this.#spans[file]!;
    const next = row + 1;
    if (!output.hasValue || next < from || next >= to) return;
    const { series } = this.#protocol.tests[file]!;
    const elapsed = (series.timeMs[next]! - series.timeMs[row]!) / this.#protocol.recording.intervalMs;
    const ahead = Math.max(1, Math.round(output.ageIntervals + elapsed));
    if (ahead > 1 && output.kind === 'forecast' && this.#protocol.recording.horizon! > 1) return;
    for (let channel = 0; channel < this.#protocol.channels; channel++)
      this.#score(file, next, channel, output, ahead);
  }

  #score(file: number, row: number, channel: number, output: Output, ahead: number): void {
    const { channels, standardiser, tests } = this.#protocol;
    const actual = tests[file]!.series.values[row * channels + channel]!;
    const { predictions, chosen } = output.candidates!;
    const scales = scalesOf(output, channel);
    if (!Number.isFinite(actual) || !scales.every(Number.isFinite)) return;
    const unit = standardiser.deviation[channel]!;
    const best = chosen[channel]!;
    const rows = this.#rows[file]!;
    this.#readings++;
    rows.count[row]!++;
    for (let predictor = 0; predictor < predictors.length; predictor++) {
      const candidate = predictor === RANKED ? best : predictor;
      const error = Math.abs(actual - predictions[candidate * channels + channel]!) / unit;
      this.#add(predictor, error, (scales[predictor]! * Math.sqrt(ahead)) / unit, predictor === best);
      if (predictor === 0) rows.model[row]! += error;
      if (predictor === RANKED) rows.ranked[row]! += error;
    }
  }

  /** A Laplace density; its CRPS in closed form (Jordan, Krueger and Lerch 2019). */
  #add(predictor: number, error: number, scale: number, isChosen: boolean): void {
    const distance = error / scale;
    const at = SUMS * predictor;
    this.#sums[at]! += error;
    this.#sums[at + 1]! += distance + Math.log(2 * scale);
    this.#sums[at + 2]! += scale * (distance + Math.exp(-distance) - 3 / 4);
    if (isChosen || predictor === RANKED) this.#sums[at + 3]!++;
  }

  scored(): NextTickScores {
    const entries = predictors.map((name, predictor) => {
      const [mae, nll, crps, share] = this.#sums
        .subarray(SUMS * predictor, SUMS * (predictor + 1))
        .map((sum) => sum / this.#readings);
      return [name, { mae, nll, crps, share }] as const;
    });
    const [low, high] = retentionInterval(this.#blocked('ranked'), this.#blocked('model'));
    return {
      readings: this.#readings,
      scores: Object.fromEntries(entries) as NextTickScores['scores'],
      errorRatio: [1 / high, 1 / low],
    };
  }

  /** The inverse of the mean absolute error. */
  #blocked(name: 'ranked' | 'model'): BlockedQuality {
    const blocks = this.#rows.flatMap((rows, file) =>
      makeBlocks(this.#spans[file]!, 2, (row, sums) => {
        sums[0]! += rows.count[row]!;
        sums[1]! += rows[name][row]!;
      }),
    );
    return {
      name: 'mae',
      groupNames: [],
      groups: [blocks],
      quality: ([count, errors]) => count! / errors!,
      metricOf: (quality) => 1 / quality,
    };
  }
}
