/** Our reading and writing against sparkplug-payload, which others use. */
import fc from 'fast-check';
import { get } from 'sparkplug-payload';
import { describe, expect, test } from 'vitest';
import {
  dataTypes,
  decodeSparkplug,
  encodeSparkplug,
  readingOf,
} from '../../../src/gateway/sparkplug/payload.ts';

const oracle = get('spBv1.0')!;

describe('reads what sparkplug-payload writes', () => {
  test.each([
    ['Int8', -5],
    ['Int16', -30_000],
    ['Int32', -2_000_000_000],
    ['Int64', -5_000_000_000],
    ['UInt8', 250],
    ['UInt16', 65_000],
    ['UInt32', 4_000_000_000],
    ['UInt64', 5_000_000_000],
    ['Float', 0.5],
    ['Double', -0.1],
    ['Boolean', true],
    ['Boolean', false],
    ['String', '21.5'],
    ['Text', 'ä'],
    ['UUID', '123e4567-e89b-12d3-a456-426614174000'],
    ['DateTime', 1_700_000_000_000],
  ] as const)('%s %s', (type, value) => {
    const bytes = oracle.encodePayload({
      timestamp: 1_700_000_000_000,
      seq: 7,
      metrics: [{ name: 'a/b', alias: 300, timestamp: 1_699_999_999_999, type, value }],
    } as never);
    const { metrics, ...payload } = decodeSparkplug(bytes);
    expect(payload).toEqual({ timestampMs: 1_700_000_000_000, seq: 7 });
    const [metric] = metrics;
    expect(metric).toMatchObject({ name: 'a/b', alias: 300, timestampMs: 1_699_999_999_999 });
    expect(readingOf(metric!)).toBe(value);
    // Data need not repeat the type; the birth has told it.
    const { dataType, ...untyped } = metric!;
    expect(readingOf(untyped, dataType)).toBe(value);
  });

  test('null, history, and types that are no readings', () => {
    const bytes = oracle.encodePayload({
      timestamp: 1,
      metrics: [
        { name: 'null', type: 'Double', value: null, isNull: true },
        { name: 'old', type: 'Double', value: 1, isHistorical: true },
        { name: 'bytes', type: 'Bytes', value: Uint8Array.of(1, 2) },
        {
          name: 'set',
          type: 'DataSet',
          value: { numOfColumns: 1, types: ['Int32'], columns: ['a'], rows: [[1]] },
        },
      ],
    } as never);
    const [none, old, raw, set] = decodeSparkplug(bytes).metrics;
    expect(readingOf(none!)).toBeNull();
    expect(old!.isHistorical).toBe(true);
    expect([readingOf(raw!), readingOf(set!)]).toEqual([undefined, undefined]);
  });
});

test('sparkplug-payload reads what we write', () => {
  const metrics = [
    { name: 'bdSeq', timestampMs: 5, dataType: dataTypes.int64, value: 255n },
    { name: 'flag', alias: 1, dataType: dataTypes.boolean, value: false },
    { name: 'score', alias: 2, dataType: dataTypes.double, value: -0.1 },
    { name: 'class', alias: 3, dataType: dataTypes.string, value: 'empty' },
    { name: 'none', alias: 4, dataType: dataTypes.double, isNull: true },
  ];
  const decoded = oracle.decodePayload(encodeSparkplug({ timestampMs: 1_700_000_000_000, seq: 0, metrics }));
  expect(Number(decoded.timestamp)).toBe(1_700_000_000_000);
  expect(Number(decoded.seq)).toBe(0);
  expect(
    decoded.metrics!.map(({ name, type, value }) => [
      name,
      type,
      typeof value === 'object' && value !== null ? Number(value) : value,
    ]),
  ).toEqual([
    ['bdSeq', 'Int64', 255],
    ['flag', 'Boolean', false],
    ['score', 'Double', -0.1],
    ['class', 'String', 'empty'],
    ['none', 'Double', null],
  ]);
  expect(decoded.metrics!.map(({ alias }) => (alias === undefined ? undefined : Number(alias)))).toEqual([
    undefined,
    1,
    2,
    3,
    4,
  ]);
});

test('both read any numbers alike', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ noNaN: true })), fc.nat(255), (values, seq) => {
      const metrics = values.map((value, alias) => ({ alias, dataType: dataTypes.double, value }));
      const bytes = encodeSparkplug({ timestampMs: 1, seq, metrics });
      expect(decodeSparkplug(bytes)).toEqual({ timestampMs: 1, seq, metrics });
      expect((oracle.decodePayload(bytes).metrics ?? []).map(({ value }) => value)).toEqual(values);
    }),
    { seed: 4, numRuns: 200 },
  );
});
