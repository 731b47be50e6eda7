/** NDJSON of raw messages, as `replay` plays them: `{"t":ms,"topic":"...","payload":"..."}`. */
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { RecordingError, show } from './recording-error.ts';

export interface RawMessage {
  /** When it arrived, milliseconds since 1970. */
  readonly timeMs: number;
  readonly topic: string;
  readonly payload: string;
}

/** An MQTT payload could be longer; a sensor's is not. */
const lineLengthMax = 2 ** 24;
const topicLengthMax = 65535;

/**
 * Messages of a file, in order; times never decrease. A last line that a power cut left unfinished is dropped and told
 * to `onUnfinished`. Throws RecordingError at the first line that is wrong.
 */
export async function* readMessages(
  path: string,
  onUnfinished: (line: number) => void = () => {},
): AsyncGenerator<RawMessage> {
  const file = basename(path);
  let line = 0;
  let previousMs = Number.NEGATIVE_INFINITY;
  for await (const { text, finished } of readLines(path, file)) {
    line++;
    if (text.trim() === '') continue;
    if (!finished && !isJson(text)) {
      onUnfinished(line);
      return;
    }
    const message = parseMessage(text, file, line);
    if (message.timeMs < previousMs) {
      throw new RecordingError(file, { line }, `t: expected at least ${previousMs}, got ${message.timeMs}`);
    }
    previousMs = message.timeMs;
    yield message;
  }
}

/** Parses one line. `file` and `line` are only for errors. Throws RecordingError. */
function parseMessage(text: string, file: string, line: number): RawMessage {
  const { t, topic, payload, ...rest } = parseObject(text, file, line);
  const refuse = (key: string, expected: string, got: unknown) =>
    new RecordingError(file, { line }, `${key}: expected ${expected}, got ${show(got)}`);
  if (typeof t !== 'number' || !Number.isFinite(t)) throw refuse('t', 'a number of milliseconds', t);
  if (typeof topic !== 'string' || topic === '' || topic.length > topicLengthMax) {
    throw refuse('topic', `a text of 1 to ${topicLengthMax} characters`, topic);
  }
  if (typeof payload !== 'string') throw refuse('payload', 'a text', payload);
  for (const [key, value] of Object.entries(rest)) throw refuse(key, 'only t, topic and payload', value);
  return { timeMs: t, topic, payload };
}

function parseObject(text: string, file: string, line: number): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new RecordingError(file, { line }, `expected JSON, got ${show(text)}`);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new RecordingError(file, { line }, `expected an object, got ${show(value)}`);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Not node:readline: it does not tell whether the last line was finished, and has no limit. */
async function* readLines(path: string, file: string): AsyncGenerator<{ text: string; finished: boolean }> {
  let rest = '';
  let line = 1;
  for await (const chunk of createReadStream(path, { encoding: 'utf8' })) {
    const lines: string[] = chunk.split('\n');
    lines[0] = rest + lines[0];
    rest = lines.pop()!;
    for (const text of lines) yield { text, finished: true };
    line += lines.length;
    if (rest.length > lineLengthMax) {
      throw new RecordingError(
        file,
        { line },
        `expected a line of at most ${lineLengthMax} characters, got more`,
      );
    }
  }
  if (rest !== '') yield { text: rest, finished: false };
}
