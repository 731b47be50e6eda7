/** The way of one tick: frame -> spikes -> coherence -> decision -> features -> engine -> output -> witness. */
import { Engine } from '../engine/engine.ts';
import { assert } from '../engine/limits.ts';
import type { Channel } from '../engine/model.ts';
import { Anytime } from '../gate/anytime.ts';
import { carryFields, carryFlag, type StateCarrier } from '../gate/carrier.ts';
import { kvOfTrust } from '../gate/controller.ts';
import { wholeIntervals } from '../gate/decay.ts';
import { EarlyExit } from '../gate/early-exit.ts';
import { featureCount } from '../gate/features.ts';
import { Judgement, type Override } from '../gate/judgement.ts';
import { copySnapshot } from '../gate/level-state.ts';
import type { Frame } from '../gate/packets.ts';
import { defaultPolicyName, type Policy, type PolicyName, policyOf } from '../gate/policy.ts';
import { regretModelOf } from '../gate/regret.ts';
import { Senses } from '../gate/senses.ts';
import { Witness } from '../gate/witness.ts';
import type { Calibration } from './calibration/calibration.ts';
import { SelfCalibration } from './calibration/self-calibration.ts';
import { doubtOf } from './doubt.ts';
import { Output } from './output.ts';
import { carryCounters, copyCounters, makePipelineCounters } from './pipeline-counters.ts';
import type { PipelineEngine, PipelineOptions } from './pipeline-options.ts';
import { noteCandidates, noteGate, noteNoWork, noteSpike, noteWork } from './testimony.ts';

export class Pipeline {
  /** The held result; refilled at each token. */
  readonly output: Output;
  readonly counters = makePipelineCounters();
  /** How often the past was forgotten. */
  forgets = 0;
  readonly #engine: PipelineEngine;
  readonly #stream: number;
  readonly #intervalMs: number;
  readonly #macsDense: number;
  readonly #senses: Senses;
  readonly #judgement: Judgement;
  /** Of models with a control chart. */
  readonly #calibration: SelfCalibration | undefined;
  readonly #withholds: boolean;
  readonly #features: Int16Array;
  readonly #witness = new Witness();
  #isFirst = true;
  #lastTimeMs = 0;
  #timeRestarts = false;
  #sinceToken = 0;
  /** Intervals from the token that the output comes from to the last one: 0 unless outputs were withheld. */
  #withheld = 0;

