/** The way of one tick: frame -> spikes -> coherence -> decision -> features -> engine -> output -> witness. */
import { Engine } from '../engine/engine.ts';
import { assert } from '../engine/limits.ts';
import type { CandidateRule, Channel, SpikeSettings } from '../engine/model.ts';
import { Anytime } from '../gate/anytime.ts';
import { carryFields, carryFlag, type StateCarrier } from '../gate/carrier.ts';
import { Coherence, type CoherenceSettings, type LambdaWatch, makeGatePacket } from '../gate/coherence.ts';
import { Controller, kvOfTrust, lambdaWatchOf, makeGateDecision } from '../gate/controller.ts';
import { wholeIntervals } from '../gate/decay.ts';
import { makeDemandPacket, TypicalActivity } from '../gate/demand.ts';
import { EarlyExit } from '../gate/early-exit.ts';
import { FeatureEncoder, featureCount } from '../gate/features.ts';
import { copySnapshot } from '../gate/level-state.ts';
import { hashLogits } from '../gate/logits-hash.ts';
import { type Frame, type GatePacket, Q15_ONE } from '../gate/packets.ts';
import { defaultPolicyName, type Policy, type PolicyName, policyHash, policyOf } from '../gate/policy.ts';
import { RegretGate, type RegretModel, regretModelOf } from '../gate/regret.ts';
import { makeSpikePacket, SpikeEncoder } from '../gate/spike-encoder.ts';
import { Witness } from '../gate/witness.ts';
import { type Calibration, Calibrator } from './calibration.ts';
import { doubtOf } from './doubt.ts';
import { Output } from './output.ts';
import { copyCounters, makePipelineCounters } from './pipeline-counters.ts';
import { noteCandidates, noteGate } from './testimony.ts';

/** What a pipeline asks of an engine. */
export type PipelineEngine = Pick<
  Engine,
  'model' | 'plans' | 'logits' | 'marks' | 'stats' | 'step' | 'hold' | 'cost' | 'reset'
>;

export interface PipelineOptions {
  /** Whether tier-0 tokens leave early, or are refined, where the model says when. Default true. */
  readonly anytime?: boolean;
  /** What else predicts the tick after a token. Default: as the model says; null: nothing. */
  readonly candidates?: CandidateRule | null;
  /** When a channel fires. Default: as the model was trained. */
  readonly spikes?: SpikeSettings;
  /** Default: `steady`. */
  readonly policy?: PolicyName | Policy;
  /**
   * false: the dense baseline. Every known channel fires at every tick, and every tick is a tier-0 token that is
   * written; there is no coherence and no decision. Default true.
   */
  readonly gating?: boolean;
  readonly coherence?: CoherenceSettings;
  /** Compute lambda itself at every token, also where bounds would do: for whoever looks at it. Default false. */
  readonly exactLambda?: boolean;
  /**
   * What a quarantined token says is not put out; the output before it is held. Scores of anomalies are, since they say
   * how strange the readings are. Default false: it is put out, with its trust beside it.
   */
  readonly withholdQuarantined?: boolean;
  /** What predicts that tier 1 would answer otherwise. Default: what the model carries. */
  readonly regret?: RegretModel;
  /** What witnesses say of the model: its `modelTag`. Default: not told. */
  readonly modelTag?: number;
  /** By so many ticks a model with a control chart calibrates itself; default: what the model says. */
  readonly calibrationTicks?: number;
}

const gateFields = [
  'lambdaQ15',
  'lambdaFloorQ15',
  'isExact',
  'lambdaPreviousQ15',
  'lambdaReferenceQ15',
  'boundaryEdges',
  'boundaryConcentrationQ15',
  'partitionCount',
  'agreementQ15',
  'driftUpQ8',
  'driftDownQ8',
  'ready',
] as const;

/** Fires whenever a value is known: delta 0 is reached by any value. */
function alwaysFire(channels: number): SpikeSettings {
  const zeros: number[] = Array(channels).fill(0);
  return { delta: zeros, heartbeat: zeros, refractory: zeros };
}

/** What somebody forces: no token costs more than tier 2 (safe); no token at all but the first (skip). */
export type Override = 'none' | 'safe' | 'skip';

