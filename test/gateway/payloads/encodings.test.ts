import { encode } from 'cborg';
import { describe, expect, test } from 'vitest';
import { Ears } from './helpers.ts';

describe('CSV', () => {
  test('columns by number and by name', () => {
    const channels = { t: { preset: 'csv', topic: 'x', value: 2, separator: ';' } };
    const ears = new Ears({ channels }, { t: 'Celsius' });
    expect(ears.hear('x', ' 1 ; 21.5 ;ON\n')).toBe(true);
    expect(ears.last.t).toBe(21.5);
    const source = { preset: 'csv', topic: 'x', columns: ['time', 't', 'h'] };
    const named = new Ears({ source }, { t: 'Celsius', h: '%' });
    named.hear('x', '99,"20.5",,');
    expect(named.last).toEqual({ t: 20.5, h: Number.NaN });
    named.hear('x', '99,20.6');
    expect(named.counts).toEqual({ null: 1, missingKey: 1 });
  });
});

describe('binary', () => {
  const bytes = Buffer.alloc(16);
  bytes.writeInt16LE(-2150, 0);
  bytes.writeUInt32BE(4_000_000_000, 2);
  bytes.writeFloatLE(0.5, 6);
  bytes.writeUInt8(7, 10);
  test('numbers at their places, scaled', () => {
    const at = (value: string, more = {}) => ({ preset: 'binary', topic: 'x', value, ...more });
    const channels = {
      t: at('int16le@0', { scale: 0.01, offset: 1 }),
      n: at('uint32be@2'),
      f: at('float32le@6', { unit: 'share' }),
      u: at('uint8@10'),
    };
    const ears = new Ears({ channels }, { t: 'Celsius', n: '1', f: '%', u: '1' });
    ears.hear('x', bytes);
    expect(ears.last).toEqual({ t: -20.5, n: 4_000_000_000, f: 50, u: 7 });
    ears.hear('x', bytes.subarray(0, 5));
    expect(ears.counts).toEqual({ tooShort: 3 });
  });

  test('reads as Node writes, for every type', async () => {
    const { binaryTypes, readBinary } = await import('../../../src/gateway/payloads/binary.ts');
    const writers: Record<string, (buffer: Buffer) => void> = {
      int8: (b) => b.writeInt8(-5, 3),
      uint8: (b) => b.writeUInt8(250, 3),
      int64le: (b) => b.writeBigInt64LE(-5n, 3),
      int64be: (b) => b.writeBigInt64BE(-5n, 3),
      uint64le: (b) => b.writeBigUInt64LE(250n, 3),
      uint64be: (b) => b.writeBigUInt64BE(250n, 3),
      float32le: (b) => b.writeFloatLE(-5, 3),
      float32be: (b) => b.writeFloatBE(-5, 3),
      float64le: (b) => b.writeDoubleLE(-5, 3),
      float64be: (b) => b.writeDoubleBE(-5, 3),
      int16le: (b) => b.writeInt16LE(-5, 3),
      int16be: (b) => b.writeInt16BE(-5, 3),
      uint16le: (b) => b.writeUInt16LE(250, 3),
      uint16be: (b) => b.writeUInt16BE(250, 3),
      int32le: (b) => b.writeInt32LE(-5, 3),
      int32be: (b) => b.writeInt32BE(-5, 3),
      uint32le: (b) => b.writeUInt32LE(250, 3),
      uint32be: (b) => b.writeUInt32BE(250, 3),
    };
    expect(Object.keys(writers).sort()).toEqual([...binaryTypes].sort());
    for (const type of binaryTypes) {
      const buffer = Buffer.alloc(12, 0x5a);
      writers[type]!(buffer);
      const expected = type.startsWith('u') ? 250 : -5;
      expect(readBinary({ kind: 'binary', type, offset: 3 }, buffer), type).toBe(expected);
    }
  });
});

