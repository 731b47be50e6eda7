/** What was seen, decided, done and produced at one tick: the evidence for an output, in a fixed-size record. */
import type { Tier } from '../engine/config.ts';
import { crc32 } from '../engine/crc32.ts';
import { assert } from '../engine/limits.ts';
import type { Json } from '../engine/model.ts';
import type { KvMode } from '../engine/plan.ts';
import { CANDIDATES, candidateNames } from './candidates.ts';
import { DWELL_DOUBLINGS_MAX, type LevelSnapshot, makeLevelSnapshot } from './level-state.ts';
import { CHANNELS_MAX, type GateReason, Q15_ONE, type Trust } from './packets.ts';
import { NO_COMPUTE_RULE, NO_TRUST_RULE } from './rules.ts';

/** Codes are positions in these lists: append, never reorder. */
export const trusts: readonly Trust[] = ['allow', 'reduceScope', 'flushKv', 'freezeWrites', 'quarantine'];
export const reasons: readonly GateReason[] = [
  'none',
  'noSpike',
  'lambdaBelowMin',
  'lambdaDroppedFast',
  'boundarySpike',
  'boundaryConcentrationSpike',
  'partitionDrift',
  'spikeStorm',
  'novelty',
  'forcedByFlag',
  'coherenceDrift',
  'spikeBurst',
  'regret',
];
const kvModes: readonly WitnessKv[] = ['none', 'write', 'freeze', 'flush', 'quarantine'];

/** What happened to keys and values; `none` at a skipped tick. */
export type WitnessKv = KvMode | 'none';

/** "DMW2", little endian. Version 1 had no state and no demand: nobody could say from it why a tier was chosen. */
const MAGIC = 0x32574d44;
const FLAG_READY = 1;
const FLAG_HELD = 2;
const FLAG_EXACT = 4;
const FLAGS_ALL = FLAG_READY | FLAG_HELD | FLAG_EXACT;
const FELL = 128;
const RIVALS_ALL = (1 << CANDIDATES) - 1;

/**
 * Bytes of a record. Little endian; u64 holds whole numbers up to 2^53 - 1:
 *
 *   0 u32 magic "DMW2"        40 u16 lambda reference    92 i32 top index
 *   4 u8  channels            42 u16 boundary edges      96 f64 score
 *   5 u8  flags: 1 gate       44 u16 concentration      104 u16 typical novelty
 *         ready, 2 held,      46 u16 lambda floor       106 u16 typical rate
 *         4 lambda exact      48 u8  tier               108 u16 regret
 *   6 u8  fired count         49 u8  trust              110 u16 doubt
 *   7 u8  partition count     50 u8  reason             112 u16 agreement
 *   8 u64 sequence            51 u8  kv                 114 u16 drift up
 *  16 f64 time, ms            52 u8  layers             116 u16 drift down
 *  24 u8[8] fired mask,       53 u24 model              118 u8  rivals
 *     bit c % 8 of byte       56 u64 macs               120 u8[6] trust before
 *     c / 8 is channel c      64 u64 macsDense          126 u8[6] compute before
 *  32 u16 rate                72 u32 kvReads            132 u32 hash of the policy
 *  34 u16 novelty             76 u32 kvWrites           136 u32 CRC-32 of bytes 0 to 135
 *  36 u16 lambda              80 f64 elapsed intervals
 *  38 u16 previous lambda     88 u32 hash of the logits
 *
 * 119 u8: channels that something else than the model predicts; rivals: bit i if candidate i > 0 does so for any.
 * A state before: u8 rule, u8 doublings + 128 if it fell, u16 good samples, u16 ticks. Model: the first 24
 * bits of its file's SHA-256; 0, which older records have too: not told.
 */
export const WITNESS_BYTES = 140;
const CRC_AT = WITNESS_BYTES - 4;
const q15Offsets = [32, 34, 36, 38, 40, 44, 46, 104, 106, 108, 110, 112];
const wholeOffsets = [8, 56, 64];
const LAYERS_AT = 52;
const RIVALS_AT = 118;
const TRUST_AT = 120;
const COMPUTE_AT = 126;

