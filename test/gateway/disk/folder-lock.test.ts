import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FolderHeldError, FolderLock } from '../../../src/gateway/disk/folder-lock.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-lock-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));
const path = () => join(directory, 'lock');

test('one at a time; the next when the first has let go', () => {
  const first = FolderLock.take(directory);
  expect(() => FolderLock.take(directory)).toThrow(FolderHeldError);
  expect(() => FolderLock.take(directory)).toThrow(`that the process with pid ${process.pid} works in`);
  first.release();
  first.release();
  FolderLock.take(directory).release();
  expect(readdirSync(directory)).toEqual([]);
});

test('whoever was killed holds nothing', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  writeFileSync(path(), JSON.stringify({ pid: child.pid, started: '' }));
  expect(() => FolderLock.take(directory)).toThrow(`pid ${child.pid}`);
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
  const lock = FolderLock.take(directory);
  expect(JSON.parse(readFileSync(path(), 'utf8')).pid).toBe(process.pid);
  lock.release();
});

test.runIf(existsSync('/proc/self/stat'))('another process that has the number by now holds nothing', () => {
  // As before the machine was started again; even our own number proves nothing then.
  writeFileSync(path(), JSON.stringify({ pid: process.pid, started: 'another-life 1' }));
  FolderLock.take(directory).release();
});

test.each(['', '{"pid":1', 'null', '{"pid":"x","started":""}', '\0\0\0\0'])(
  'what a cut of power has left (%j) holds nothing',
  (text) => {
    writeFileSync(path(), text);
    FolderLock.take(directory).release();
    expect(readdirSync(directory)).toEqual([]);
  },
);

test('who lost the lock does not take away that of the next', () => {
  const first = FolderLock.take(directory);
  const other = JSON.stringify({ pid: 1, started: 'x' });
  writeFileSync(path(), other);
  first.release();
  expect(readFileSync(path(), 'utf8')).toBe(other);
});