  /**
   * Runs `engine`'s model on its stream `stream`. Throws RangeError if the settings or the policy make no sense, or
   * if the policy follows a regret that the model does not predict.
   */
  constructor(engine: PipelineEngine, stream: number, options: PipelineOptions = {}) {
    const { meaning, config } = engine.model;
    const { channels, intervalMs, task, features } = meaning;
    const isGated = options.gating ?? true;
    this.#engine = isGated && options.anytime !== false ? withAnytime(engine) : engine;
    this.#stream = stream;
    this.#intervalMs = intervalMs;
    this.#macsDense = engine.cost(engine.plans[0]!.write).macs;
    this.output = new Output(meaning, options.candidates);
    this.#withholds = options.withholdQuarantined === true && this.output.kind !== 'anomaly';
    const regret = options.regret ?? regretModelOf(meaning);
    this.#judgement = new Judgement(policyOf(options.policy ?? defaultPolicyName), {
      isGated,
      exactLambda: options.exactLambda === true,
      regret,
    });
    const spikes = isGated ? (options.spikes ?? meaning.spikes) : undefined;
    const settings = { channels, features, spikes, coherence: options.coherence, isGated };
    this.#senses = new Senses(settings, this.output.values, this.#judgement.watch);
    this.#features = new Int16Array(featureCount(channels.length, features));
    assert(config.features === this.#features.length, 'the model takes the features that the gate makes');
    this.#witness.channels = channels.length;
    this.#witness.model = options.modelTag ?? 0;
    this.#witness.policyHash = this.#judgement.policyHash;
    if (task.kind === 'anomaly' && task.chart !== undefined) {
      const ticks = options.calibrationTicks ?? task.chart.calibrationTicks;
      this.#calibration = new SelfCalibration(channels, this.output.chart!, ticks);
    }
  }

  /**
   * Processes one frame: float64[channels] in the model's order, physical units, NaN where unknown. The first frame
   * always makes a token. Returns the witness, which is reused.
   *
   * A frame whose time is not later than the last one's (a repetition after a reconnection, a clock set back) is
   * refused: `counters.stale` counts it, and the witness of the last frame comes back, its `sequence` unchanged.
   *
   * The tick that completes a calibration runs the ticks before it once more, as they would have been with it: then
   * its witness tells the work of all of them.
   */
  tick(frame: Frame): Witness {
    const { frames } = this.counters;
    const witness = this.#tick(frame);
    const calibration = this.#calibration;
    if (calibration === undefined || calibration.finished !== undefined) return witness;
    if (this.counters.frames > frames && calibration.keep(frame)) this.#calibrate(calibration);
    return witness;
  }

  #tick(frame: Frame): Witness {
    if (this.#timeRestarts) this.#lastTimeMs = frame.timeMs - this.#intervalMs;
    this.#timeRestarts = false;
    const elapsed = this.#isFirst ? 0 : (frame.timeMs - this.#lastTimeMs) / this.#intervalMs;
    if (!Number.isFinite(frame.timeMs) || !(elapsed > 0 || this.#isFirst)) {
      this.counters.stale++;
      return this.#witness;
    }
    this.#lastTimeMs = frame.timeMs;
    this.#sinceToken += elapsed;
    this.#senses.observe(frame, elapsed);
    this.#judgement.measure(this.#senses);
    this.output.observe(frame.values, wholeIntervals(elapsed));
    this.#see(frame);
    this.#decide();
    this.#count(frame);
    const { tier } = this.#judgement.decision;
    if (tier === 3) this.#skip();
    else this.#compute(frame);
    this.#testify();
    if (tier !== 3) this.#sinceToken = 0;
    this.#isFirst = false;
    return this.#witness;
  }

  #decide(): void {
    const judgement = this.#judgement;
    judgement.decide(this.#senses, this.#witness, this.#isFirst, this.output.hasValue);
    // No token carries the flush out.
    if (judgement.overrule(this.#isFirst)) this.#engine.reset(this.#stream);
  }

  #count(frame: Frame): void {
    const { counters } = this;
    counters.frames++;
    counters.perTier[this.#judgement.decision.tier]!++;
    counters.macsDense += this.#macsDense;
    for (let channel = 0; channel < frame.values.length; channel++) {
      if (!Number.isFinite(frame.values[channel]!)) counters.missing++;
    }
  }

  #skip(): void {
    this.counters.skips++;
    this.output.hold(this.#withheld + this.#sinceToken);
    noteNoWork(this.#witness);
  }

  #compute(frame: Frame): void {
    const engine = this.#engine;
    const { spike, features } = this.#senses;
    const { tier, trust } = this.#judgement.decision;
    const plan = engine.plans[tier]![kvOfTrust[trust]];
    features.encode(frame, spike, this.#sinceToken, this.#features);
    const passed = wholeIntervals(this.#sinceToken) - 1;
    if (passed > 0) engine.hold(this.#stream, passed);
    // What was surprising stays visible for longer, to heads that look at pinned positions.
    if (engine.marks.length > 0) engine.marks[0] = spike.noveltyQ15;
    engine.step(this.#stream, this.#features, plan);
    this.#produce(frame);
    this.counters.tokens++;
    this.counters.macs += engine.stats.macs;
    noteWork(plan.kv, engine, this.output, this.#witness);
  }

  #produce(frame: Frame): void {
    if (this.#withholds && this.#judgement.decision.trust === 'quarantine' && this.output.hasValue) {
      this.#withheld += this.#sinceToken;
      this.output.hold(this.#withheld);
      return;
    }
    this.#withheld = 0;
    this.output.update(this.#engine.logits, frame.values);
  }

  /** Notes what is seen, before anything is decided. */
  #see(frame: Frame): void {
    const witness = this.#witness;
    const { gate, demand, controller } = this.#judgement;
    witness.sequence = this.counters.frames;
    witness.timeMs = frame.timeMs;
    witness.elapsedIntervals = this.#sinceToken;
    noteSpike(this.#senses.spike, witness);
    demand.doubtQ15 = doubtOf(this.output, this.#engine.model.meaning.task);
    noteGate(gate, demand, witness);
    copySnapshot(controller.trust, witness.trustBefore);
    copySnapshot(controller.compute, witness.computeBefore);
  }

  /** Notes what was decided. */
  #testify(): void {
    const witness = this.#witness;
    const { tier, trust, reason } = this.#judgement.decision;
    witness.tier = tier;
    witness.trust = trust;
    witness.reason = reason;
    witness.macsDense = this.#macsDense;
    witness.held = this.output.isHeld;
    noteCandidates(this.output.candidates, witness);
  }

  /** Undefined until it is finished, and for models that calibrate nothing. */
  get calibration(): Calibration | undefined {
    return this.#calibration?.finished;
  }

  /** Ticks of the calibration that is under way, and those that it wants; 0 of 0 without one. */
  get calibrationProgress(): { readonly ticks: number; readonly wanted: number } {
    return this.#calibration?.progress ?? { ticks: 0, wanted: 0 };
  }

  /**
   * Goes on from an earlier calibration of the same model: nothing is to be calibrated any more. Throws RangeError if the
   * model has no chart.
   */
  useCalibration(calibration: Calibration): void {
    this.recalibrate();
    this.#useChannels(calibration.channels);
    this.#calibration!.use(calibration);
  }

  /** Throws away what was calibrated: the next ticks calibrate. Throws RangeError if the model has no chart. */
  recalibrate(): void {
    if (this.#calibration === undefined) {
      throw new RangeError('calibration: expected a model with a control chart, got one without');
    }
    this.#calibration.discard();
    this.#useChannels(this.#engine.model.meaning.channels);
    this.forget();
  }

  /** What somebody forces. */
  get override(): Override {
    return this.#judgement.override;
  }

  set override(override: Override) {
    this.#judgement.override = override;
  }

  /** The policy that decides. */
  get policy(): Policy {
    return this.#judgement.policy;
  }

  /**
   * From the next tick on another policy decides, from the state that the one before has left. Throws RangeError, and
   * changes nothing, if it makes no sense or follows a regret that the model does not predict.
   */
  usePolicy(choice: PolicyName | Policy): void {
    const judgement = this.#judgement;
    judgement.usePolicy(policyOf(choice));
    this.#senses.coherence.watch(judgement.watch);
    this.#witness.regretQ15 = judgement.demand.regretQ15;
    this.#witness.policyHash = judgement.policyHash;
  }

  /**
   * From the next tick on this pipeline goes on where `before` stood: its counters, what is forced, and the policy, if
   * the model fits it. What it remembers of the past stays its own.
   */
  succeed(before: Pipeline): void {
    copyCounters(before.counters, this.counters);
    this.follow(before);
  }

  /** Takes over what is forced, and the policy, if the model fits it. */
  follow(leader: Pipeline): void {
    this.override = leader.override;
    // Without what predicts regret it stays with its own.
    if (this.policy !== leader.policy && this.#judgement.canFollow(leader.policy))
      this.usePolicy(leader.policy);
  }

  /** As new: the past and an own calibration are forgotten, and the counters begin anew. */
  reset(): void {
    if (this.#calibration === undefined) this.forget();
    else this.recalibrate();
    copyCounters(makePipelineCounters(), this.counters);
  }

  /**
   * Forgets the past: the next frame is the first, and the first of a calibration that is not finished. Empties the
   * engine's stream; what was counted or calibrated stays.
   */
  forget(): void {
    this.forgets++;
    this.#forgetStream();
    this.#calibration?.reset();
  }

  #forgetStream(): void {
    this.#engine.reset(this.#stream);
    this.#senses.reset();
    this.#judgement.reset();
    this.output.reset();
    this.#isFirst = true;
    this.#sinceToken = 0;
    this.#withheld = 0;
  }

  /**
   * Hands over everything that the next tick rests on but the engine's memory (its `states`), the policy and the
   * override; and what was counted.
   */
  carry(state: StateCarrier): void {
    // First, since other channels need other encoders to be handed to.
    const finish = this.#calibration?.carry(
      state,
      (channels) => this.#useChannels(channels),
      () => this.recalibrate(),
    );
    const { spikes, coherence, features } = this.#senses;
    const judgement = this.#judgement;
    const parts = [spikes, coherence, judgement.controller, features, this.output, judgement.typical];
    for (const part of parts) part.carry(state);
    judgement.carryPackets(state);
    carryFields(state, this.#witness, ['regretQ15', 'logitsHash', 'topIndex', 'score']);
    carryCounters(state, this.counters);
    this.#isFirst = carryFlag(state, this.#isFirst);
    judgement.isTrusted = carryFlag(state, judgement.isTrusted);
    this.#lastTimeMs = state.number(this.#lastTimeMs);
    this.#timeRestarts = carryFlag(state, this.#timeRestarts);
    this.#sinceToken = state.number(this.#sinceToken);
    this.#withheld = state.number(this.#withheld);
    finish?.();
  }

  /** Time begins anew: the next frame counts as one interval after the last, whatever its time says. */
  restartTime(): void {
    this.#timeRestarts = true;
    this.#calibration?.reset();
  }

  /** Nothing but the work done counts twice. */
  #calibrate(calibration: SelfCalibration): void {
    const { counters } = this;
    const before = makePipelineCounters();
    copyCounters(counters, before);
    const macsBefore = this.#witness.macs;
    const begin = (channels: readonly Channel[]) => {
      this.#useChannels(channels);
      this.#forgetStream();
    };
    calibration.run(begin, (frame) => void this.#tick(frame), this.#lastTimeMs);
    const { macs } = counters;
    copyCounters(before, counters);
    counters.macs = macs;
    this.#witness.sequence = counters.frames - 1;
    this.#witness.macs = macsBefore + macs - before.macs;
  }

  #useChannels(channels: readonly Channel[]): void {
    this.output.useChannels(channels);
    this.#senses.useChannels(channels, this.#judgement.watch);
  }
}

function withAnytime(engine: PipelineEngine): PipelineEngine {
  const { exit, refinement } = engine.model.meaning;
  if (!(engine instanceof Engine)) return engine;
  if (exit !== undefined) return new EarlyExit(engine, exit);
  return refinement === undefined ? engine : new Anytime(engine, refinement);
}
