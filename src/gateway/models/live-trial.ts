/** Two models on live ticks: one answers, the other computes beside it and is heard by nobody; one of them is judged by the other. */
import type { Frame } from '../../gate/packets.ts';
import type { Witness } from '../../gate/witness.ts';
import type { TrialConfig } from '../config/config.ts';
import { copyCounters, makePipelineCounters } from '../pipeline-counters.ts';
import type { Served, Trial } from '../served.ts';
import type { Gateway } from '../service.ts';
import type { Timers } from '../timers.ts';
import { Comparison, type ComparisonReport, type Thresholds } from './comparison.ts';

/** How a trial ended. */
export type Verdict =
  | { readonly kind: 'passed' }
  /** It threw. Was it at work, the other answers from that very tick on. */
  | { readonly kind: 'failed'; readonly problem: string }
  | { readonly kind: 'differs'; readonly problem: string };

export interface LiveTrialOptions {
  readonly gateway: Pick<Gateway, 'pipeline' | 'serve'>;
  readonly beside: Served;
  /** Which of the two is judged. */
  readonly judged: 'beside' | 'atWork';
  readonly config: TrialConfig;
  readonly thresholds: Thresholds;
  readonly timers: Timers;
  /** Called once; until the gateway gets another trial or none, the one beside goes on, so that it stays warm. */
  readonly onVerdict: (verdict: Verdict) => void;
}

/** How often steps are looked at while the trial lasts. */
const slownessEachTicks = 64;

export class LiveTrial implements Trial {
  readonly beside: Served;
  readonly #options: LiveTrialOptions;
  readonly #comparison: Comparison;
  readonly #startedMs: number;
  readonly #counters = makePipelineCounters();
  #isOver = false;
  #witness: Witness | undefined;
  #tookMs = 0;

  constructor(options: LiveTrialOptions) {
    this.#options = options;
    this.beside = options.beside;
    this.#comparison = new Comparison(options.beside.loaded.model.meaning, options.thresholds);
    this.#startedMs = options.timers.nowMs();
  }

  report(): ComparisonReport {
    return this.#comparison.report();
  }

  answer(frame: Frame): Witness {
    const { gateway, judged, timers } = this.#options;
    copyCounters(gateway.pipeline.counters, this.#counters);
    const startMs = timers.nowMs();
    try {
      this.#witness = gateway.pipeline.tick(frame);
    } catch (error) {
      if (judged === 'beside') throw error;
      this.#witness = this.#takeOver(frame, error as Error);
    }
    this.#tookMs = timers.nowMs() - startMs;
    return this.#witness;
  }

  after(frame: Frame): void {
    const { gateway, timers, judged } = this.#options;
    const { pipeline } = this.beside;
    if (pipeline === gateway.pipeline) return;
    pipeline.follow(gateway.pipeline);
    const startMs = timers.nowMs();
    let witness: Witness;
    try {
      witness = pipeline.tick(frame);
    } catch (error) {
      // That the old one fails says nothing of the new one.
      this.#end(
        judged === 'atWork' ? { kind: 'passed' } : { kind: 'failed', problem: (error as Error).message },
      );
      return;
    }
    const beside = { witness, output: pipeline.output, tookMs: timers.nowMs() - startMs };
    const atWork = { witness: this.#witness!, output: gateway.pipeline.output, tookMs: this.#tookMs };
    if (this.#isOver) return;
    if (judged === 'beside') this.#comparison.note(atWork, beside);
    else this.#comparison.note(beside, atWork);
    this.#judge();
  }

  /** Time begins anew. */
  restartTime(): void {
    this.beside.pipeline.restartTime();
  }

  /** The model at work is judged and has failed: the other, which has seen all ticks before this one, answers it. */
  #takeOver(frame: Frame, error: Error): Witness {
    const { gateway } = this.#options;
    // A tick that failed does not count.
    copyCounters(this.#counters, gateway.pipeline.counters);
    gateway.serve(this.beside);
    const witness = gateway.pipeline.tick(frame);
    this.#end({ kind: 'failed', problem: error.message });
    return witness;
  }

  #judge(): void {
    const problem = this.#problemSoFar();
    if (problem !== undefined) this.#end({ kind: 'differs', problem });
    else if (this.#isLongEnough()) this.#conclude();
  }

  /** The model at work need not be endured to the end. */
  #problemSoFar(): string | undefined {
    const comparison = this.#comparison;
    if (this.#options.judged === 'beside') return undefined;
    const isDue = comparison.ticks % slownessEachTicks === 0 && comparison.tokens >= slownessEachTicks;
    return comparison.recentProblem() ?? (isDue ? comparison.slowness() : undefined);
  }

  #isLongEnough(): boolean {
    const { config, timers } = this.#options;
    const { ticks, tokens, answers } = this.#comparison;
    if (ticks < config.ticks || tokens < config.tokens) return false;
    if (answers < this.#answersMin) return false;
    return timers.nowMs() - this.#startedMs >= config.durationMs;
  }

  /** As many as there can be. */
  get #answersMin(): number {
    const { task } = this.beside.loaded.model.meaning;
    return task.kind === 'classify' ? Math.min(task.classes.length, this.#options.config.answers) : 0;
  }

  #conclude(): void {
    const problem = this.#comparison.problem();
    this.#end(problem === undefined ? { kind: 'passed' } : { kind: 'differs', problem });
  }

  #end(verdict: Verdict): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.onVerdict(verdict);
  }
}
