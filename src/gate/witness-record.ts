/** The bytes of a witness: a fixed-size record, with a checksum. */
import type { Tier } from '../engine/config.ts';
import { crc32 } from '../engine/crc32.ts';
import { assert } from '../engine/limits.ts';
import { CANDIDATES } from './candidates.ts';
import { DWELL_DOUBLINGS_MAX, type LevelSnapshot } from './level-state.ts';
import { CHANNELS_MAX, Q15_ONE } from './packets.ts';
import { NO_COMPUTE_RULE, NO_TRUST_RULE } from './rules.ts';
import type { Witness } from './witness.ts';
import { kvModes, reasons, trusts } from './witness-codes.ts';

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

/** One record in memory, from which and to which others are copied. */
export class WitnessRecord {
  readonly #bytes = new Uint8Array(WITNESS_BYTES);
  readonly #body = this.#bytes.subarray(0, CRC_AT);
  readonly #view = new DataView(this.#bytes.buffer);

  /** Writes WITNESS_BYTES bytes at `offset`. Throws RangeError if they do not fit. */
  write(witness: Witness, target: DataView, offset: number): void {
    requireRoom(target, offset);
    this.#pack(witness);
    this.#view.setUint32(CRC_AT, crc32(this.#body), true);
    for (let at = 0; at < WITNESS_BYTES; at++) target.setUint8(offset + at, this.#bytes[at]!);
  }

  /** Throws WitnessError, and leaves `witness` as it is, if the record is none; RangeError if it does not fit. */
  read(source: DataView, offset: number, witness: Witness): void {
    requireRoom(source, offset);
    for (let at = 0; at < WITNESS_BYTES; at++) this.#bytes[at] = source.getUint8(offset + at);
    this.#check();
    this.#unpack(witness);
  }

  #pack(witness: Witness): void {
    const view = this.#view;
    this.#bytes.fill(0);
    view.setUint32(0, MAGIC, true);
    setByte(view, 4, witness.channels);
    const flags = (witness.ready ? FLAG_READY : 0) | (witness.held ? FLAG_HELD : 0);
    setByte(view, 5, flags | (witness.isExact ? FLAG_EXACT : 0));
    setByte(view, 6, witness.firedCount);
    setByte(view, 7, witness.partitionCount);
    setWhole(view, 8, witness.sequence);
    view.setFloat64(16, witness.timeMs, true);
    this.#bytes.set(witness.firedMask, 24);
    packPackets(view, witness);
    setByte(view, 48, witness.tier);
    setByte(view, 49, trusts.indexOf(witness.trust));
    setByte(view, 50, reasons.indexOf(witness.reason));
    setByte(view, 51, kvModes.indexOf(witness.kv));
    setByte(view, LAYERS_AT, witness.layers);
    setModel(view, witness.model);
    setWhole(view, 56, witness.macs);
    setWhole(view, 64, witness.macsDense);
    view.setUint32(72, witness.kvReads, true);
    view.setUint32(76, witness.kvWrites, true);
    view.setFloat64(80, witness.elapsedIntervals, true);
    view.setUint32(88, witness.logitsHash, true);
    view.setInt32(92, witness.topIndex, true);
    view.setFloat64(96, witness.score, true);
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

  #unpack(witness: Witness): void {
    const view = this.#view;
    witness.channels = view.getUint8(4);
    witness.ready = (view.getUint8(5) & FLAG_READY) !== 0;
    witness.held = (view.getUint8(5) & FLAG_HELD) !== 0;
    witness.isExact = (view.getUint8(5) & FLAG_EXACT) !== 0;
    witness.firedCount = view.getUint8(6);
    witness.partitionCount = view.getUint8(7);
    witness.sequence = getWhole(view, 8);
    witness.timeMs = view.getFloat64(16, true);
    for (let at = 0; at < witness.firedMask.length; at++) witness.firedMask[at] = view.getUint8(24 + at);
    unpackPackets(view, witness);
    witness.tier = view.getUint8(48) as Tier;
    witness.trust = trusts[view.getUint8(49)]!;
    witness.reason = reasons[view.getUint8(50)]!;
    witness.kv = kvModes[view.getUint8(51)]!;
    witness.layers = view.getUint8(LAYERS_AT);
    witness.model = view.getUint32(LAYERS_AT, true) >>> 8;
    witness.macs = getWhole(view, 56);
    witness.macsDense = getWhole(view, 64);
    witness.kvReads = view.getUint32(72, true);
    witness.kvWrites = view.getUint32(76, true);
    witness.elapsedIntervals = view.getFloat64(80, true);
    witness.logitsHash = view.getUint32(88, true);
    witness.topIndex = view.getInt32(92, true);
    witness.score = view.getFloat64(96, true);
  }
}

function packPackets(view: DataView, witness: Witness): void {
  setQ15(view, 32, witness.rateQ15);
  setQ15(view, 34, witness.noveltyQ15);
  setQ15(view, 36, witness.lambdaQ15);
  setQ15(view, 38, witness.lambdaPreviousQ15);
  setQ15(view, 40, witness.lambdaReferenceQ15);
  view.setUint16(42, witness.boundaryEdges, true);
  setQ15(view, 44, witness.boundaryConcentrationQ15);
  setQ15(view, 46, witness.lambdaFloorQ15);
  setQ15(view, 104, witness.noveltyTypicalQ15);
  setQ15(view, 106, witness.rateTypicalQ15);
  setQ15(view, 108, witness.regretQ15);
  setQ15(view, 110, witness.doubtQ15);
  setQ15(view, 112, witness.agreementQ15);
  view.setUint16(114, witness.driftUpQ8, true);
  view.setUint16(116, witness.driftDownQ8, true);
  setByte(view, RIVALS_AT, witness.rivalKinds);
  setByte(view, RIVALS_AT + 1, witness.rivalChannels);
  setSnapshot(view, TRUST_AT, witness.trustBefore);
  setSnapshot(view, COMPUTE_AT, witness.computeBefore);
  view.setUint32(132, witness.policyHash, true);
}

function unpackPackets(view: DataView, witness: Witness): void {
  witness.rateQ15 = view.getUint16(32, true);
  witness.noveltyQ15 = view.getUint16(34, true);
  witness.lambdaQ15 = view.getUint16(36, true);
  witness.lambdaPreviousQ15 = view.getUint16(38, true);
  witness.lambdaReferenceQ15 = view.getUint16(40, true);
  witness.boundaryEdges = view.getUint16(42, true);
  witness.boundaryConcentrationQ15 = view.getUint16(44, true);
  witness.lambdaFloorQ15 = view.getUint16(46, true);
  witness.noveltyTypicalQ15 = view.getUint16(104, true);
  witness.rateTypicalQ15 = view.getUint16(106, true);
  witness.regretQ15 = view.getUint16(108, true);
  witness.doubtQ15 = view.getUint16(110, true);
  witness.agreementQ15 = view.getUint16(112, true);
  witness.driftUpQ8 = view.getUint16(114, true);
  witness.driftDownQ8 = view.getUint16(116, true);
  witness.rivalKinds = view.getUint8(RIVALS_AT);
  witness.rivalChannels = view.getUint8(RIVALS_AT + 1);
  getSnapshot(view, TRUST_AT, witness.trustBefore);
  getSnapshot(view, COMPUTE_AT, witness.computeBefore);
  witness.policyHash = view.getUint32(132, true);
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
