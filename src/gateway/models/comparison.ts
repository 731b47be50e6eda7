/** Two models on the same ticks: the one that is trusted, and the one that is judged by it. */
import type { ModelMeaning } from '../../engine/model.ts';
import type { Witness } from '../../gate/witness.ts';
import { quantile } from '../../statistics/statistics.ts';
import type { Output } from '../output.ts';

/** How far the judged one may differ. */
export interface Thresholds {
  /** Share of ticks at which both answer the same: of all, and on average over the classes that the trusted one says. */
  readonly agreementMin: number;
  /** Share of ticks by which it may raise more alarms (anomalies) than the other, or fewer. */
  readonly alarmsMax: number;
  /** Share of ticks that it may skip less. */
  readonly skipDropMax: number;
  /** So many times as long may its median step take. */
  readonly slowerMax: number;
  /** So long may its median step take, milliseconds; Infinity: not asked. */
  readonly stepMsMax: number;
  /** Forecasts agree if they differ by so many scales of their channels at most, on average. */
  readonly forecastTolerance: number;
}

/** What one model did at a tick. */
export interface Answer {
  readonly witness: Pick<Witness, 'tier'>;
  readonly output: Output;
  /** Milliseconds that it took. */
  readonly tookMs: number;
}

export interface ComparisonReport {
  readonly ticks: number;
  /** Ticks that the judged one computed. */
  readonly tokens: number;
  /** Shares of ticks: both answer the same; each raises an alarm, skips. */
  readonly agreement: number;
  /** The first as an average over classes; null where there are none, or none was said often enough. */
  readonly balancedAgreement: number | null;
  readonly alarms: { readonly trusted: number; readonly judged: number };
  readonly skips: { readonly trusted: number; readonly judged: number };
  /** Medians of the latest steps; null before there was one. */
  readonly stepMs: { readonly trusted: number | null; readonly judged: number | null };
}

/** Of the latest ticks: sooner than the whole says that something has changed. */
const recentTicks = 256;
/** A class that was said at fewer ticks says nothing. */
const classTicksMin = 20;
/** The shortest time that can be told from none. */
const stepMsMin = 0.001;

export class Comparison {
  ticks = 0;
  readonly #meaning: ModelMeaning;
  readonly #thresholds: Thresholds;
  readonly #trusted = new Tally();
  readonly #judged = new Tally();
  #agreeing = 0;
  /** [classes], ticks at which the trusted one says each, and those of them at which both do. */
  readonly #saidTicks: Float64Array;
  readonly #saidAgreeing: Float64Array;
  readonly #recent = new Uint8Array(recentTicks);
  #recentAgreeing = 0;

  constructor(meaning: ModelMeaning, thresholds: Thresholds) {
    this.#meaning = meaning;
    this.#thresholds = thresholds;
    const classes = meaning.task.kind === 'classify' ? meaning.task.classes.length : 0;
    this.#saidTicks = new Float64Array(classes);
    this.#saidAgreeing = new Float64Array(classes);
  }

