/** What was seen, decided, done and produced at one tick: the evidence for an output. */
import type { Tier } from '../engine/config.ts';
import type { Json } from '../engine/model.ts';
import { type LevelSnapshot, makeLevelSnapshot } from './level-state.ts';
import { CHANNELS_MAX, type GateReason, type Trust } from './packets.ts';
import { NO_TRUST_RULE } from './rules.ts';
import type { WitnessKv } from './witness-codes.ts';
import { witnessJson } from './witness-json.ts';
import { WitnessRecord } from './witness-record.ts';

export class Witness {
  /** 0 at the first tick. */
  sequence = 0;
  timeMs = 0;

  // Seen.
  channels = 0;
  /** Bit c % 8 of byte c / 8: channel c fired. */
  readonly firedMask = new Uint8Array(CHANNELS_MAX / 8);
  firedCount = 0;
  rateQ15 = 0;
  noveltyQ15 = 0;
  /** The lambda fields are those of the last token; they mean something if `ready`. */
  ready = false;
  lambdaQ15 = 0;
  /** Lambda lies from here to lambdaQ15: the same if `isExact`, else bounds that answered every threshold. */
  lambdaFloorQ15 = 0;
  isExact = false;
  lambdaPreviousQ15 = 0;
  lambdaReferenceQ15 = 0;
  boundaryEdges = 0;
  boundaryConcentrationQ15 = 0;
  partitionCount = 0;
  agreementQ15 = 0;
  driftUpQ8 = 0;
  driftDownQ8 = 0;
  /** What was typical of the tokens before; of the last token. */
  noveltyTypicalQ15 = 0;
  rateTypicalQ15 = 0;
  /** Probability that tier 1 would answer otherwise than tier 0; 1 where nothing predicts it. */
  regretQ15 = 0;
  /** How unsure the output before this token was. */
  doubtQ15 = 0;

  // By whom: `modelTag` of the model, 0 where it is not told; `policyHash` of the policy, 0 without one; and what the
  // controller remembered before it decided.
  model = 0;
  policyHash = 0;
  readonly trustBefore: LevelSnapshot = makeLevelSnapshot(NO_TRUST_RULE);
  readonly computeBefore: LevelSnapshot = makeLevelSnapshot();

  // Decided.
  tier: Tier = 3;
  trust: Trust = 'allow';
  reason: GateReason = 'none';
  kv: WitnessKv = 'none';

  // Done: all 0 at a skipped tick, except macsDense.
  layers = 0;
  macs = 0;
  /** Multiply-accumulates that tier 0 may have taken at this tick. */
  macsDense = 0;
  kvReads = 0;
  kvWrites = 0;
  /** Since the previous token (0 at the first): what a token carries, and the age of a held output. */
  elapsedIntervals = 0;

  // Produced: of the last token, when `held`.
  held = false;
  /** FNV-1a 32 of the logits as little-endian int32. */
  logitsHash = 0;
  /** classify: the class; anomaly: the most surprising channel; forecast: -1. */
  topIndex = -1;
  /** classify: probability of the class; anomaly: the score; forecast: 0. NaN where there is none yet. */
  score = 0;
  /** Channels whose prediction is not the model's but that of a candidate; bit i of the kinds: candidate i is among these. */
  rivalChannels = 0;
  rivalKinds = 0;

  readonly #record = new WitnessRecord();

  /** Whether channel `channel` fired. */
  fired(channel: number): boolean {
    return ((this.firedMask[channel >> 3]! >> (channel & 7)) & 1) === 1;
  }

  /** Writes WITNESS_BYTES bytes at `offset`. Throws RangeError if they do not fit. */
  encode(target: DataView, offset: number): void {
    this.#record.write(this, target, offset);
  }

  /**
   * Becomes the record at `offset`. Throws WitnessError, and stays as it was, if that is damaged (magic, CRC) or
   * says something that no witness says; RangeError if it does not fit.
   */
  decode(source: DataView, offset: number): void {
    this.#record.read(source, offset, this);
  }

  /** For people and for MQTT: Q15 numbers as shares, channels by name if `names` has them, else by index. */
  toJson(names: readonly string[] = []): { [key: string]: Json } {
    return witnessJson(this, names);
  }
}
