import { describe, expect, it } from 'vitest';
import { cleanSpans, releaseProgramPages } from '../../src/cli/program-pages.ts';

const program = '/usr/bin/dormouse';

function mapping(range: string, mode: string, path: string, anonymousKb = 0): string {
  return [
    `${range} ${mode} 00000000 fe:00 1234${path === '' ? '' : `                 ${path}`}`,
    'Size:               4280 kB',
    'Rss:                4280 kB',
    `Anonymous:      ${String(anonymousKb).padStart(8)} kB`,
    'VmFlags: rd mr mw me dw sd',
    '',
  ].join('\n');
}

describe('cleanSpans', () => {
  it('takes what is read or run, and nothing else', () => {
    const smaps = [
      mapping('00400000-00800000', 'r--p', program),
      mapping('00800000-05000000', 'r-xp', program),
      mapping('05000000-05100000', 'rw-p', program, 344),
      mapping('06000000-06100000', 'rw-p', '[heap]', 1024),
      mapping('7f0000000000-7f0000001000', 'r-xp', '/usr/lib/libc.so.6'),
      mapping('7f0000010000-7f0000020000', 'r--p', ''),
      mapping('7f0000020000-7f0000030000', 'r--s', program),
    ].join('');
    expect(cleanSpans(smaps, program)).toEqual([
      { start: 0x400000n, bytes: 0x400000n },
      { start: 0x800000n, bytes: 0x4800000n },
    ]);
  });

  it('spares what the loader has filled in', () => {
    expect(cleanSpans(mapping('00400000-00800000', 'r--p', program, 24), program)).toEqual([]);
  });

  it('spares what it does not know to be clean', () => {
    const text = mapping('00400000-00800000', 'r--p', program).replace(/^Anonymous.*\n/m, '');
    expect(cleanSpans(text, program)).toEqual([]);
  });

  it('takes another program whose path begins alike for another', () => {
    expect(cleanSpans(mapping('00400000-00800000', 'r--p', `${program}-old`), program)).toEqual([]);
    const deleted = `${program} (deleted)`;
    expect(cleanSpans(mapping('00400000-00800000', 'r--p', deleted), deleted)).toHaveLength(1);
  });
});

it('leaves another Node alone', () => {
  expect(releaseProgramPages()).toBeUndefined();
});
