import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';

const { buildDeb, tar } = await import(new URL('../../scripts/package/deb.mjs', import.meta.url).href);

const seconds = 1_767_225_600;
const file = (path: string, text: string, more = {}) => ({
  path,
  bytes: Buffer.from(text),
  mode: 0o644,
  ...more,
});
const files = [
  file('/usr/bin/tool', 'x'.repeat(513), { mode: 0o755 }),
  file('/etc/tool.conf', 'a: 1\n', { isConfig: true, mode: 0o640 }),
];

function make(compress: (bytes: Buffer) => Buffer = (bytes) => bytes): Buffer {
  const control = {
    Package: 'tool',
    Version: '1',
    Architecture: 'arm64',
    Maintainer: 'x <x@localhost>',
    Description: 'x',
  };
  return buildDeb({ control, scripts: { postinst: '#!/bin/sh\n' }, files, seconds, compress });
}

/** Names, sizes and bytes of an ar archive. */
function membersOf(deb: Buffer): { name: string; bytes: Buffer }[] {
  expect(deb.toString('latin1', 0, 8)).toBe('!<arch>\n');
  const members = [];
  for (let at = 8; at < deb.length; ) {
    const size = Number(deb.toString('latin1', at + 48, at + 58));
    members.push({
      name: deb.toString('latin1', at, at + 16).trim(),
      bytes: deb.subarray(at + 60, at + 60 + size),
    });
    at += 60 + size + (size % 2);
  }
  return members;
}

describe('a Debian package', () => {
  test('has its three members in order', () => {
    expect(membersOf(make()).map(({ name }) => name)).toEqual([
      'debian-binary',
      'control.tar.zst',
      'data.tar.zst',
    ]);
  });

  test('is the same bytes each time, in whatever order its files are given', () => {
    const first = make();
    files.reverse();
    expect(make().equals(first)).toBe(true);
  });

  test('names what is config, and sums up its files', () => {
    const control = membersOf(make())[1]!.bytes.toString('latin1');
    expect(control).toContain('/etc/tool.conf\n');
    expect(control).toContain('Installed-Size: 1\n');
    expect(control).toContain(`  usr/bin/tool\n`);
  });
});

test('a tar holds every folder above its files, once', () => {
  const text = tar(files, seconds).toString('latin1');
  for (const folder of ['./\0', './usr/\0', './usr/bin/\0', './etc/\0']) {
    expect(text.split(`\0${folder}`).length + (text.startsWith(folder) ? 1 : 0)).toBeGreaterThan(1);
  }
  expect(tar(files, seconds).length % 512).toBe(0);
});

test('a name that is too long for a plain header is refused', () => {
  expect(() => tar([file(`/${'x'.repeat(300)}`, 'x')], seconds)).toThrow('a name that fits');
});

const hasDpkg = spawnSync('dpkg-deb', ['--version']).status === 0;
if (!hasDpkg) console.warn('skipped without dpkg-deb: reading a package with the tool that made the format');
const directory = mkdtempSync(join(tmpdir(), 'dormouse-deb-'));
afterAll(() => rmSync(directory, { recursive: true }));

test.skipIf(!hasDpkg)('dpkg-deb reads it', () => {
  // Node 20 has no zstd; dpkg tells the kind of compression by the member's name.
  const bytes = make(gzipSync);
  const path = join(directory, 'tool.deb');
  writeFileSync(path, Buffer.from(bytes.toString('latin1').replaceAll('.tar.zst', '.tar.gz '), 'latin1'));
  const run = (option: string) => spawnSync('dpkg-deb', [option, path], { encoding: 'utf8' });
  expect(run('--info').stdout).toContain('Package: tool\n');
  const list = run('--contents').stdout;
  expect(list).toMatch(/-rwxr-xr-x root\/root +513 .* \.\/usr\/bin\/tool/);
  expect(list).toMatch(/-rw-r----- root\/root +5 .* \.\/etc\/tool\.conf/);
});