  /** Classes that the trusted one has said often enough to judge by; of a task without classes one. */
  get answers(): number {
    if (this.#saidTicks.length === 0) return 1;
    return this.#saidTicks.reduce((sum, ticks) => sum + (ticks >= classTicksMin ? 1 : 0), 0);
  }

  /** Ticks that the judged one computed. */
  get tokens(): number {
    return this.#judged.tokens;
  }

  note(trusted: Answer, judged: Answer): void {
    const agrees = this.#agree(trusted.output, judged.output) ? 1 : 0;
    const at = this.ticks % recentTicks;
    this.#recentAgreeing += agrees - (this.ticks < recentTicks ? 0 : this.#recent[at]!);
    this.#recent[at] = agrees;
    this.#agreeing += agrees;
    const said = trusted.output.classIndex;
    if (said >= 0) {
      this.#saidTicks[said]!++;
      this.#saidAgreeing[said]! += agrees;
    }
    this.#trusted.note(trusted);
    this.#judged.note(judged);
    this.ticks++;
  }

  report(): ComparisonReport {
    const [trusted, judged] = [this.#trusted, this.#judged];
    const share = (count: number) => (this.ticks === 0 ? 1 : rounded(count / this.ticks));
    return {
      ticks: this.ticks,
      tokens: judged.tokens,
      agreement: share(this.#agreeing),
      balancedAgreement: this.#balanced === null ? null : rounded(this.#balanced),
      alarms: { trusted: share(trusted.alarms), judged: share(judged.alarms) },
      skips: {
        trusted: share(this.ticks - trusted.tokens),
        judged: share(this.ticks - judged.tokens),
      },
      stepMs: { trusted: trusted.stepMs, judged: judged.stepMs },
    };
  }

  /** Which threshold is passed, over all ticks: what was expected and what was got; undefined: none. */
  problem(): string | undefined {
    const { ticks } = this;
    if (ticks === 0) return undefined;
    return (
      this.#disagreement(this.#agreeing, ticks) ??
      this.#imbalance() ??
      this.#alarmProblem(ticks) ??
      this.#skipProblem(ticks) ??
      this.slowness()
    );
  }

  /** The same of agreement over the latest ticks, once there are enough. */
  recentProblem(): string | undefined {
    return this.ticks < recentTicks ? undefined : this.#disagreement(this.#recentAgreeing, recentTicks);
  }

  /** Whether its steps take too long. */
  slowness(): string | undefined {
    const { slowerMax, stepMsMax } = this.#thresholds;
    const [trusted, judged] = [this.#trusted.stepMs, this.#judged.stepMs];
    if (judged !== null && judged > stepMsMax)
      return `steps: expected at most ${stepMsMax} ms, got ${judged} ms`;
    if (trusted === null || judged === null) return undefined;
    const factor = judged / Math.max(trusted, stepMsMin);
    if (judged <= stepMsMin || factor <= slowerMax) return undefined;
    return `steps: expected at most ${slowerMax} times as long as before (${trusted} ms), got ${judged} ms`;
  }

  #disagreement(agreeing: number, ticks: number): string | undefined {
    const { agreementMin } = this.#thresholds;
    if (agreeing >= agreementMin * ticks) return undefined;
    return `agreement: expected at ${percent(agreementMin)} of ${ticks} ticks at least, got ${percent(agreeing / ticks)}`;
  }

  /** One that always says the commonest would agree at nearly all ticks. */
  #imbalance(): string | undefined {
    const { agreementMin } = this.#thresholds;
    const balanced = this.#balanced;
    if (balanced === null || balanced >= agreementMin) return undefined;
    return `agreement, each class counting the same: expected ${percent(agreementMin)} at least, got ${percent(balanced)}`;
  }

  get #balanced(): number | null {
    let sum = 0;
    let classes = 0;
    for (const [index, ticks] of this.#saidTicks.entries()) {
      if (ticks < classTicksMin) continue;
      sum += this.#saidAgreeing[index]! / ticks;
      classes++;
    }
    return classes === 0 ? null : sum / classes;
  }

  #alarmProblem(ticks: number): string | undefined {
    const { alarmsMax } = this.#thresholds;
    const [before, now] = [this.#trusted.alarms / ticks, this.#judged.alarms / ticks];
    if (Math.abs(now - before) <= alarmsMax) return undefined;
    return `alarms: expected within ${percent(alarmsMax)} of ${percent(before)} of the ticks, got ${percent(now)}`;
  }

  #skipProblem(ticks: number): string | undefined {
    const { skipDropMax } = this.#thresholds;
    const [before, now] = [1 - this.#trusted.tokens / ticks, 1 - this.#judged.tokens / ticks];
    if (before - now <= skipDropMax) return undefined;
    return `skips: expected at most ${percent(skipDropMax)} fewer than ${percent(before)} of the ticks, got ${percent(now)}`;
  }

  #agree(trusted: Output, judged: Output): boolean {
    const { task, channels } = this.#meaning;
    if (task.kind === 'classify') return trusted.classIndex === judged.classIndex;
    if (task.kind === 'anomaly') return trusted.anomaly === judged.anomaly;
    let sum = 0;
    for (let index = 0; index < trusted.values.length; index++) {
      const { scale } = channels[Math.floor(index / task.horizon)]!;
      sum += Math.abs(trusted.values[index]! - judged.values[index]!) / scale;
    }
    return sum <= this.#thresholds.forecastTolerance * trusted.values.length;
  }
}

/** What one of the two did. */
class Tally {
  tokens = 0;
  alarms = 0;
  readonly #stepsMs = new Float64Array(recentTicks);

  note({ witness, output, tookMs }: Answer): void {
    if (output.anomaly) this.alarms++;
    if (witness.tier === 3) return;
    this.#stepsMs[this.tokens % recentTicks] = tookMs;
    this.tokens++;
  }

  get stepMs(): number | null {
    if (this.tokens === 0) return null;
    return rounded(quantile(this.#stepsMs.subarray(0, this.tokens), 0.5));
  }
}

function percent(share: number): string {
  return `${Math.round(1000 * share) / 10} %`;
}

function rounded(value: number): number {
  return Math.round(1e4 * value) / 1e4;
}
