import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RawMessage, readMessages } from '../../src/recording/messages.ts';

/** One message as a line, with its line feed. */
function formatMessage(message: RawMessage): string {
  return `${JSON.stringify({ t: message.timeMs, topic: message.topic, payload: message.payload })}\n`;
}

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-messages-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

async function readText(text: string, onUnfinished?: (line: number) => void): Promise<RawMessage[]> {
  const path = join(directory, 'log.ndjson');
  writeFileSync(path, text);
  const messages = [];
  for await (const message of readMessages(path, onUnfinished)) messages.push(message);
  return messages;
}

const first = { timeMs: 1000, topic: 'room/a', payload: '{"co2": 500}' };
const second = { timeMs: 1000, topic: 'room/b', payload: 'line\nfeed "quoted" \u00e9' };

describe('readMessages', () => {
  it('reads back what was written', async () => {
    expect(await readText(formatMessage(first) + formatMessage(second))).toEqual([first, second]);
  });

  it('reads lines longer than a chunk of the file', async () => {
    const long = { ...first, payload: 'x'.repeat(300_000) };
    expect(await readText(formatMessage(long) + formatMessage(second))).toEqual([long, second]);
  });

  it('skips blank lines and takes a last line without a line feed', async () => {
    expect(await readText(`\n${formatMessage(first)}\r\n${formatMessage(second).trimEnd()}`)).toEqual([
      first,
      second,
    ]);
  });

  it('drops and tells a last line that a power cut left unfinished', async () => {
    const lines: number[] = [];
    const text = formatMessage(first) + formatMessage(second);
    expect(await readText(text.slice(0, -5), (line) => lines.push(line))).toEqual([first]);
    expect(lines).toEqual([2]);
  });

  it.each([
    ['not JSON', 'hello', "log.ndjson line 2: expected JSON, got 'hello'"],
    ['not an object', '[1]', 'log.ndjson line 2: expected an object, got a list of 1'],
    ['null', 'null', 'log.ndjson line 2: expected an object, got null'],
    ['no time', '{"topic":"a","payload":""}', 't: expected a number of milliseconds, got nothing'],
    ['a time in text', '{"t":"5","topic":"a","payload":""}', "t: expected a number of milliseconds, got '5'"],
    ['an earlier time', '{"t":5,"topic":"a","payload":""}', 't: expected at least 1000, got 5'],
    ['no topic', '{"t":2000,"payload":""}', 'topic: expected a text of 1 to 65535 characters, got nothing'],
    ['an empty topic', '{"t":2000,"topic":"","payload":""}', "got ''"],
    ['a payload that is no text', '{"t":2000,"topic":"a","payload":5}', 'payload: expected a text, got 5'],
    [
      'an unknown key',
      '{"t":2000,"topic":"a","payload":"","qos":1}',
      'qos: expected only t, topic and payload, got 1',
    ],
  ])('refuses %s', async (_, line, problem) => {
    await expect(readText(`${formatMessage(first)}${line}\n`)).rejects.toThrow(problem);
  });

  it('refuses an endless line', async () => {
    await expect(readText('x'.repeat(2 ** 24 + 100_000))).rejects.toThrow(
      'expected a line of at most 16777216 characters',
    );
  });
});