/** A record that is not a whole, undamaged witness. The message says what was expected and what was got. */
export class WitnessError extends Error {
  override readonly name = 'WitnessError';
}

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

  readonly #record = new Uint8Array(WITNESS_BYTES);
  readonly #body = this.#record.subarray(0, CRC_AT);
  readonly #view = new DataView(this.#record.buffer);

  /** Whether channel `channel` fired. */
  fired(channel: number): boolean {
    return ((this.firedMask[channel >> 3]! >> (channel & 7)) & 1) === 1;
  }

  /** Writes WITNESS_BYTES bytes at `offset`. Throws RangeError if they do not fit. */
  encode(target: DataView, offset: number): void {
    requireRoom(target, offset);
    this.#pack();
    this.#view.setUint32(CRC_AT, crc32(this.#body), true);
    for (let at = 0; at < WITNESS_BYTES; at++) target.setUint8(offset + at, this.#record[at]!);
  }

  #pack(): void {
    const view = this.#view;
    this.#record.fill(0);
    view.setUint32(0, MAGIC, true);
    setByte(view, 4, this.channels);
    const flags = (this.ready ? FLAG_READY : 0) | (this.held ? FLAG_HELD : 0);
    setByte(view, 5, flags | (this.isExact ? FLAG_EXACT : 0));
    setByte(view, 6, this.firedCount);
    setByte(view, 7, this.partitionCount);
    setWhole(view, 8, this.sequence);
    view.setFloat64(16, this.timeMs, true);
    this.#record.set(this.firedMask, 24);
    this.#packPackets(view);
    setByte(view, 48, this.tier);
    setByte(view, 49, trusts.indexOf(this.trust));
    setByte(view, 50, reasons.indexOf(this.reason));
    setByte(view, 51, kvModes.indexOf(this.kv));
    setByte(view, LAYERS_AT, this.layers);
    setModel(view, this.model);
    setWhole(view, 56, this.macs);
    setWhole(view, 64, this.macsDense);
    view.setUint32(72, this.kvReads, true);
    view.setUint32(76, this.kvWrites, true);
    view.setFloat64(80, this.elapsedIntervals, true);
    view.setUint32(88, this.logitsHash, true);
    view.setInt32(92, this.topIndex, true);
    view.setFloat64(96, this.score, true);
  }

  #packPackets(view: DataView): void {
    setQ15(view, 32, this.rateQ15);
    setQ15(view, 34, this.noveltyQ15);
    setQ15(view, 36, this.lambdaQ15);
    setQ15(view, 38, this.lambdaPreviousQ15);
    setQ15(view, 40, this.lambdaReferenceQ15);
    view.setUint16(42, this.boundaryEdges, true);
    setQ15(view, 44, this.boundaryConcentrationQ15);
    setQ15(view, 46, this.lambdaFloorQ15);
    setQ15(view, 104, this.noveltyTypicalQ15);
    setQ15(view, 106, this.rateTypicalQ15);
    setQ15(view, 108, this.regretQ15);
    setQ15(view, 110, this.doubtQ15);
    setQ15(view, 112, this.agreementQ15);
    view.setUint16(114, this.driftUpQ8, true);
    view.setUint16(116, this.driftDownQ8, true);
    setByte(view, RIVALS_AT, this.rivalKinds);
    setByte(view, RIVALS_AT + 1, this.rivalChannels);
    setSnapshot(view, TRUST_AT, this.trustBefore);
    setSnapshot(view, COMPUTE_AT, this.computeBefore);
    view.setUint32(132, this.policyHash, true);
  }

  /**
   * Becomes the record at `offset`. Throws WitnessError, and stays as it was, if that is damaged (magic, CRC) or
   * says something that no witness says; RangeError if it does not fit.
   */
  decode(source: DataView, offset: number): void {
    requireRoom(source, offset);
    for (let at = 0; at < WITNESS_BYTES; at++) this.#record[at] = source.getUint8(offset + at);
    this.#check();
    this.#unpack();
  }

  #check(): void {
    const view = this.#view;
    requireEqual('magic', MAGIC, view.getUint32(0, true));
    requireEqual('CRC-32', crc32(this.#body), view.getUint32(CRC_AT, true));
    requireAtMost('channels', CHANNELS_MAX, view.getUint8(4));
    requireAtMost('flags', FLAGS_ALL, view.getUint8(5));
    for (const at of q15Offsets) requireAtMost('Q15 number', Q15_ONE, view.getUint16(at, true));
    requireAtMost('tier', 3, view.getUint8(48));
    requireAtMost('trust', trusts.length - 1, view.getUint8(49));
    requireAtMost('reason', reasons.length - 1, view.getUint8(50));
    requireAtMost('kv', kvModes.length - 1, view.getUint8(51));
    requireAtMost('kinds of rivals', RIVALS_ALL, view.getUint8(RIVALS_AT));
    requireAtMost('channels of rivals', CHANNELS_MAX, view.getUint8(RIVALS_AT + 1));
    requireSnapshot('trust before', view, TRUST_AT, NO_TRUST_RULE);
    requireSnapshot('compute before', view, COMPUTE_AT, NO_COMPUTE_RULE);
    for (const at of wholeOffsets) requireAtMost('whole number', Number.MAX_SAFE_INTEGER, getWhole(view, at));
  }

  #unpack(): void {
    const view = this.#view;
    this.channels = view.getUint8(4);
    this.ready = (view.getUint8(5) & FLAG_READY) !== 0;
    this.held = (view.getUint8(5) & FLAG_HELD) !== 0;
    this.isExact = (view.getUint8(5) & FLAG_EXACT) !== 0;
    this.firedCount = view.getUint8(6);
    this.partitionCount = view.getUint8(7);
    this.sequence = getWhole(view, 8);
    this.timeMs = view.getFloat64(16, true);
    for (let at = 0; at < this.firedMask.length; at++) this.firedMask[at] = view.getUint8(24 + at);
    this.#unpackPackets(view);
    this.tier = view.getUint8(48) as Tier;
    this.trust = trusts[view.getUint8(49)]!;
    this.reason = reasons[view.getUint8(50)]!;
    this.kv = kvModes[view.getUint8(51)]!;
    this.layers = view.getUint8(LAYERS_AT);
    this.model = view.getUint32(LAYERS_AT, true) >>> 8;
    this.macs = getWhole(view, 56);
    this.macsDense = getWhole(view, 64);
    this.kvReads = view.getUint32(72, true);
    this.kvWrites = view.getUint32(76, true);
    this.elapsedIntervals = view.getFloat64(80, true);
    this.logitsHash = view.getUint32(88, true);
    this.topIndex = view.getInt32(92, true);
    this.score = view.getFloat64(96, true);
  }

  #unpackPackets(view: DataView): void {
    this.rateQ15 = view.getUint16(32, true);
    this.noveltyQ15 = view.getUint16(34, true);
    this.lambdaQ15 = view.getUint16(36, true);
    this.lambdaPreviousQ15 = view.getUint16(38, true);
    this.lambdaReferenceQ15 = view.getUint16(40, true);
    this.boundaryEdges = view.getUint16(42, true);
    this.boundaryConcentrationQ15 = view.getUint16(44, true);
    this.lambdaFloorQ15 = view.getUint16(46, true);
    this.noveltyTypicalQ15 = view.getUint16(104, true);
    this.rateTypicalQ15 = view.getUint16(106, true);
    this.regretQ15 = view.getUint16(108, true);
    this.doubtQ15 = view.getUint16(110, true);
    this.agreementQ15 = view.getUint16(112, true);
    this.driftUpQ8 = view.getUint16(114, true);
    this.driftDownQ8 = view.getUint16(116, true);
    this.rivalKinds = view.getUint8(RIVALS_AT);
    this.rivalChannels = view.getUint8(RIVALS_AT + 1);
    getSnapshot(view, TRUST_AT, this.trustBefore);
    getSnapshot(view, COMPUTE_AT, this.computeBefore);
    this.policyHash = view.getUint32(132, true);
  }

  /** For people and for MQTT: Q15 numbers as shares, channels by name if `names` has them, else by index. */
  toJson(names: readonly string[] = []): { [key: string]: Json } {
    return {
      sequence: this.sequence,
      timeMs: this.timeMs,
      seen: {
        fired: this.#firedChannels(names),
        rate: fromQ15(this.rateQ15),
        novelty: fromQ15(this.noveltyQ15),
        lambda: this.ready ? fromQ15(this.lambdaQ15) : null,
        lambdaFloor: this.ready ? fromQ15(this.lambdaFloorQ15) : null,
        lambdaPrevious: this.ready ? fromQ15(this.lambdaPreviousQ15) : null,
        lambdaReference: this.ready ? fromQ15(this.lambdaReferenceQ15) : null,
        boundaryEdges: this.boundaryEdges,
        boundaryConcentration: fromQ15(this.boundaryConcentrationQ15),
        partitionCount: this.partitionCount,
        agreement: fromQ15(this.agreementQ15),
        drift: Math.round((100 * Math.max(this.driftUpQ8, this.driftDownQ8)) / 256) / 100,
        noveltyTypical: fromQ15(this.noveltyTypicalQ15),
        rateTypical: fromQ15(this.rateTypicalQ15),
        regret: fromQ15(this.regretQ15),
        doubt: fromQ15(this.doubtQ15),
      },
      ...(this.model === 0 ? {} : { model: modelText(this.model) }),
      decided: { tier: this.tier, trust: this.trust, reason: this.reason, kv: this.kv },
      done: {
        layers: this.layers,
        macs: this.macs,
        macsDense: this.macsDense,
        kvReads: this.kvReads,
        kvWrites: this.kvWrites,
        elapsedIntervals: this.elapsedIntervals,
      },
      produced: {
        held: this.held,
        logitsHash: this.logitsHash.toString(16).padStart(8, '0'),
        topIndex: this.topIndex,
        score: Number.isFinite(this.score) ? this.score : null,
        ...(this.rivalChannels === 0 ? {} : { rivals: this.#rivals() }),
      },
    };
  }

  #rivals(): { [key: string]: Json } {
    return { channels: this.rivalChannels, by: rivalNames(this.rivalKinds) };
  }

  #firedChannels(names: readonly string[]): (string | number)[] {
    const fired: (string | number)[] = [];
    for (let channel = 0; channel < this.channels; channel++) {
      if (this.fired(channel)) fired.push(names[channel] ?? channel);
    }
    return fired;
  }
}

