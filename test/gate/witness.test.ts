import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32 } from '../../src/engine/crc32.ts';
import { hashLogits } from '../../src/gate/logits-hash.ts';
import type { GateReason, Trust } from '../../src/gate/packets.ts';
import { Witness } from '../../src/gate/witness.ts';
import type { WitnessKv } from '../../src/gate/witness-codes.ts';
import { WITNESS_BYTES, WitnessError } from '../../src/gate/witness-record.ts';
import { heapBytesPerCall, SEED } from './fixtures.ts';

const q15 = fc.integer({ min: 0, max: 32767 });
const byte = fc.integer({ min: 0, max: 255 });
const whole = fc.maxSafeNat();
const uint16 = fc.integer({ min: 0, max: 65535 });
const snapshot = (rules: number) =>
  fc.record({
    rule: fc.integer({ min: 0, max: rules }),
    goodSamples: uint16,
    ticks: uint16,
    doublings: fc.integer({ min: 0, max: 6 }),
    fell: fc.constantFrom(0, 1),
  });
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });

/** Every field, as an independent list: a field that is forgotten in encode or decode is missed here by toEqual. */
const fields = fc.record({
  sequence: whole,
  timeMs: fc.double({ noNaN: true }),
  channels: fc.integer({ min: 0, max: 64 }),
  firedMask: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  firedCount: fc.integer({ min: 0, max: 64 }),
  rateQ15: q15,
  noveltyQ15: q15,
  ready: fc.boolean(),
  lambdaQ15: q15,
  lambdaFloorQ15: q15,
  isExact: fc.boolean(),
  lambdaPreviousQ15: q15,
  lambdaReferenceQ15: q15,
  boundaryEdges: fc.integer({ min: 0, max: 1024 }),
  boundaryConcentrationQ15: q15,
  partitionCount: fc.integer({ min: 0, max: 64 }),
  agreementQ15: q15,
  driftUpQ8: uint16,
  driftDownQ8: uint16,
  noveltyTypicalQ15: q15,
  rateTypicalQ15: q15,
  regretQ15: q15,
  doubtQ15: q15,
  model: fc.integer({ min: 0, max: 2 ** 24 - 1 }),
  policyHash: uint32,
  trustBefore: snapshot(8),
  computeBefore: snapshot(7),
  tier: fc.constantFrom(0, 1, 2, 3),
  trust: fc.constantFrom<Trust>('allow', 'reduceScope', 'flushKv', 'freezeWrites', 'quarantine'),
  reason: fc.constantFrom<GateReason>(
    'none',
    'noSpike',
    'spikeStorm',
    'lambdaBelowMin',
    'lambdaDroppedFast',
    'boundarySpike',
    'boundaryConcentrationSpike',
    'partitionDrift',
    'novelty',
    'forcedByFlag',
    'coherenceDrift',
    'spikeBurst',
    'regret',
  ),
  kv: fc.constantFrom<WitnessKv>('none', 'write', 'freeze', 'flush'),
  layers: byte,
  macs: whole,
  macsDense: whole,
  kvReads: uint32,
  kvWrites: uint32,
  elapsedIntervals: fc.double({ noNaN: true }),
  held: fc.boolean(),
  logitsHash: uint32,
  topIndex: fc.integer({ min: -1, max: 8192 }),
  score: fc.double(),
  rivalKinds: fc.integer({ min: 0, max: 15 }),
  rivalChannels: fc.integer({ min: 0, max: 64 }),
});

function witnessOf(values: object): Witness {
  const witness = new Witness();
  const { firedMask, ...rest } = values as { firedMask: Uint8Array };
  Object.assign(witness, rest);
  witness.firedMask.set(firedMask);
  return witness;
}

const fieldsOf = (witness: Witness) => Object.fromEntries(Object.entries(witness));

function encoded(witness: Witness): DataView {
  const view = new DataView(new ArrayBuffer(WITNESS_BYTES));
  witness.encode(view, 0);
  return view;
}

