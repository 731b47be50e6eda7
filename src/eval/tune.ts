/**
 * Fits when channels fire: the settings that need the least compute among those that keep the quality asked for.
 *
 * What is asked is asked of the lower end of a 95 % bootstrap interval: a point estimate promises nothing. Settings
 * are compared by multiply-accumulates, which are counted, not timed: the same rows give the same settings.
 */
import { Engine } from '../engine/engine.ts';
import type { Model, SpikeRule, SpikeSettings } from '../engine/model.ts';
import { defaultPolicyName, type PolicyName, policyNames, policyOf } from '../gate/policy.ts';
import { regretModelOf } from '../gate/regret.ts';
import { Pipeline } from '../gateway/pipeline.ts';
import { type BlockedQuality, retentionInterval } from './bootstrap.ts';
import { alarmRuleOf, makeRecorder } from './recorders.ts';
import { runTests } from './runs.ts';
import type { TuneRows } from './tune-rows.ts';

export interface TuneOptions {
  /** Share of the dense quality to keep, 0 to 1. */
  readonly retention: number;
  /** Most settings to try. */
  readonly trials: number;
  readonly rules: readonly SpikeRule[];
  /** Intervals after a change until a first heartbeat, of all channels; empty: as the model has it. */
  readonly firstHeartbeats: readonly number[];
  /** Tried at the best thresholds, which are fitted under the default one, or the first of these; see `policiesFor`. */
  readonly policies: readonly PolicyName[];
  readonly onTrial?: (done: number, most: number) => void;
}

export const defaultTuneOptions: TuneOptions = {
  retention: 0.99,
  trials: 300,
  rules: ['delta'],
  firstHeartbeats: [1, 2, 4],
  policies: [defaultPolicyName],
};

/**
 * All policies but those that need what the model does not bring along, and the prototype's, which is there to be
 * compared with: it saves operations and spends more time on the exact cut of every token.
 */
export function policiesFor({ meaning }: Model): readonly PolicyName[] {
  const predictsRegret = regretModelOf(meaning) !== undefined;
  return policyNames.filter(
    (name) => name !== 'prototype' && (predictsRegret || policyOf(name).compute !== 'followsRegret'),
  );
}

export interface Settings {
  readonly spikes: SpikeSettings;
  readonly policy: PolicyName;
}

/** One setting that was tried. */
export interface Trial {
  /** What it changes of the one that it came from. */
  readonly change: string;
  readonly settings: Settings;
  readonly macsPerTick: number;
  readonly skipRate: number;
  /** Of the worse group, and the lower end of its interval. */
  readonly retention: number;
  readonly retentionLow: number;
  /** Whether `retentionLow` reaches what is asked. */
  readonly kept: boolean;
}

export interface Tuning {
  readonly denseMacsPerTick: number;
  /** In order; the first is the model as it is. */
  readonly trials: readonly Trial[];
  /** The cheapest that keeps the quality; null: none does. */
  readonly best: Trial | null;
}

/** Searches from the model's own settings. Throws RangeError if the dense model has no quality to keep. */
export function tune(model: Model, rows: TuneRows, options: TuneOptions): Tuning {
  const search = new Search(model, rows, options);
  search.run();
  const kept = search.trials.filter((trial) => trial.kept);
  const cheapest = kept.reduce<Trial | null>((best, trial) => (isCheaper(trial, best) ? trial : best), null);
  return { denseMacsPerTick: search.denseMacsPerTick, trials: search.trials, best: cheapest };
}

function isCheaper(trial: Trial, than: Trial | null): boolean {
  return than === null || trial.macsPerTick < than.macsPerTick;
}

interface Move {
  readonly change: string;
  apply(from: Settings): Settings;
}

/** Thresholds of all channels, as shares of the model's own. */
const scales: readonly number[] = [0.25, 0.5, 1, 1.4, 2, 2.8, 4, 5.6, 8, 11, 16];
/** So many of the best points of that ladder are refined channel by channel. */
const STARTS = 3;
/** A heartbeat grows to so many times the model's at most: what thresholds can't see is found out by it alone. */
const HEARTBEAT_GROWTH_MAX = 8;
class Search {
  readonly trials: Trial[] = [];
  readonly denseMacsPerTick: number;
  readonly #model: Model;
  readonly #rows: TuneRows;
  readonly #options: TuneOptions;
  readonly #engine: Engine;
  readonly #dense: BlockedQuality;
  readonly #tried = new Map<string, Trial>();

