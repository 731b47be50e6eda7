import { describe, expect, test } from 'vitest';
import { type LogLevel, logLevels, makeLog } from '../../src/gateway/log.ts';

function linesAt(level: LogLevel, journal: boolean): string[] {
  const lines: string[] = [];
  const log = makeLog((text) => lines.push(text), journal, level);
  log.error('broken');
  log.warning('odd\n  indeed');
  log.info('fine');
  return lines;
}

describe('a log', () => {
  test('puts a word before what is not usual, each event on one line', () => {
    expect(linesAt('info', false)).toEqual(['error: broken\n', 'warning: odd indeed\n', 'fine\n']);
  });

  test('puts a syslog priority before everything when the journal reads it', () => {
    expect(linesAt('info', true)).toEqual(['<3>broken\n', '<4>odd indeed\n', '<6>fine\n']);
  });

  test('leaves out what is less grave than its level', () => {
    expect(logLevels.map((level) => linesAt(level, true).length)).toEqual([1, 2, 3]);
  });
});
