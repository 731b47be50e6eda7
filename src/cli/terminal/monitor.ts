/** Gathers what the live view shows: told of every tick that is played and of every tick that the gateway decides. */

import type { ModelMeaning, Task } from '../../engine/model.ts';
import { Q15_ONE } from '../../gate/packets.ts';
import type { Witness } from '../../gate/witness.ts';
import type { PlayedTick } from '../simulation/playback.ts';
import { History } from './history.ts';
import type { LiveView, TruthView } from './view.ts';

export interface MonitorOptions {
  readonly meaning: ModelMeaning;
  /** Names of the played channels, in the order of PlayedTick.values. */
  readonly played: readonly string[];
  readonly columns: number;
  readonly ticksPerColumn: number;
}

/** Everything of the view that does not come from ticks. */
export type Frame = Pick<LiveView, 'title' | 'subtitle' | 'elapsedS' | 'totalS' | 'energy'>;

/** Series of the history: four tiers, lambda and its count, output, truth, then two per channel. */
const lambdaSeries = 4;
const lambdaCountSeries = 5;
const outputSeries = 6;
const truthSeries = 7;
const channelSeries = 8;

/** Ticks that were played and not yet decided; a gateway that answers none must not fill the memory. */
const playedMax = 100_000;

export class Monitor {
  /** Ticks with a known truth, and those at which the output was right. */
  scored = 0;
  right = 0;
  ticks = 0;
  tiers: [number, number, number, number] = [0, 0, 0, 0];
  macs = 0;
  macsDense = 0;
  readonly #options: MonitorOptions;
  readonly #history: History;
  /** Place of each of the model's channels among the played ones. */
  readonly #places: readonly number[];
  #played: PlayedTick[] = [];
  #firstMs = Number.NaN;
  #current: PlayedTick | undefined;
  #lambda = { ready: false, value: Number.NaN, reference: Number.NaN, trust: 'allow', reason: 'none' };
  #output = { index: -1, score: Number.NaN };

  constructor(options: MonitorOptions) {
    this.#options = options;
    const series = channelSeries + 2 * options.meaning.channels.length;
    this.#places = options.meaning.channels.map(({ name }) => options.played.indexOf(name));
    this.#history = new History(options.columns, options.ticksPerColumn, series);
  }

  /** Ticks that ran the engine. */
  get tokens(): number {
    return this.ticks - this.tiers[3];
  }

  /** Ticks that were played and not yet decided. */
  get undecided(): number {
    return this.#played.length;
  }

  /** Time that passed in the readings that were decided. */
  get playedMs(): number {
    return this.#current === undefined ? 0 : this.#current.timeMs - this.#firstMs;
  }