/**
 * FNV-1a, 32 bits, over whole numbers as little-endian int32 (Fowler, Noll, Vo; RFC 9923). Signed: an unsigned number
 * beyond 2^31 would be allocated.
 */
export function hashLogits(logits: Int32Array): number {
  let hash = 0x811c9dc5 | 0;
  for (let index = 0; index < logits.length; index++) {
    for (let shift = 0; shift < 32; shift += 8) {
      hash = Math.imul(hash ^ ((logits[index]! >>> shift) & 0xff), 0x01000193);
    }
  }
  return hash;
}

/** Of the kinds of rivals that a witness has. */
export function rivalNames(kinds: number): string[] {
  return candidateNames.filter((_, i) => (kinds & (1 << i)) !== 0);
}

/** What a witness says of the model whose file has this SHA-256 (hexadecimal): its first 24 bits. */
export function modelTag(sha256: string): number {
  return Number.parseInt(sha256.slice(0, 6), 16);
}

/** A tag as the SHA-256 begins. */
export function modelText(tag: number): string {
  return tag.toString(16).padStart(6, '0');
}

function fromQ15(value: number): number {
  return Math.round((value / Q15_ONE) * 1e4) / 1e4;
}

function setByte(view: DataView, at: number, value: number): void {
  assert(value >= 0 && value <= 255, 'a witness byte');
  view.setUint8(at, value);
}

