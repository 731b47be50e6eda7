import { crc32 as zlibCrc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { crc32 } from '../../src/engine/crc32.ts';

const text = new TextEncoder().encode('123456789');

test('gives the published check value', () => {
  expect(crc32(text)).toBe(0xcbf43926);
  expect(crc32(new Uint8Array(0))).toBe(0);
});

test('continues from a seed', () => {
  expect(crc32(text.subarray(4), crc32(text.subarray(0, 4)))).toBe(0xcbf43926);
});

test.skipIf(zlibCrc32 === undefined)('equals zlib', () => {
  const bytes = Uint8Array.from({ length: 200_003 }, (_, i) => (i * 7919) >> 3);
  expect(crc32(bytes)).toBe(zlibCrc32(bytes));
});
