import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/cli/command.ts';
import { MemoryBound, parseBytes, privateBytes, privateBytesOf } from '../../src/cli/memory-bound.ts';

const mebi = 2 ** 20;

/** Checks a bound of 100 MiB against amounts in MiB: before and after garbage is collected. */
function watch(amounts: readonly (readonly [before: number, after: number])[]) {
  const told: string[] = [];
  let exceeded = 0;
  let now = 0;
  let collected = false;
  const bound = new MemoryBound({
    maxBytes: 100 * mebi,
    log: {
      info: (text) => told.push(text),
      warning: (text) => told.push(text),
      error: (text) => told.push(text),
    },
    onExceeded: () => exceeded++,
    measure: () => mebi * amounts[now]![collected ? 1 : 0],
    collect: () => {
      collected = true;
    },
  });
  for (now = 0; now < amounts.length; now++) {
    collected = false;
    bound.check();
  }
  return { told, exceeded };
}

describe('a bound on memory', () => {
  test('is silent below nine tenths, and about garbage', () => {
    expect(
      watch([
        [50, 50],
        [89, 89],
        [120, 60],
      ]),
    ).toEqual({ told: [], exceeded: 0 });
  });

  test('warns once near the bound, and again after it was well below', () => {
    const { told, exceeded } = watch([
      [95, 95],
      [96, 96],
      [95, 50],
      [95, 95],
    ]);
    expect(told).toEqual(Array(2).fill('95 MiB in use, of 100 allowed (--max-memory)'));
    expect(exceeded).toBe(0);
  });

  test('gives up once beyond it', () => {
    const { told, exceeded } = watch([
      [101, 101],
      [110, 110],
    ]);
    expect(told).toEqual(['101 MiB in use, of 100 allowed (--max-memory): stopping, to be started anew']);
    expect(exceeded).toBe(1);
  });
});

test.each([
  ['128M', 128 * mebi],
  ['1G', 1024 * mebi],
  ['2048K', 2 * mebi],
  ['1048576', mebi],
])('%s is a size', (text, bytes) => expect(parseBytes('max-memory', text)).toBe(bytes));

test.each(['', '1.5M', '-1M', '10', '128MB', 'M'])("'%s' is none", (text) => {
  expect(() => parseBytes('max-memory', text)).toThrow(UsageError);
});

test('pages of files are not private', () => {
  const status =
    'VmRSS:\t  118100 kB\nRssAnon:\t   35780 kB\nRssFile:\t   82320 kB\nRssShmem:\t       4 kB\n';
  expect(privateBytesOf(status)).toBe(1024 * 35_784);
  expect(() => privateBytesOf('VmRSS:\t1 kB\n')).toThrow('RssAnon');
});

test('this process has some, and an array more', () => {
  const before = privateBytes();
  const filled = new Uint8Array(64 * mebi).fill(1);
  expect(privateBytes() - before).toBeGreaterThan(32 * mebi);
  expect(filled.length).toBe(64 * mebi);
});
