/** A new model and the one at work, both from the beginning, on a stored recording: what must hold before it may see live ticks. */
import type { ModelMeaning } from '../../engine/model.ts';
import type { Frame } from '../../gate/packets.ts';
import { openRecording, type Recording, readSeries, selectChannels } from '../../recording/recording.ts';
import type { Series } from '../../recording/series.ts';
import type { Output } from '../output.ts';
import type { Pipeline } from '../pipeline.ts';
import type { Timers } from '../timers.ts';
import { Comparison, type ComparisonReport, type Thresholds } from './comparison.ts';

export interface SelfTestConfig {
  /** A CSV file beside its recording.json, or such a folder. */
  readonly recording: string;
  /** The first so many rows of it. */
  readonly rows: number;
  /** Where rows have labels: share of them by which the new model may be worse. */
  readonly accuracyDropMax: number;
}

/** What the recording is to the model, without its rows. Throws RecordingError. */
export function openSelfTest(
  { recording: path }: SelfTestConfig,
  meaning: Pick<ModelMeaning, 'channels'>,
): Recording {
  const recording = openRecording(path);
  return selectChannels(
    recording,
    meaning.channels.map(({ name }) => name),
  );
}

/** The rows. Throws RecordingError. */
export function readSelfTest(config: SelfTestConfig, meaning: ModelMeaning): Series {
  const recording = openSelfTest(config, meaning);
  const series = readSeries(recording, recording.test[0]!.file);
  return hasClassesOf(recording, meaning) ? series : { ...series, labels: null };
}

/** Labels mean nothing where the classes are others. */
function hasClassesOf({ task, classes = [] }: Recording, meaning: ModelMeaning): boolean {
  if (meaning.task.kind === 'forecast') return false;
  if (meaning.task.kind === 'anomaly') return task === 'anomaly';
  return task === 'classify' && classes.join('\n') === meaning.task.classes.join('\n');
}

export interface SelfTestReport extends ComparisonReport {
  /** Share of the labelled rows that each has right; null without labels. */
  readonly accuracy: { readonly trusted: number; readonly judged: number } | null;
}

export class SelfTest {
  readonly #series: Series;
  readonly #rows: number;
  readonly #accuracyDropMax: number;
  readonly #trusted: Pipeline;
  readonly #judged: Pipeline;
  readonly #timers: Timers;
  readonly #comparison: Comparison;
  readonly #frame: Frame;
  #row = 0;
  #labelled = 0;
  readonly #right = { trusted: 0, judged: 0 };

  /** Both pipelines are fresh. */
  constructor(
    series: Series,
    pipelines: { readonly trusted: Pipeline; readonly judged: Pipeline },
    meaning: ModelMeaning,
    options: {
      readonly config: SelfTestConfig;
      readonly thresholds: Thresholds;
      readonly timers: Timers;
    },
  ) {
    const { config, thresholds, timers } = options;
    this.#series = series;
    this.#rows = Math.min(series.rows, config.rows);
    this.#accuracyDropMax = config.accuracyDropMax;
    this.#trusted = pipelines.trusted;
    this.#judged = pipelines.judged;
    this.#timers = timers;
    this.#comparison = new Comparison(meaning, thresholds);
    this.#frame = { timeMs: 0, values: new Float64Array(meaning.channels.length) };
  }

  /** Runs so many rows more; whether that was all. */
  run(rows: number): boolean {
    const end = Math.min(this.#rows, this.#row + rows);
    for (; this.#row < end; this.#row++) this.#step(this.#row);
    return this.#row === this.#rows;
  }

  /** What was expected and what was got; undefined: all is well. Labels, where there are any, count for more than agreement. */
  problem(): string | undefined {
    if (this.#labelled === 0) return this.#comparison.problem();
    const { trusted, judged } = this.#right;
    if (trusted - judged > this.#accuracyDropMax * this.#labelled) {
      const [before, now] = [trusted, judged].map((right) => share(right, this.#labelled));
      return `accuracy: expected at most ${this.#accuracyDropMax} below ${before} on ${this.#labelled} labelled rows, got ${now}`;
    }
    return this.#comparison.slowness();
  }

  report(): SelfTestReport {
    const { trusted, judged } = this.#right;
    const accuracy =
      this.#labelled === 0
        ? null
        : { trusted: share(trusted, this.#labelled), judged: share(judged, this.#labelled) };
    return { ...this.#comparison.report(), accuracy };
  }

  #step(row: number): void {
    const { timeMs, values, labels } = this.#series;
    const channels = this.#frame.values.length;
    this.#frame.timeMs = timeMs[row]!;
    this.#frame.values.set(values.subarray(row * channels, (row + 1) * channels));
    const startMs = this.#timers.nowMs();
    const trusted = this.#trusted.tick(this.#frame);
    const betweenMs = this.#timers.nowMs();
    const judged = this.#judged.tick(this.#frame);
    const endMs = this.#timers.nowMs();
    this.#comparison.note(
      { witness: trusted, output: this.#trusted.output, tookMs: betweenMs - startMs },
      { witness: judged, output: this.#judged.output, tookMs: endMs - betweenMs },
    );
    if (labels !== null && labels[row]! >= 0) this.#noteLabel(labels[row]!);
  }

  #noteLabel(label: number): void {
    this.#labelled++;
    if (isRight(this.#trusted.output, label)) this.#right.trusted++;
    if (isRight(this.#judged.output, label)) this.#right.judged++;
  }
}

function isRight(output: Output, label: number): boolean {
  return output.kind === 'classify' ? output.classIndex === label : output.anomaly === (label === 1);
}

function share(part: number, whole: number): number {
  return Math.round((1e4 * part) / whole) / 1e4;
}
