/** Payload bytes to channel values. What can't be read is counted by kind and told once. */
import { parseTime } from '../recording/time.ts';
import { describe } from './checker.ts';
import type { FrameConfig, LimitsConfig, Route } from './config.ts';
import { valueAt } from './json-path.ts';

/** Everything that can be wrong with a payload. */
export const decodeProblems = [
  /** Not JSON at all, where JSON was expected. */
  'notJson',
  /** More bytes than `limits.payloadBytes`. */
  'tooLarge',
  /** JSON nested deeper than `limits.jsonDepth`. */
  'tooDeep',
  /** The channel's key or path is not there: its last value stays. */
  'missingKey',
  /** JSON null: the channel becomes unknown. */
  'null',
  /** NaN or an infinity: the channel becomes unknown. */
  'notANumber',
  /** Text that is no number, a list, an object: the last value stays. */
  'wrongType',
  /** A timestamp is configured and this one is missing or no time: the message is dropped. */
  'badTime',
] as const;
export type DecodeProblem = (typeof decodeProblems)[number];

/** What a payload said. Made once and refilled. */
export interface Decoded {
  /** Payload's own time; NaN when none is configured. */
  timeMs: number;
  /** [channels], NaN: the sender says it does not know. */
  readonly values: Float64Array;
  /** [channels], 1 where the payload said anything. */
  readonly present: Uint8Array;
}

export function makeDecoded(channels: number): Decoded {
  return { timeMs: Number.NaN, values: new Float64Array(channels), present: new Uint8Array(channels) };
}

export interface DecodeOptions {
  readonly frame: Pick<FrameConfig, 'timestamp' | 'timestampUnit'>;
  readonly limits: Pick<LimitsConfig, 'payloadBytes' | 'jsonDepth'>;
  /** Told of every problem: its kind, and where, what was expected and what was got. */
  readonly onProblem?: (kind: DecodeProblem, channel: string | undefined, text: string) => void;
}

/** Turns payloads of a route into values. Never throws. */
export class Decoder {
  readonly counts: Record<DecodeProblem, number>;
  /** Numbers that came as JSON strings and were taken. */
  converted = 0;
  readonly #options: DecodeOptions;

  constructor(options: DecodeOptions) {
    this.#options = options;
    this.counts = Object.fromEntries(decodeProblems.map((kind) => [kind, 0])) as Decoder['counts'];
  }

  /** Refills `into`; false when the payload says nothing about any channel, or may not be used. */
  decode(route: Route, payload: Buffer, into: Decoded): boolean {
    into.present.fill(0);
    into.timeMs = Number.NaN;
    if (payload.length > this.#options.limits.payloadBytes) return this.refuseTooLarge(payload.length);
    const plain = route.channels.every(({ rule }) => rule.kind === 'plain');
    const document = plain ? undefined : this.#parseJson(payload);
    if (document === undefined && !plain) return false;
    if (!this.#readTime(document, into)) return false;
    return this.#readValues(route, payload, document, into);
  }

  /** Counts a payload that was too large to be looked at. Always false. */
  refuseTooLarge(bytes: number): false {
    const { payloadBytes } = this.#options.limits;
    this.#note('tooLarge', undefined, `expected at most ${payloadBytes} bytes, got ${bytes}`);
    return false;
  }

  #readValues(route: Route, payload: Buffer, document: unknown, into: Decoded): boolean {
    let any = false;
    for (const { channel, name, rule } of route.channels) {
      let value: number | undefined;
      if (rule.kind === 'plain') value = this.#plainNumber(name, payload.toString('utf8'));
      else if (rule.kind === 'path') value = this.#jsonNumber(name, valueAt(document, rule.path), rule.text);
      else value = this.#jsonNumber(name, valueAt(document, [name]), `the key ${name}`);
      if (value === undefined) continue;
      into.values[channel] = value;
      into.present[channel] = 1;
      any = true;
    }
    return any;
  }

  /** The document, or undefined after noting why there is none. */
  #parseJson(payload: Buffer): unknown {
    if (jsonDepth(payload) > this.#options.limits.jsonDepth) {
      this.#note('tooDeep', undefined, `expected at most ${this.#options.limits.jsonDepth} levels, got more`);
      return undefined;
    }
    const text = payload.toString('utf8');
    try {
      return JSON.parse(text);
    } catch {
      this.#note('notJson', undefined, `expected JSON, got ${text === '' ? 'nothing' : describe(text)}`);
      return undefined;
    }
  }