  constructor(model: Model, rows: TuneRows, options: TuneOptions) {
    this.#model = model;
    this.#rows = rows;
    this.#options = options;
    this.#engine = new Engine(model, { streams: 2 });
    const { macsPerTick, blocked } = this.#play(new Pipeline(this.#engine, 1, { gating: false }));
    this.denseMacsPerTick = macsPerTick;
    this.#dense = blocked;
    for (const group of blocked.groups) {
      if (group.length > 0 && blocked.quality(total(group)) > 0) continue;
      throw new RangeError('the dense model has no quality on these rows: there is nothing to keep');
    }
  }

  run(): void {
    const own: Settings = { spikes: this.#model.meaning.spikes, policy: firstPolicy(this.#options) };
    this.#try('the model as it is', own);
    const ladder = this.#options.rules.flatMap((rule) =>
      scales.map((scale) => this.#try(`${rule}, thresholds x ${scale}`, this.#scaled(own, rule, scale))),
    );
    const starts = [...ladder].sort((a, b) => this.#badness(a) - this.#badness(b)).slice(0, STARTS);
    for (const start of starts) this.#descend(start);
    this.#tryPolicies();
  }

  /** Coordinate descent, move after move, until a whole round of them helps no more. */
  #descend(start: Trial): void {
    const moves = this.#moves();
    let best = start;
    for (let idle = 0, turn = 0; idle < moves.length && !this.#isOver; idle++, turn++) {
      const { change, apply } = moves[turn % moves.length]!;
      const trial = this.#try(change, apply(best.settings));
      if (this.#badness(trial) >= this.#badness(best)) continue;
      best = trial;
      idle = -1;
    }
  }

  /** What touches all channels first: it does most, and single channels can then be set against it. */
  #moves(): Move[] {
    const { channels } = this.#model.meaning;
    const scale = (factor: number) => ({
      change: `all thresholds x ${factor}`,
      apply: (from: Settings) => this.#scaled(from, from.spikes.rule, factor),
    });
    const beat = (factor: number) => ({
      change: `heartbeat x ${factor}`,
      apply: (from: Settings) => this.#withHeartbeat(from, factor),
    });
    const single = (factor: number) =>
      channels.map(({ name }, index) => ({
        change: `${name} x ${factor}`,
        apply: (from: Settings) => this.#withDelta(from, index, factor),
      }));
    const first = this.#options.firstHeartbeats.map((intervals) => ({
      change: `first heartbeat ${intervals}`,
      apply: ({ spikes, policy }: Settings) => ({
        spikes: { ...spikes, firstHeartbeat: channels.map(() => intervals) },
        policy,
      }),
    }));
    return [...first, scale(1.4), beat(2), scale(0.7), beat(0.5), ...single(2), ...single(0.5)];
  }

  #tryPolicies(): void {
    const kept = this.trials.filter((trial) => trial.kept);
    if (kept.length === 0) return;
    const best = kept.reduce((a, b) => (b.macsPerTick < a.macsPerTick ? b : a));
    for (const policy of this.#options.policies) {
      const settings = { ...best.settings, policy };
      if (!this.#tried.has(keyOf(settings))) this.#evaluate(`policy ${policy}`, settings);
    }
  }

  get #isOver(): boolean {
    return this.trials.length >= this.#options.trials;
  }

  /** Known settings are not run again, and once the trials are used up nothing is: then they count as bad. */
  #try(change: string, settings: Settings): Trial {
    const known = this.#tried.get(keyOf(settings));
    if (known !== undefined) return known;
    return this.#isOver
      ? { ...this.trials[0]!, macsPerTick: Number.MAX_VALUE }
      : this.#evaluate(change, settings);
  }

  #evaluate(change: string, settings: Settings): Trial {
    const { blocked, ...counts } = this.#play(new Pipeline(this.#engine, 0, settings));
    const [retentionLow] = retentionInterval(blocked, this.#dense);
    const retention = Math.min(
      ...blocked.groups.map(
        (group, index) =>
          blocked.quality(total(group)) / this.#dense.quality(total(this.#dense.groups[index]!)),
      ),
    );
    const kept = retentionLow >= this.#options.retention;
    const trial = { change, settings, ...counts, retention, retentionLow, kept };
    this.trials.push(trial);
    this.#tried.set(keyOf(settings), trial);
    this.#options.onTrial?.(this.trials.length, this.#options.trials);
    return trial;
  }

  #play(pipeline: Pipeline): { macsPerTick: number; skipRate: number; blocked: BlockedQuality } {
    const { protocol, groupOf } = this.#rows;
    const { task } = this.#model.meaning;
    const recorder = makeRecorder(protocol, alarmRuleOf(task));
    const { macs, ticks, tierTicks } = runTests(protocol, pipeline, { recorder, warmUpRows: 0 });
    return {
      macsPerTick: macs / ticks,
      skipRate: tierTicks[3] / ticks,
      blocked: regroup(recorder.scored().blocked, groupOf),
    };
  }

  /** Compute; what does not keep the quality is worse than anything that does, the more the less it keeps. */
  #badness({ macsPerTick, retentionLow, kept }: Trial): number {
    return kept ? macsPerTick : this.denseMacsPerTick * (2 + this.#options.retention - retentionLow);
  }

  #scaled({ spikes, policy }: Settings, rule: SpikeRule | undefined, factor: number): Settings {
    const delta = spikes.delta.map((value, channel) => this.#capped(channel, value * factor));
    return { spikes: { ...spikes, ...ruleOf(rule), delta }, policy };
  }

  #withDelta({ spikes, policy }: Settings, channel: number, factor: number): Settings {
    const delta = spikes.delta.map((value, at) =>
      at === channel ? this.#capped(at, value * factor) : value,
    );
    return { spikes: { ...spikes, delta }, policy };
  }

  /** No channel is made deaf: one that moves by a standard deviation always wakes the model. */
  #capped(channel: number, delta: number): number {
    const { scale } = this.#model.meaning.channels[channel]!;
    const own = this.#model.meaning.spikes.delta[channel]!;
    return Number(Math.min(delta, Math.max(scale, own)).toPrecision(4));
  }

  #withHeartbeat({ spikes, policy }: Settings, factor: number): Settings {
    const own = this.#model.meaning.spikes.heartbeat;
    const heartbeat = spikes.heartbeat.map((value, channel) =>
      Math.max(1, Math.min(Math.round(value * factor), HEARTBEAT_GROWTH_MAX * own[channel]!)),
    );
    return { spikes: { ...spikes, heartbeat }, policy };
  }
}

/** Thresholds are fitted under the default policy, if it may be used. */
function firstPolicy({ policies }: TuneOptions): PolicyName {
  return policies.includes(defaultPolicyName) ? defaultPolicyName : (policies[0] ?? defaultPolicyName);
}

/** The default rule is left unsaid, as older models leave it. */
function ruleOf(rule: SpikeRule | undefined): Pick<SpikeSettings, 'rule'> {
  return rule === undefined || rule === 'delta' ? {} : { rule };
}

function keyOf(settings: Settings): string {
  return JSON.stringify(settings);
}

/** Where every series is a group of its own, those of a kind are put together. */
function regroup(blocked: BlockedQuality, groupOf: readonly number[]): BlockedQuality {
  if (blocked.groups.length !== groupOf.length) return blocked;
  const indices = [...new Set(groupOf)].sort((a, b) => a - b);
  const groups = indices.map((group) => blocked.groups.filter((_, at) => groupOf[at] === group).flat());
  return { ...blocked, groups };
}

function total(blocks: readonly Float64Array[]): Float64Array {
  const sums = new Float64Array(blocks[0]?.length ?? 0);
  for (const block of blocks) for (let part = 0; part < sums.length; part++) sums[part]! += block[part]!;
  return sums;
}