describe('Witness', () => {
  it('has exactly the fields of this test', () => {
    const [values] = fc.sample(fields, { numRuns: 1, seed: SEED });
    expect(Object.keys(new Witness()).sort()).toEqual(Object.keys(values!).sort());
  });

  it('decodes to what was encoded, and touches nothing around it', () => {
    fc.assert(
      fc.property(fields, fc.nat(40), (values, offset) => {
        const view = new DataView(new ArrayBuffer(WITNESS_BYTES + 50));
        new Uint8Array(view.buffer).fill(0xaa);
        witnessOf(values).encode(view, offset);
        const around = [...new Uint8Array(view.buffer)].filter(
          (_, at) => at < offset || at >= offset + WITNESS_BYTES,
        );
        expect(around.every((value) => value === 0xaa)).toBe(true);
        const decoded = new Witness();
        decoded.decode(view, offset);
        expect(fieldsOf(decoded)).toEqual(values);
      }),
      { seed: SEED },
    );
  });

  it('refuses every single flipped bit, and stays as it was', () => {
    const [values] = fc.sample(fields, { numRuns: 1, seed: SEED });
    const view = encoded(witnessOf(values!));
    const witness = new Witness();
    for (let bit = 0; bit < WITNESS_BYTES * 8; bit++) {
      view.setUint8(bit >> 3, view.getUint8(bit >> 3) ^ (1 << (bit & 7)));
      expect(() => witness.decode(view, 0)).toThrow(WitnessError);
      view.setUint8(bit >> 3, view.getUint8(bit >> 3) ^ (1 << (bit & 7)));
    }
    expect(fieldsOf(witness)).toEqual(fieldsOf(new Witness()));
  });

  it.each([
    ['magic', 0, 0x20, /magic: expected 0x32574d44, got 0x32574d20/],
    ['channels', 4, 65, /channels: expected at most 64, got 65/],
    ['flags', 5, 8, /flags: expected at most 7, got 8/],
    ['a Q15 number', 37, 0x80, /Q15 number: expected at most 32767, got 32768/],
    ['sequence', 15, 0x80, /whole number: expected at most/],
    ['tier', 48, 4, /tier: expected at most 3, got 4/],
    ['trust', 49, 5, /trust: expected at most 4, got 5/],
    ['reason', 50, 14, /reason: expected at most 13, got 14/],
    ['rule', 120, 9, /rule of trust before: expected at most 8, got 9/],
    ['doubling', 127, 7 + 128, /doublings of compute before: expected at most 6, got 7/],
    ['kv', 51, 5, /kv: expected at most 4, got 5/],
  ])('refuses a wrong %s even with a right checksum', (_, at, value, message) => {
    const view = encoded(new Witness());
    view.setUint8(at, value);
    view.setUint32(WITNESS_BYTES - 4, crc32(new Uint8Array(view.buffer, 0, WITNESS_BYTES - 4)), true);
    expect(() => new Witness().decode(view, 0)).toThrow(message);
  });

  it.each([-1, 1, 1000])('refuses an offset of %i in a view with no room for it', (offset) => {
    const view = encoded(new Witness());
    expect(() => new Witness().encode(view, offset)).toThrow(RangeError);
    expect(() => new Witness().decode(view, offset)).toThrow(/witness: expected 140 bytes at/);
  });

  it('keeps its layout: a golden record', () => {
    const witness = witnessOf({
      sequence: 2 ** 33 + 5,
      timeMs: 1_700_000_000_000,
      channels: 5,
      firedMask: Uint8Array.of(0b10010),
      firedCount: 2,
      rateQ15: 1,
      noveltyQ15: 2,
      ready: true,
      lambdaQ15: 3,
      lambdaPreviousQ15: 4,
      lambdaReferenceQ15: 5,
      boundaryEdges: 6,
      boundaryConcentrationQ15: 7,
      partitionCount: 8,
      lambdaFloorQ15: 14,
      isExact: true,
      agreementQ15: 15,
      driftUpQ8: 16,
      driftDownQ8: 17,
      noveltyTypicalQ15: 18,
      rateTypicalQ15: 19,
      regretQ15: 20,
      doubtQ15: 21,
      policyHash: 0xcafe0123,
      trustBefore: { rule: 2, goodSamples: 3, ticks: 0x0405, doublings: 6, fell: 1 },
      computeBefore: { rule: 1, goodSamples: 0, ticks: 7, doublings: 0, fell: 0 },
      tier: 1,
      trust: 'flushKv',
      reason: 'lambdaDroppedFast',
      kv: 'flush',
      layers: 9,
      macs: 10,
      macsDense: 11,
      kvReads: 12,
      kvWrites: 13,
      elapsedIntervals: 1.5,
      held: true,
      logitsHash: 0xdeadbeef,
      topIndex: -1,
      score: 0.25,
      rivalKinds: 6,
      rivalChannels: 3,
    });
    const time = Buffer.alloc(8);
    time.writeDoubleLE(1_700_000_000_000);
    const body =
      '444d5732' +
      '05070208' +
      '0500000002000000' +
      time.toString('hex') +
      '1200000000000000' +
      '0100' +
      '0200' +
      '0300' +
      '0400' +
      '0500' +
      '0600' +
      '0700' +
      '0e00' +
      '01020303' +
      '09000000' +
      '0a00000000000000' +
      '0b00000000000000' +
      '0c000000' +
      '0d000000' +
      '000000000000f83f' +
      'efbeadde' +
      'ffffffff' +
      '000000000000d03f' +
      '1200' +
      '1300' +
      '1400' +
      '1500' +
      '0f00' +
      '1000' +
      '1100' +
      '0603' +
      '028603000504' +
      '010000000700' +
      '2301feca';
    const hex = Buffer.from(encoded(witness).buffer).toString('hex');
    expect(hex.slice(0, -8)).toBe(body);
    expect(encoded(witness).getUint32(136, true)).toBe(crc32(Buffer.from(body, 'hex')));
  });

  it('reads well as JSON', () => {
    const witness = witnessOf({
      sequence: 7,
      channels: 3,
      firedMask: Uint8Array.of(0b101),
      rateQ15: 16384,
      ready: true,
      lambdaQ15: 32767,
      tier: 0,
      trust: 'allow',
      reason: 'none',
      kv: 'write',
      logitsHash: 0xab,
      topIndex: 1,
      score: 0.75,
    });
    const json = JSON.parse(JSON.stringify(witness.toJson(['light', 'co2'])));
    expect(json).toMatchObject({
      sequence: 7,
      seen: { fired: ['light', 2], rate: 0.5, lambda: 1 },
      decided: { tier: 0, trust: 'allow', reason: 'none', kv: 'write' },
      produced: { held: false, logitsHash: '000000ab', topIndex: 1, score: 0.75 },
    });
    expect(json.produced.rivals).toBeUndefined();
    Object.assign(witness, { rivalKinds: 0b1010, rivalChannels: 2 });
    expect(witness.toJson()).toMatchObject({
      produced: { rivals: { channels: 2, by: ['hold', 'average'] } },
    });
    witness.ready = false;
    witness.score = Number.NaN;
    expect(witness.toJson()).toMatchObject({
      seen: { fired: [0, 2], lambda: null },
      produced: { score: null },
    });
  });

  it('allocates no more than the number of a checksum to encode', () => {
    const witness = new Witness();
    const view = encoded(witness);
    const bytes = heapBytesPerCall((tick) => {
      witness.sequence = tick;
      witness.timeMs = tick * 0.1;
      witness.encode(view, 0);
    });
    expect(bytes).toBeLessThanOrEqual(16);
  });
});

describe('hashLogits', () => {
  it('is FNV-1a of the little-endian bytes', () => {
    expect(hashLogits(new Int32Array(0)) >>> 0).toBe(0x811c9dc5);
    // FNV-1a 32 of "foobar" is 0xbf9cf968, of "a" 0xe40c292c (the authors' vectors); four bytes make one number.
    const ofBytes = (text: string) =>
      [...Buffer.from(text)].reduce((hash, value) => Math.imul(hash ^ value, 0x01000193) >>> 0, 0x811c9dc5);
    expect([ofBytes('foobar'), ofBytes('a')]).toEqual([0xbf9cf968, 0xe40c292c]);
    expect(hashLogits(Int32Array.of(Buffer.from('foob').readInt32LE())) >>> 0).toBe(ofBytes('foob'));
    expect(hashLogits(Int32Array.of(-1, 1)) >>> 0).toBe(ofBytesRaw([255, 255, 255, 255, 1, 0, 0, 0]));
  });
});

function ofBytesRaw(bytes: number[]): number {
  return bytes.reduce((hash, value) => Math.imul(hash ^ value, 0x01000193) >>> 0, 0x811c9dc5);
}