  #readTime(document: unknown, into: Decoded): boolean {
    const { timestamp, timestampUnit } = this.#options.frame;
    if (timestamp === undefined) return true;
    const value = valueAt(document, timestamp);
    into.timeMs = timeMsOf(value, timestampUnit === 's' ? 1000 : 1);
    if (Number.isFinite(into.timeMs)) return true;
    this.#note(
      'badTime',
      undefined,
      `expected a number of ${timestampUnit} or an ISO 8601 time, got ${describe(value)}`,
    );
    return false;
  }

  /** A value in JSON as a number, NaN for unknown, undefined for nothing to be used. */
  #jsonNumber(channel: string, value: unknown, where: string): number | undefined {
    if (value === undefined) return this.#note('missingKey', channel, `expected ${where}, got nothing there`);
    if (value === null) return this.#unknown('null', channel, 'null');
    if (typeof value === 'boolean') return value ? 1 : 0;
    if (typeof value === 'string') return this.#textNumber(channel, value, true);
    if (typeof value !== 'number')
      return this.#note('wrongType', channel, `expected a number, got ${describe(value)}`);
    return Number.isFinite(value) ? value : this.#unknown('notANumber', channel, String(value));
  }

  #plainNumber(channel: string, text: string): number | undefined {
    return this.#textNumber(channel, text, false);
  }

  #textNumber(channel: string, text: string, countConverted: boolean): number | undefined {
    const value = numberOfText(text.trim());
    if (value === undefined)
      return this.#note('wrongType', channel, `expected a number, got ${describe(text)}`);
    if (!Number.isFinite(value)) return this.#unknown('notANumber', channel, text);
    if (countConverted) this.converted++;
    return value;
  }

  #unknown(kind: DecodeProblem, channel: string, got: string): number {
    this.#note(kind, channel, `expected a number, got ${got}`);
    return Number.NaN;
  }

  #note(kind: DecodeProblem, channel: string | undefined, text: string): undefined {
    this.counts[kind]++;
    this.#options.onProblem?.(kind, channel, text);
    return undefined;
  }
}

const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const words: Readonly<Record<string, number>> = {
  on: 1,
  true: 1,
  off: 0,
  false: 0,
  nan: Number.NaN,
  inf: Number.POSITIVE_INFINITY,
  infinity: Number.POSITIVE_INFINITY,
  '-inf': Number.NEGATIVE_INFINITY,
  '-infinity': Number.NEGATIVE_INFINITY,
};

/** Decimal numbers, ON/OFF, true/false, nan and infinities; undefined for any other text. */
function numberOfText(text: string): number | undefined {
  if (decimal.test(text)) return Number(text);
  const word = text.toLowerCase();
  return Object.hasOwn(words, word) ? words[word] : undefined;
}

/** Milliseconds of a JSON number, numeric text or ISO 8601 text (UTC without a zone); NaN for anything else. */
function timeMsOf(value: unknown, unitMs: number): number {
  if (typeof value === 'number') return value * unitMs;
  if (typeof value !== 'string') return Number.NaN;
  return decimal.test(value) ? Number(value) * unitMs : parseTime(value);
}

const quote = 34;
const backslash = 92;
const opening = new Set([91, 123]);
const closing = new Set([93, 125]);

/** Deepest nesting of lists and objects, found without building anything. */
export function jsonDepth(bytes: Uint8Array): number {
  let depth = 0;
  let deepest = 0;
  let inText = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (inText) {
      if (byte === backslash) i++;
      else if (byte === quote) inText = false;
    } else if (byte === quote) inText = true;
    else if (opening.has(byte)) deepest = Math.max(deepest, ++depth);
    else if (closing.has(byte)) depth--;
  }
  return deepest;
}
