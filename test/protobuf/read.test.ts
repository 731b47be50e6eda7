import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ProtobufError, readFields, type WireValue } from '../../src/protobuf/read.ts';
import { ProtobufMessage } from '../../src/protobuf/write.ts';

function fieldsOf(bytes: Uint8Array): [number, WireValue][] {
  const fields: [number, WireValue][] = [];
  readFields(bytes, (field, value) => fields.push([field, value]));
  return fields;
}

test('reads what was written, in order', () => {
  const message = new ProtobufMessage()
    .integer(1, 300)
    .integer(2, -1)
    .float(3, 0.5)
    .double(4, -0.1)
    .bytes(5, 'text')
    .bytes(16, new ProtobufMessage().integer(1, 2n ** 64n - 1n));
  const fields = fieldsOf(message.finish());
  expect(fields.map(([field]) => field)).toEqual([1, 2, 3, 4, 5, 16]);
  expect(fields[0]![1]).toBe(300n);
  expect(fields[1]![1]).toBe(2n ** 64n - 1n);
  const view = (value: WireValue) => {
    const bytes = value as Uint8Array;
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  };
  expect(view(fields[2]![1]).getFloat32(0, true)).toBe(0.5);
  expect(view(fields[3]![1]).getFloat64(0, true)).toBe(-0.1);
  expect(Buffer.from(fields[4]![1] as Uint8Array).toString()).toBe('text');
  expect(fieldsOf(fields[5]![1] as Uint8Array)).toEqual([[1, 2n ** 64n - 1n]]);
});

describe('refuses', () => {
  test.each([
    ['a varint that is cut', '0880', /varint, got the end/],
    ['a varint without an end', `08${'ff'.repeat(11)}`, /at most 10 bytes/],
    ['a field that is cut', '0a05ab', /expected 5 bytes, got 1/],
    ['a length beyond everything', '0affffffffffffffffff01', /expected \d+ bytes, got 0/],
    ['a group', '0b', /wire type/],
    ['a double that is cut', '09000000', /expected 8 bytes, got 3/],
  ])('%s', (_, hex, message) => {
    expect(() => fieldsOf(Buffer.from(hex, 'hex'))).toThrow(message);
    expect(() => fieldsOf(Buffer.from(hex, 'hex'))).toThrow(ProtobufError);
  });

  test('nothing else, and never with another error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        try {
          fieldsOf(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(ProtobufError);
        }
      }),
      { seed: 3, numRuns: 2000 },
    );
  });
});