describe('CBOR', () => {
  test('paths as in JSON', () => {
    const channels = {
      t: { preset: 'cbor', topic: 'x', value: 'a.b[1]' },
      ok: { preset: 'cbor', topic: 'x' },
    };
    const ears = new Ears({ channels }, { t: 'Celsius', ok: '1' });
    ears.hear('x', encode({ a: { b: [1, 21.5] }, ok: true }));
    expect(ears.last).toEqual({ t: 21.5, ok: 1 });
    ears.hear('x', encode({ a: { b: [1, null] }, ok: 2n ** 60n }));
    expect(ears.last).toEqual({ t: Number.NaN, ok: 2 ** 60 });
  });

  test.each([
    ['no CBOR', Buffer.from('{"ok":1}'), 'notCbor'],
    ['an unknown tag', Buffer.from('d864a1626f6b01', 'hex'), 'notCbor'],
    ['a list of 2^32 - 1 items', Buffer.from('9affffffff00', 'hex'), 'notCbor'],
    ['bytes that are not there', Buffer.from('5bffffffffffffffff', 'hex'), 'notCbor'],
    ['60,000 lists in each other', Buffer.alloc(60_000, 0x81), 'tooDeep'],
    ['60,000 tags in each other', Buffer.alloc(60_000, 0xc0), 'tooDeep'],
  ])('%s', (_, payload, kind) => {
    const ears = new Ears({ channels: { ok: { preset: 'cbor', topic: 'x' } } }, { ok: '1' });
    expect(ears.hear('x', payload)).toBe(false);
    expect(ears.counts).toEqual({ [kind]: 1 });
  });

  test('the self-description tag is read through', () => {
    const ears = new Ears({ channels: { ok: { preset: 'cbor', topic: 'x' } } }, { ok: '1' });
    ears.hear('x', Buffer.from('d9d9f7a1626f6b05', 'hex'));
    expect(ears.last.ok).toBe(5);
  });

  test('depth is that of lists and maps, however they are encoded', () => {
    const limits = { payloadBytes: 1000, jsonDepth: 3 };
    const hear = (hex: string) => {
      const ears = new Ears({ channels: { ok: { preset: 'cbor', topic: 'x' } } }, { ok: '1' }, limits);
      ears.hear('x', Buffer.from(hex, 'hex'));
      return ears.counts;
    };
    expect(hear('a2616182800081808081626f6b01')).not.toMatchObject({ tooDeep: 1 });
    expect(hear('bf616181818080626f6b01ff')).toMatchObject({ tooDeep: 1 });
    expect(hear('a2616101616281818101')).toMatchObject({ tooDeep: 1 });
    expect(hear('bf61619f80ff626f6b01ff')).toEqual({});
  });
});

test('scale and offset come before the unit', () => {
  const ears = new Ears({ channels: { a: { topic: 'x', scale: 2, offset: 1, unit: 'share' } } }, { a: '%' });
  ears.hear('x', { a: 0.25 });
  expect(ears.last.a).toBe(150);
});

test('what is beyond all numbers after its conversion is unknown', () => {
  const ears = new Ears({ channels: { a: { topic: 'x', scale: 1e12 } } }, { a: '' });
  ears.hear('x', { a: 1e300 });
  expect(ears.last.a).toBeNaN();
  expect(ears.counts).toEqual({ notANumber: 1 });
});

describe('what words mean', () => {
  test('is said by the config', () => {
    const channels = { door: { topic: 'x', states: { open: 1, closed: 0, ajar: 0.5 } } };
    const ears = new Ears({ channels }, { door: '1' });
    for (const [word, value] of [
      ['Open', 1],
      ['closed', 0],
      ['ajar', 0.5],
      ['ON', 1],
    ] as const) {
      ears.hear('x', { door: word });
      expect(ears.last.door).toBe(value);
    }
    ears.hear('x', { door: 'jammed' });
    ears.hear('x', { door: '__proto__' });
    expect(ears.counts).toEqual({ wrongType: 2 });
  });
});
