/** What a hostile or broken sender would send, seeded. */
import { randomNumbers } from '../../engine/tiny-model.ts';

export class Fuzz {
  readonly random: () => number;

  constructor(seed: number) {
    this.random = randomNumbers(seed);
  }

  below(count: number): number {
    return Math.floor(this.random() * count);
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }

  /** Flips, cuts, doubles, inserts. */
  mutate(bytes: Buffer): Buffer {
    let result = Buffer.from(bytes);
    for (let left = 1 + this.below(4); left > 0; left--) {
      const at = this.below(result.length + 1);
      const change = this.below(5);
      if (change === 0 && at < result.length) result[at] = this.below(256);
      else if (change === 1) result = result.subarray(0, at) as Buffer<ArrayBuffer>;
      else if (change === 2) result = Buffer.concat([result.subarray(0, at), result]);
      else if (change === 3)
        result = Buffer.concat([result.subarray(0, at), this.bytes(this.below(6)), result.subarray(at)]);
      else
        result = Buffer.concat([result.subarray(0, at), Buffer.from(this.of(tokens)), result.subarray(at)]);
    }
    return result.subarray(0, 70_000) as Buffer<ArrayBuffer>;
  }
}

const tokens = [
  '__proto__',
  'constructor',
  'prototype',
  '"__proto__":{"polluted":1},',
  '../../../../etc/passwd',
  '\0',
  '\u001b[2J',
  '1e999',
  'NaN',
  '-0',
  'null',
  '[[[[[[[[[[[[[[[[[[[[',
  '{"a":{"a":{"a":',
  '9'.repeat(400),
  '"',
  '\\',
  '\\u0000',
  ';',
  ',',
  '\n',
  '🐭',
];

export const hostile: unknown[] = [
  '{"__proto__":{"polluted":1,"temperature":1}}',
  '{"constructor":{"prototype":{"polluted":1}}}',
  '{"temperature":{"__proto__":null}}',
  '['.repeat(60_000),
  `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`,
  '{"temperature":1e999}',
  `{"temperature":${'9'.repeat(5000)}}`,
  `{"temperature":"${'9'.repeat(60_000)}"}`,
  Buffer.alloc(60_000, 0x81),
  Buffer.alloc(60_000, 0x9f),
  Buffer.alloc(60_000, 0xff),
  Buffer.from('9bffffffffffffffff', 'hex'),
  Buffer.from('0affffffff0f', 'hex'),
  Buffer.alloc(70_000, 0x31),
  '',
  ';'.repeat(60_000),
];
