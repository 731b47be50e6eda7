/**
 * A level with memory: it rises at once, and falls only after enough good samples and a dwell time. Where it had to
 * rise again within a dwell time of falling, the next dwell is twice as long, so that noise around a threshold costs at
 * most one change per dwell time on the whole.
 */
import type { Policy } from './policy.ts';

/** A dwell time is doubled at most so often. */
export const DWELL_DOUBLINGS_MAX = 6;
/** Counters stop here: no policy asks for more, and they fit a witness. */
const COUNT_MAX = 65535;

/** Whole numbers only: what a witness carries of it. */
export interface LevelSnapshot {
  /** Rule that holds the level, by its place in the list of rules; the last place is that of no rule. */
  rule: number;
  /** Good samples in a row. */
  goodSamples: number;
  /** Ticks since the last change, at most COUNT_MAX. */
  ticks: number;
  /** How often the dwell time is doubled. */
  doublings: number;
  /** 1 if the last change was downwards. */
  fell: number;
}

export function makeLevelSnapshot(rule = 0): LevelSnapshot {
  return { rule, goodSamples: 0, ticks: 0, doublings: 0, fell: 0 };
}

export class LevelState {
  readonly snapshot: LevelSnapshot;
  readonly #levels: readonly number[];
  readonly #first: number;

  /** `levels`: of each rule; `first`: the rule to begin with. */
  constructor(levels: readonly number[], first: number) {
    this.#levels = levels;
    this.#first = first;
    this.snapshot = makeLevelSnapshot(first);
  }

  get level(): number {
    return this.#levels[this.snapshot.rule]!;
  }

  reset(): void {
    copySnapshot(makeLevelSnapshot(this.#first), this.snapshot);
  }

  /** A tick has passed, with a sample or without. */
  tick(): void {
    if (this.snapshot.ticks < COUNT_MAX) this.snapshot.ticks++;
  }

  /** One sample: the rule that holds by the thresholds that enter a level, and the one by those that leave it. */
  judge(entered: number, remaining: number, policy: Policy): void {
    const levels = this.#levels;
    const present = this.level;
    const worse = levels[remaining]! > levels[entered]! ? remaining : entered;
    if (levels[entered]! > present) this.#rise(entered, policy);
    else if (levels[worse]! < present) this.#improve(worse, policy);
    else this.#stay(entered);
  }

  #stay(entered: number): void {
    this.snapshot.goodSamples = 0;
    // As bad as before, perhaps for another reason.
    if (this.#levels[entered] === this.level) this.snapshot.rule = entered;
  }

  #improve(to: number, policy: Policy): void {
    const { snapshot } = this;
    if (snapshot.goodSamples < COUNT_MAX) snapshot.goodSamples++;
    const rested = snapshot.ticks >= dwellTicks(policy, snapshot.doublings);
    if (snapshot.goodSamples >= policy.relaxSamples && rested) this.#change(to, 1);
  }

  #rise(to: number, policy: Policy): void {
    const { snapshot } = this;
    if (snapshot.fell === 1) {
      const soon = snapshot.ticks < dwellTicks(policy, snapshot.doublings);
      snapshot.doublings = soon ? Math.min(snapshot.doublings + 1, DWELL_DOUBLINGS_MAX) : 0;
    }
    this.#change(to, 0);
  }

  #change(to: number, fell: number): void {
    const { snapshot } = this;
    snapshot.rule = to;
    snapshot.goodSamples = 0;
    snapshot.ticks = 0;
    snapshot.fell = fell;
  }
}

function dwellTicks(policy: Policy, doublings: number): number {
  return Math.min(policy.dwellTicks * 2 ** doublings, COUNT_MAX);
}

export function copySnapshot(from: LevelSnapshot, to: LevelSnapshot): void {
  to.rule = from.rule;
  to.goodSamples = from.goodSamples;
  to.ticks = from.ticks;
  to.doublings = from.doublings;
  to.fell = from.fell;
}
