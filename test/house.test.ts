/** The house: which room may know which, and how long a file may be. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, sep } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '../src');

/** A room may import from those before it, never from those behind it. */
const rooms = [
  ...['engine', 'text', 'protobuf', 'page', 'statistics', 'gate', 'recording', 'energy', 'train'],
  ...['gateway', 'workloads', 'eval', 'export', 'bench', 'cli'],
];
/** Beside the rooms: what the program carries, and its version. */
const beside = ['carried.ts', 'version.ts'];
/** A file has one job. */
const LINES_MAX = 400;

const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
  (path) => path.endsWith('.ts') && !path.includes('generated'),
);
const textOf = (path: string) => readFileSync(join(root, path), 'utf8');
const roomOf = (path: string) => path.split(sep)[0]!;

/** Of a file: what stands behind its `from`, and in its `import()`. */
function importsOf(path: string): string[] {
  return [...textOf(path).matchAll(/(?:\bfrom |\bimport\(|^import )'([^']+)'/gm)].map(
    ([, target]) => target!,
  );
}

/** Files of src that a file imports. */
function neighboursOf(path: string): string[] {
  return importsOf(path)
    .filter((target) => target.startsWith('.'))
    .map((target) => normalize(join(dirname(path), target)))
    .filter((target) => !target.startsWith('..'));
}

test('every file is in a room, and every room has files', () => {
  const found = new Set(files.map(roomOf));
  expect([...found].sort()).toEqual([...rooms, ...beside, 'index.ts'].sort());
});

test('imports never point back up the flow', () => {
  const wrong = files.flatMap((path) =>
    neighboursOf(path)
      .filter((target) => rooms.includes(roomOf(path)) && !beside.includes(target))
      .filter((target) => rooms.indexOf(roomOf(target)) > rooms.indexOf(roomOf(path)))
      .map((target) => `${path} imports ${target}`),
  );
  expect(wrong).toEqual([]);
});

test('the engine imports nothing from elsewhere, the gate nothing but the engine', () => {
  for (const path of files.filter((one) => ['engine', 'gate'].includes(roomOf(one)))) {
    for (const target of importsOf(path)) expect(target, path).toMatch(/^\./);
    for (const target of neighboursOf(path)) expect(['engine', roomOf(path)], path).toContain(roomOf(target));
  }
});

test('no file is too long for one job', () => {
  const long = files.map((path) => `${path}: ${textOf(path).split('\n').length - 1}`);
  expect(long.filter((one) => Number(one.split(': ')[1]) > LINES_MAX)).toEqual([]);
});