/** Beside the byte of the layers, which stays. */
function setModel(view: DataView, tag: number): void {
  assert(tag >= 0 && tag < 2 ** 24, 'the tag of a model');
  view.setUint32(LAYERS_AT, ((tag << 8) | view.getUint8(LAYERS_AT)) >>> 0, true);
}

function setQ15(view: DataView, at: number, value: number): void {
  assert(value >= 0 && value <= Q15_ONE, 'a Q15 number of a witness');
  view.setUint16(at, value, true);
}

/** Whether it is in range is checked by whoever reads it. */
function setSnapshot(view: DataView, at: number, snapshot: LevelSnapshot): void {
  setByte(view, at, snapshot.rule);
  setByte(view, at + 1, snapshot.doublings | (snapshot.fell === 1 ? FELL : 0));
  view.setUint16(at + 2, snapshot.goodSamples, true);
  view.setUint16(at + 4, snapshot.ticks, true);
}

function getSnapshot(view: DataView, at: number, snapshot: LevelSnapshot): void {
  snapshot.rule = view.getUint8(at);
  snapshot.doublings = view.getUint8(at + 1) & (FELL - 1);
  snapshot.fell = view.getUint8(at + 1) >= FELL ? 1 : 0;
  snapshot.goodSamples = view.getUint16(at + 2, true);
  snapshot.ticks = view.getUint16(at + 4, true);
}

function requireSnapshot(what: string, view: DataView, at: number, rules: number): void {
  requireAtMost(`rule of ${what}`, rules, view.getUint8(at));
  requireAtMost(`doublings of ${what}`, DWELL_DOUBLINGS_MAX, view.getUint8(at + 1) & (FELL - 1));
}

function setWhole(view: DataView, at: number, value: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, 'a whole number of a witness');
  view.setUint32(at, value >>> 0, true);
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
}

function getWhole(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

function requireRoom(view: DataView, offset: number): void {
  if (offset >= 0 && offset + WITNESS_BYTES <= view.byteLength) return;
  throw new RangeError(
    `witness: expected ${WITNESS_BYTES} bytes at ${offset}, the view has ${view.byteLength}`,
  );
}

function requireEqual(what: string, expected: number, got: number): void {
  if (got !== expected) throw new WitnessError(`${what}: expected ${hex(expected)}, got ${hex(got)}`);
}

function requireAtMost(what: string, max: number, got: number): void {
  if (got > max) throw new WitnessError(`${what}: expected at most ${max}, got ${got}`);
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