export class Pipeline {
  /** The held result; refilled at each token. */
  readonly output: Output;
  /** Stays until it is set to `none`; `forcedByFlag` is then the reason of each tick that it changes. */
  override: Override = 'none';
  readonly counters = makePipelineCounters();
  /** How often the past was forgotten. */
  forgets = 0;
  readonly #engine: PipelineEngine;
  readonly #stream: number;
  readonly #gating: boolean;
  readonly #intervalMs: number;
  readonly #macsDense: number;
  readonly #options: PipelineOptions;
  readonly #calibrator: Calibrator | undefined;
  #calibration: Calibration | undefined;
  #encoder: SpikeEncoder;
  #coherence: Coherence;
  readonly #exactLambda: boolean;
  readonly #withholds: boolean;
  #policy: Policy;
  #controller: Controller;
  #featureEncoder: FeatureEncoder;
  readonly #features: Int16Array;
  readonly #spike;
  readonly #gate: GatePacket = makeGatePacket();
  readonly #demand = makeDemandPacket();
  readonly #typical = new TypicalActivity();
  readonly #regretModel: RegretModel | undefined;
  #regret: RegretGate | undefined;
  readonly #decision = makeGateDecision();
  readonly #witness = new Witness();
  #isFirst = true;
  #isTrusted = true;
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
    const { channels, intervalMs, task, features } = engine.model.meaning;
    const count = channels.length;
    this.#gating = options.gating ?? true;
    this.#engine = this.#gating && options.anytime !== false ? withAnytime(engine) : engine;
    this.#stream = stream;
    this.#intervalMs = intervalMs;
    this.#macsDense = engine.cost(engine.plans[0]!.write).macs;
    this.output = new Output(engine.model.meaning, options.candidates);
    const policy = policyOf(options.policy ?? defaultPolicyName);
    this.#policy = policy;
    this.#exactLambda = options.exactLambda === true;
    this.#options = options;
    this.#encoder = this.#makeEncoder(channels);
    this.#withholds = options.withholdQuarantined === true && this.output.kind !== 'anomaly';
    this.#coherence = new Coherence(channels, options.coherence, this.#watchOf(policy));
    this.#controller = new Controller(policy);
    this.#regretModel = options.regret ?? regretModelOf(engine.model.meaning);
    this.#regret = regretGateOf(policy, this.#regretModel);
    this.#featureEncoder = new FeatureEncoder(channels, features);
    this.#features = new Int16Array(featureCount(count, features));
    this.#spike = makeSpikePacket(count);
    this.#witness.channels = count;
    this.#witness.model = options.modelTag ?? 0;
    this.#witness.policyHash = this.#gating ? policyHash(policy) : 0;
    if (task.kind === 'anomaly' && task.chart !== undefined) {
      this.#calibrator = new Calibrator(channels, options.calibrationTicks ?? task.chart.calibrationTicks);
    }
    assert(
      engine.model.config.features === this.#features.length,
      'the model takes the features that the gate makes',
    );
  }

  /** Undefined until it is finished, and for models that calibrate nothing. */
  get calibration(): Calibration | undefined {
    return this.#calibration;
  }

  /** Ticks of the calibration that is under way, and those that it wants; 0 of 0 without one. */
  get calibrationProgress(): { readonly ticks: number; readonly wanted: number } {
    const wanted = this.#calibration === undefined ? (this.#calibrator?.ticks ?? 0) : 0;
    return { ticks: wanted === 0 ? 0 : this.#calibrator!.count, wanted };
  }

  /**
   * Goes on from an earlier calibration of the same model: nothing is to be calibrated any more. Throws RangeError if the
   * model has no chart.
   */
  useCalibration(calibration: Calibration): void {
    this.recalibrate();
    this.#calibration = calibration;
    this.#useChannels(calibration.channels);
    this.output.chart!.restore(calibration.chart);
  }

  /** Throws away what was calibrated: the next ticks calibrate. Throws RangeError if the model has no chart. */
  recalibrate(): void {
    if (this.#calibrator === undefined) {
      throw new RangeError('calibration: expected a model with a control chart, got one without');
    }
    this.#calibration = undefined;
    this.#useChannels(this.#engine.model.meaning.channels);
    this.output.chart!.forgetCalibration();
    this.forget();
  }

  /** The policy that decides. */
  get policy(): Policy {
    return this.#policy;
  }

  /**
   * From the next tick on another policy decides, from the state that the one before has left. Throws RangeError, and
   * changes nothing, if it makes no sense or follows a regret that the model does not predict.
   */
  usePolicy(choice: PolicyName | Policy): void {
    const policy = policyOf(choice);
    const regret = regretGateOf(policy, this.#regretModel);
    const controller = new Controller(policy);
    controller.restore(this.#controller.trust, this.#controller.compute);
    this.#policy = policy;
    this.#regret = regret;
    this.#controller = controller;
    this.#coherence.watch(this.#watchOf(policy));
    // What only the policy before has asked for is not known any more.
    this.#demand.regretQ15 = this.#witness.regretQ15 = makeDemandPacket().regretQ15;
    this.#witness.policyHash = this.#gating ? policyHash(policy) : 0;
  }

  #watchOf(policy: Policy): LambdaWatch {
    const watch = lambdaWatchOf(policy);
    return { ...watch, exact: watch.exact || this.#exactLambda };
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
    if (this.#policy === leader.policy) return;
    // Without what predicts regret it stays with its own.
    if (leader.policy.compute === 'followsRegret' && this.#regretModel === undefined) return;
    this.usePolicy(leader.policy);
  }

  /** As new: the past and an own calibration are forgotten, and the counters begin anew. */
  reset(): void {
    if (this.#calibrator === undefined) this.forget();
    else this.recalibrate();
    this.countAnew();
  }

  /** The counters begin anew; what is remembered stays. */
  countAnew(): void {
    copyCounters(makePipelineCounters(), this.counters);
  }

  /**
   * Forgets the past: the next frame is the first, and the first of a calibration that is not finished. Empties the
   * engine's stream; what was counted or calibrated stays.
   */
  forget(): void {
    this.forgets++;
    this.#forgetStream();
    this.#calibrator?.reset();
  }

  #forgetStream(): void {
    this.#engine.reset(this.#stream);
    this.#encoder.reset();
    this.#coherence.reset();
    this.#controller.reset();
    this.#featureEncoder.reset();
    this.output.reset();
    this.#typical.reset();
    Object.assign(this.#gate, makeGatePacket());
    Object.assign(this.#demand, makeDemandPacket());
    this.#isFirst = true;
    this.#isTrusted = true;
    this.#sinceToken = 0;
    this.#withheld = 0;
  }

  /**
   * Hands over everything that the next tick rests on but the engine's memory (its `states`), the policy and the
   * override; and what was counted.
   */
  carry(state: StateCarrier): void {
    const { counters } = this;
    // First, since other channels need other encoders to be handed to.
    const calibrated = this.#carryChannels(state);
    for (const part of [
      this.#encoder,
      this.#coherence,
      this.#controller,
      this.#featureEncoder,
      this.output,
      this.#typical,
    ])
      part.carry(state);
    carryFields(state, this.#gate, gateFields);
    carryFields(state, this.#demand, ['noveltyTypicalQ15', 'rateTypicalQ15', 'regretQ15']);
    carryFields(state, this.#witness, ['regretQ15', 'logitsHash', 'topIndex', 'score']);
    carryFields(state, counters, ['frames', 'tokens', 'skips', 'macs', 'macsDense', 'stale', 'missing']);
    state.array(counters.perTier);
    this.#isFirst = carryFlag(state, this.#isFirst);
    this.#isTrusted = carryFlag(state, this.#isTrusted);
    this.#lastTimeMs = state.number(this.#lastTimeMs);
    this.#timeRestarts = carryFlag(state, this.#timeRestarts);
    this.#sinceToken = state.number(this.#sinceToken);
    this.#withheld = state.number(this.#withheld);
    if (calibrated !== undefined) this.#calibration = { ...calibrated, chart: this.output.chart!.state! };
  }

  /** Of a model with a chart. Gives back what another pipeline had calibrated, if this one had not. */
  #carryChannels(state: StateCarrier): Omit<Calibration, 'chart'> | undefined {
    const calibrator = this.#calibrator;
    if (calibrator === undefined) return undefined;
    const { channels: shipped } = this.#engine.model.meaning;
    const own = this.#calibration?.channels ?? shipped;
    const numbers = Float64Array.from(own.flatMap(({ center, scale }) => [center, scale]));
    const before = numbers.slice();
    const timeMs = state.number(this.#calibration?.timeMs ?? Number.NaN);
    const ticks = state.number(this.#calibration?.ticks ?? 0);
    state.array(numbers);
    if (ticks === 0 && this.#calibration !== undefined) this.recalibrate();
    calibrator.carry(state);
    if (ticks === 0 || numbers.every((number, i) => number === before[i])) return undefined;
    const channels = shipped.map((channel, i) => ({
      ...channel,
      center: numbers[2 * i]!,
      scale: numbers[2 * i + 1]!,
    }));
    this.#useChannels(channels);
    return { timeMs, ticks, channels };
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
    if (this.#calibrator === undefined || this.#calibration !== undefined) return witness;
    if (this.counters.frames > frames) this.#calibrator.add(frame);
    if (this.#calibrator.isComplete) this.#calibrate(this.#calibrator);
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
    this.#encoder.encode(frame, elapsed, this.#spike);
    this.#featureEncoder.observe(frame, elapsed);
    if (this.#gating) this.#measure(frame, elapsed);
    this.output.observe(frame.values, wholeIntervals(elapsed));
    this.#see(frame);
    this.#decide();
    this.#count(frame);
    if (this.#decision.tier === 3) this.#skip();
    else this.#compute(frame);
    this.#testify();
    if (this.#decision.tier !== 3) this.#sinceToken = 0;
    this.#isFirst = false;
    return this.#witness;
  }

  /** Time begins anew: the next frame counts as one interval after the last, whatever its time says. */
  restartTime(): void {
    this.#timeRestarts = true;
    this.#calibrator?.reset();
  }

  /** Nothing but the work done counts twice. */
  #calibrate(calibrator: Calibrator): void {
    const { counters } = this;
    const before = makePipelineCounters();
    copyCounters(counters, before);
    const macsBefore = this.#witness.macs;
    const chart = this.output.chart!;
    const channels = calibrator.channels();
    this.#useChannels(channels);
    this.#forgetStream();
    chart.beginCalibration(calibrator.ticks);
    calibrator.replay((frame) => this.#tick(frame));
    chart.calibrate();
    const { macs } = counters;
    copyCounters(before, counters);
    counters.macs = macs;
    this.#witness.sequence = counters.frames - 1;
    this.#witness.macs = macsBefore + macs - before.macs;
    this.#calibration = {
      timeMs: this.#lastTimeMs,
      ticks: calibrator.ticks,
      channels,
      chart: chart.state!,
    };
  }

  /** Everything that normalises is made anew; this is not the hot path. */
  #useChannels(channels: readonly Channel[]): void {
    this.output.useChannels(channels);
    this.#encoder = this.#makeEncoder(channels);
    this.#coherence = new Coherence(channels, this.#options.coherence, this.#watchOf(this.#policy));
    this.#featureEncoder = new FeatureEncoder(channels, this.#engine.model.meaning.features);
  }

  /** A delta is so many scales, whatever the scale. */
  #makeEncoder(channels: readonly Channel[]): SpikeEncoder {
    const { channels: shipped, spikes } = this.#engine.model.meaning;
    const rules = this.#gating ? (this.#options.spikes ?? spikes) : alwaysFire(channels.length);
    if (channels === shipped) return new SpikeEncoder(channels, rules, this.output.values);
    const delta = rules.delta.map((delta, i) => delta * (channels[i]!.scale / shipped[i]!.scale));
    return new SpikeEncoder(channels, { ...rules, delta }, this.output.values);
  }

  /** Coherence sees every tick; what it amounts to is asked at a token. */
  #measure(frame: Frame, elapsed: number): void {
    this.#coherence.observe(frame, elapsed);
    if (!this.#spike.fired) return;
    this.#coherence.measure(this.#isTrusted, this.#gate);
    this.#typical.measure(this.#spike, this.#demand);
  }

  #decide(): void {
    if (!this.#gating) {
      this.#force();
      return;
    }
    if (this.#regret !== undefined && this.#spike.fired) this.#predictRegret(this.#regret);
    this.#controller.decide(this.#spike, this.#gate, this.#decision, this.#demand);
    if (this.#decision.tier === 3 && this.#isFirst) this.#force();
    if (this.override !== 'none') this.#overrideTier(this.override);
    this.#isTrusted = this.#decision.trust === 'allow';
  }

  /** Trust stays as it was judged. The first frame makes a token in any case: there is no output to hold yet. */
  #overrideTier(override: 'safe' | 'skip'): void {
    const tier = override === 'skip' && !this.#isFirst ? 3 : 2;
    if (this.#decision.tier >= tier) return;
    // No token carries the flush out.
    if (tier === 3 && this.#decision.trust === 'flushKv') this.#engine.reset(this.#stream);
    this.#decision.tier = tier;
    this.#decision.reason = 'forcedByFlag';
  }

  /** From the witness, which has seen all that a decision rests on. The first token knows no output to doubt. */
  #predictRegret(regret: RegretGate): void {
    this.#demand.regretQ15 = this.output.hasValue ? regret.predict(this.#witness) : Q15_ONE;
    this.#witness.regretQ15 = this.#demand.regretQ15;
  }

  #force(): void {
    this.#decision.tier = 0;
    this.#decision.trust = 'allow';
    this.#decision.reason = 'forcedByFlag';
  }

  #count(frame: Frame): void {
    const { counters } = this;
    counters.frames++;
    counters.perTier[this.#decision.tier]!++;
    counters.macsDense += this.#macsDense;
    for (let channel = 0; channel < frame.values.length; channel++) {
      if (!Number.isFinite(frame.values[channel]!)) counters.missing++;
    }
  }

  #skip(): void {
    this.counters.skips++;
    this.output.hold(this.#withheld + this.#sinceToken);
    const witness = this.#witness;
    witness.kv = 'none';
    witness.layers = 0;
    witness.macs = 0;
    witness.kvReads = 0;
    witness.kvWrites = 0;
  }

  #compute(frame: Frame): void {
    const engine = this.#engine;
    const plan = engine.plans[this.#decision.tier]![kvOfTrust[this.#decision.trust]];
    this.#featureEncoder.encode(frame, this.#spike, this.#sinceToken, this.#features);
    const passed = wholeIntervals(this.#sinceToken) - 1;
    if (passed > 0) engine.hold(this.#stream, passed);
    // What was surprising stays visible for longer, to heads that look at pinned positions.
    if (engine.marks.length > 0) engine.marks[0] = this.#spike.noveltyQ15;
    engine.step(this.#stream, this.#features, plan);
    this.#produce(frame);
    this.counters.tokens++;
    this.counters.macs += engine.stats.macs;
    const witness = this.#witness;
    witness.kv = plan.kv;
    witness.layers = engine.stats.layers;
    witness.macs = engine.stats.macs;
    witness.kvReads = engine.stats.kvReads;
    witness.kvWrites = engine.stats.kvWrites;
    witness.logitsHash = hashLogits(engine.logits) >>> 0;
    witness.topIndex = this.output.topIndex;
    witness.score = this.output.confidence;
  }

  #produce(frame: Frame): void {
    if (this.#withholds && this.#decision.trust === 'quarantine' && this.output.hasValue) {
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
    const spike = this.#spike;
    witness.sequence = this.counters.frames;
    witness.timeMs = frame.timeMs;
    witness.firedMask.fill(0);
    for (let channel = 0; channel < spike.firedMask.length; channel++) {
      witness.firedMask[channel >> 3]! |= spike.firedMask[channel]! << (channel & 7);
    }
    witness.firedCount = spike.firedCount;
    witness.rateQ15 = spike.rateQ15;
    witness.noveltyQ15 = spike.noveltyQ15;
    witness.elapsedIntervals = this.#sinceToken;
    witness.doubtQ15 = doubtOf(this.output, this.#engine.model.meaning.task);
    noteGate(this.#gate, this.#demand, witness);
    const { trust, compute } = this.#controller;
    copySnapshot(trust, witness.trustBefore);
    copySnapshot(compute, witness.computeBefore);
  }

  /** Notes what was decided. */
  #testify(): void {
    const witness = this.#witness;
    witness.tier = this.#decision.tier;
    witness.trust = this.#decision.trust;
    witness.reason = this.#decision.reason;
    witness.macsDense = this.#macsDense;
    witness.held = this.output.isHeld;
    noteCandidates(this.output.candidates, witness);
  }
}

function withAnytime(engine: PipelineEngine): PipelineEngine {
  const { exit, refinement } = engine.model.meaning;
  if (!(engine instanceof Engine)) return engine;
  if (exit !== undefined) return new EarlyExit(engine, exit);
  return refinement === undefined ? engine : new Anytime(engine, refinement);
}

function regretGateOf(policy: Policy, model: RegretModel | undefined): RegretGate | undefined {
  if (policy.compute !== 'followsRegret') return undefined;
  if (model !== undefined) return new RegretGate(model);
  throw new RangeError(
    `policy ${policy.name}: expected a model that predicts regret, which \`dormouse calibrate gate\` makes, got one without`,
  );
}