  /** A tick on its way to the gateway. */
  played(tick: PlayedTick): void {
    if (Number.isNaN(this.#firstMs)) this.#firstMs = tick.timeMs;
    this.#played.push(tick);
    if (this.#played.length > playedMax) this.#played.shift();
  }

  /** A tick that the gateway decided. The witness is not kept. */
  onTick(witness: Witness): void {
    this.#current = this.#takePlayed(witness.timeMs) ?? this.#current;
    this.#history.nextTick();
    this.#count(witness);
    this.#addGate(witness);
    this.#addOutput(witness);
    this.#addChannels(witness);
  }

  #takePlayed(timeMs: number): PlayedTick | undefined {
    let found: PlayedTick | undefined;
    let taken = 0;
    while (taken < this.#played.length && this.#played[taken]!.timeMs <= timeMs)
      found = this.#played[taken++];
    this.#played.splice(0, taken);
    return found;
  }

  #count(witness: Witness): void {
    this.ticks++;
    this.tiers[witness.tier]++;
    this.macs += witness.macs;
    this.macsDense += witness.macsDense;
    this.#history.add(witness.tier, 1);
  }

  #addGate(witness: Witness): void {
    const value = witness.lambdaQ15 / Q15_ONE;
    const { ready, trust, reason } = witness;
    this.#lambda = { ready, value, reference: witness.lambdaReferenceQ15 / Q15_ONE, trust, reason };
    if (!ready) return;
    this.#history.add(lambdaSeries, value);
    this.#history.add(lambdaCountSeries, 1);
  }

  #addOutput({ topIndex, score }: Witness): void {
    this.#output = { index: topIndex, score };
    const said = outputLevel(this.#options.meaning.task, topIndex, score);
    this.#history.add(outputSeries, said);
    const label = this.#current?.label ?? -1;
    if (label < 0) return;
    this.#history.add(truthSeries, Math.min(1, label));
    if (Number.isNaN(score)) return;
    this.scored++;
    if (classOf(this.#options.meaning.task, topIndex, score) === label) this.right++;
  }

  #addChannels(witness: Witness): void {
    for (let channel = 0; channel < witness.channels; channel++) {
      this.#history.add(channelSeries + 2 * channel, this.#value(channel));
      if (witness.fired(channel)) this.#history.add(channelSeries + 2 * channel + 1, 1);
    }
  }

  /** The played value of a channel of the model. */
  #value(channel: number): number {
    return this.#current?.values[this.#places[channel]!] ?? Number.NaN;
  }

  view(frame: Frame): LiveView {
    const { meaning, ticksPerColumn } = this.#options;
    const history = this.#history;
    const tierSums = [0, 1, 2, 3].map((tier) => history.sums(tier));
    return {
      ...frame,
      timeMs: this.#current?.timeMs ?? Number.NaN,
      columnMs: ticksPerColumn * meaning.intervalMs,
      channels: meaning.channels.map(({ name, unit }, channel) => ({
        name,
        unit,
        value: this.#value(channel),
        trace: history.means(channelSeries + 2 * channel),
        fired: history.means(channelSeries + 2 * channel + 1).map((share) => share || 0),
      })),
      tiers: tierSums[0]!.map((_, column) => tierSums.map((sums) => sums[column] || 0)),
      lambda: { ...this.#lambda, trace: this.#lambdaTrace() },
      output: {
        label: outputLabel(meaning, this.#output.index, this.#output.score),
        confidence: meaning.task.kind === 'classify' ? this.#output.score : Number.NaN,
        trace: history.means(outputSeries).map((share) => share || 0),
      },
      truth: this.#truth(),
      ticks: this.ticks,
      tokens: this.tokens,
      macs: this.macs,
      macsDense: this.macsDense,
    };
  }

  #lambdaTrace(): number[] {
    const counts = this.#history.sums(lambdaCountSeries);
    return this.#history.sums(lambdaSeries).map((sum, column) => sum / counts[column]!);
  }

  #truth(): TruthView | undefined {
    const label = this.#current?.label ?? -1;
    if (this.scored === 0 || label < 0) return undefined;
    return {
      label: labelName(this.#options.meaning.task, label),
      trace: this.#history.means(truthSeries).map((share) => share || 0),
      accuracy: this.right / this.scored,
    };
  }
}

/** From 0 to 1, for the trace: any class but the first; how near to an anomaly. */
function outputLevel(task: Task, topIndex: number, score: number): number {
  if (Number.isNaN(score)) return 0;
  if (task.kind === 'classify') return topIndex > 0 ? 1 : 0;
  return task.kind === 'anomaly' ? Math.max(0, Math.min(1, score / (2 * task.threshold))) : 0;
}

/** The output as a label of a recording. */
function classOf(task: Task, topIndex: number, score: number): number {
  if (task.kind === 'classify') return topIndex;
  return task.kind === 'anomaly' && score >= task.threshold ? 1 : 0;
}

function labelName(task: Task, label: number): string {
  if (task.kind === 'classify') return task.classes[label] ?? String(label);
  return label === 1 ? 'anomaly' : 'normal';
}

function outputLabel({ task, channels }: ModelMeaning, topIndex: number, score: number): string {
  if (Number.isNaN(score)) return 'nothing yet';
  if (task.kind === 'classify') return labelName(task, topIndex);
  if (task.kind === 'forecast') return `the next ${task.horizon}`;
  const normal = classOf(task, topIndex, score) === 0;
  return normal ? 'normal' : `anomaly: ${channels[topIndex]?.name ?? '?'}`;
}
