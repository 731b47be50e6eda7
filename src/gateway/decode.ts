/** Payload bytes to channel values. What can't be read is counted by kind and told once. */
import { parseTime } from '../recording/time.ts';
import { describe } from './config/checker.ts';
import type { FrameConfig, LimitsConfig } from './config/config.ts';
import { type DecodeProblem, decodeProblems } from './decode-problems.ts';
import { valueAt } from './json-path.ts';
import { saysOffline } from './payloads/availability.ts';
import { bytesNeeded, readBinary } from './payloads/binary.ts';
import { parseCbor } from './payloads/cbor.ts';
import { fieldOf } from './payloads/csv.ts';
import { jsonDepth } from './payloads/json-depth.ts';
import type { BinaryRule, ChannelSource, CsvRule, PathRule, Route } from './payloads/rule.ts';
import { gone, SparkplugEdge } from './payloads/sparkplug.ts';
import { type Conversion, conversionBetween } from './payloads/units.ts';
import { isDecimal, numberOfText } from './payloads/value.ts';

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

/** What was learned of a channel while running; what the config says of it counts more. */
export interface Refinement {
  readonly conversion?: Conversion;
  readonly states?: ReadonlyMap<string, number>;
  /** In the payload's unit. */
  readonly min?: number;
  readonly max?: number;
}

/** Topics whose last message is remembered, where payloads say which message they are; and how much of each text. */
const identitiesMax = 1000;
const identityLength = 256;

/** Turns payloads of a route into values. Never throws. */
export class Decoder {
  readonly counts: Record<DecodeProblem, number>;
  /** Numbers that came as text in a document and were taken. */
  converted = 0;
  readonly #options: DecodeOptions;
  readonly #refinements = new Map<number, Refinement>();
  readonly #edges = new WeakMap<Route, SparkplugEdge>();
  readonly #identities = new Map<string, string>();

  constructor(options: DecodeOptions) {
    this.#options = options;
    this.counts = Object.fromEntries(decodeProblems.map((kind) => [kind, 0])) as Decoder['counts'];
  }

  /** Sets what is known of a channel, by its index. */
  refine(channel: number, refinement: Refinement): void {
    this.#refinements.set(channel, refinement);
  }

  /** The Sparkplug edge node that a route is about; the same one each time. */
  edgeOf(route: Route): SparkplugEdge {
    const edge = this.#edges.get(route) ?? new SparkplugEdge(route);
    this.#edges.set(route, edge);
    return edge;
  }

  /** Refills `into`; false when the payload says nothing about any channel, or may not be used. */
  decode(route: Route, payload: Buffer, into: Decoded, topic = route.filter): boolean {
    into.present.fill(0);
    into.timeMs = Number.NaN;
    if (payload.length > this.#options.limits.payloadBytes) return this.refuseTooLarge(payload.length);
    if (route.channels[0]?.rule.kind === 'sparkplug') return this.#readSparkplug(route, topic, payload, into);
    const encoding = encodingOf(route);
    const document = encoding === undefined ? undefined : this.#parse(encoding, payload);
    if (document === undefined && encoding !== undefined) return false;
    if (!this.#readTime(document, into) || this.#isRepeated(route, topic, document)) return false;
    let any = false;
    for (const source of route.channels) {
      const value = this.#numberOf(source, payload, document);
      if (value === undefined) continue;
      this.#set(source, value, into);
      any = true;
    }
    return any;
  }

  /** Counts a payload that was too large to be looked at. Always false. */
  refuseTooLarge(bytes: number): false {
    const { payloadBytes } = this.#options.limits;
    this.#note('tooLarge', undefined, `expected at most ${payloadBytes} bytes, got ${bytes}`);
    return false;
  }

  #set({ channel }: ChannelSource, value: number, into: Decoded): void {
    into.values[channel] = value;
    into.present[channel] = 1;
  }

  /** A channel's number, NaN for unknown, undefined for nothing to be used. */
  #numberOf(source: ChannelSource, payload: Buffer, document: unknown): number | undefined {
    const { rule, name } = source;
    switch (rule.kind) {
      case 'plain':
        return this.#textNumber(source, payload.toString('utf8'), false);
      case 'path':
        return this.#pathNumber(source, rule, document);
      case 'csv':
        return this.#fieldNumber(source, rule, payload);
      case 'binary':
        return this.#bytesNumber(source, rule, payload);
      case 'availability':
        if (!saysOffline(payload)) return undefined;
        return this.#unknown('offline', name, 'that its device is gone');
      case 'sparkplug':
        return undefined;
    }
  }

  #pathNumber(source: ChannelSource, rule: PathRule, document: unknown): number | undefined {
    const whole = unwrapped(rule, document);
    const value = valueAt(whole, rule.path);
    if (value !== undefined) return this.#finish(source, value, unitConversion(rule, whole));
    if (rule.partial) return undefined;
    const isZero = rule.zeroWhenAbsent && typeof valueAt(whole, rule.path.slice(0, -1)) === 'object';
    if (isZero) return this.#finish(source, 0);
    return this.#note('missingKey', source.name, `expected ${rule.text}, got nothing there`);
  }

  #fieldNumber(source: ChannelSource, rule: CsvRule, payload: Buffer): number | undefined {
    const field = fieldOf(payload.toString('utf8'), rule.column, rule.separator);
    if (field === undefined)
      return this.#note('missingKey', source.name, `expected ${rule.column + 1} columns, got fewer`);
    return field === ''
      ? this.#unknown('null', source.name, 'an empty field')
      : this.#textNumber(source, field, false);
  }

  #bytesNumber(source: ChannelSource, rule: BinaryRule, payload: Buffer): number | undefined {
    const value = readBinary(rule, payload);
    if (value !== undefined) return this.#finish(source, value);
    const got = `expected at least ${bytesNeeded(rule)} bytes, got ${payload.length}`;
    return this.#note('tooShort', source.name, got);
  }

  #readSparkplug(route: Route, topic: string, payload: Buffer, into: Decoded): boolean {
    let any = false;
    this.edgeOf(route).receive(
      topic,
      payload,
      (index, raw) => {
        const source = route.channels[index]!;
        const value = raw === gone ? Number.NaN : this.#finish(source, raw);
        if (value === undefined) return;
        this.#set(source, value, into);
        any = true;
      },
      (kind) => this.#note(kind, undefined, sparkplugProblems[kind]),
    );
    return any;
  }

  /** The document, or undefined after noting why there is none. */
  #parse(encoding: 'json' | 'cbor', payload: Buffer): unknown {
    return encoding === 'json' ? this.#parseJson(payload) : this.#parseCbor(payload);
  }

  #parseJson(payload: Buffer): unknown {
    if (jsonDepth(payload) > this.#options.limits.jsonDepth) return this.#noteTooDeep();
    const text = payload.toString('utf8');
    try {
      return JSON.parse(text);
    } catch {
      this.#note('notJson', undefined, `expected JSON, got ${text === '' ? 'nothing' : describe(text)}`);
      return undefined;
    }
  }

  #parseCbor(payload: Buffer): unknown {
    const parsed = parseCbor(payload, this.#options.limits.jsonDepth);
    if (typeof parsed !== 'string') return parsed.document;
    if (parsed === 'tooDeep') return this.#noteTooDeep();
    return this.#note('notCbor', undefined, `expected CBOR, got ${payload.length} bytes that are none`);
  }

  #noteTooDeep(): undefined {
    return this.#note(
      'tooDeep',
      undefined,
      `expected at most ${this.#options.limits.jsonDepth} levels, got more`,
    );
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

  #isRepeated({ filter, identity }: Route, topic: string, document: unknown): boolean {
    if (identity === undefined) return false;
    const own = identity.map((path) => brief(String(valueAt(document, path)))).join(' ');
    const key = `${filter} ${brief(topic)}`;
    if (this.#identities.get(key) === own) {
      this.#note('repeated', undefined, 'expected another message than the one before, got it again');
      return true;
    }
    if (this.#identities.size >= identitiesMax) this.#identities.clear();
    this.#identities.set(key, own);
    return false;
  }

  /** A raw value of a document in the model's unit: NaN for unknown, undefined for nothing to be used. */
  #finish(source: ChannelSource, value: unknown, told?: Conversion): number | undefined {
    if (value === null) return this.#unknown('null', source.name, 'null');
    if (typeof value === 'boolean') return this.#convert(source, value ? 1 : 0, told);
    if (typeof value === 'string') return this.#textNumber(source, value, true, told);
    if (typeof value !== 'number' && typeof value !== 'bigint')
      return this.#note('wrongType', source.name, `expected a number, got ${describe(value)}`);
    return this.#convert(source, Number(value), told);
  }

  #textNumber(
    source: ChannelSource,
    text: string,
    countConverted: boolean,
    told?: Conversion,
  ): number | undefined {
    const trimmed = text.trim();
    const states = source.states ?? this.#refinements.get(source.channel)?.states;
    const value = states?.get(trimmed.toLowerCase()) ?? numberOfText(trimmed);
    if (value === undefined)
      return this.#note('wrongType', source.name, `expected a number, got ${describe(text)}`);
    if (countConverted && Number.isFinite(value)) this.converted++;
    return this.#convert(source, value, told);
  }

  #convert(source: ChannelSource, value: number, told: Conversion | undefined): number {
    if (!Number.isFinite(value)) return this.#unknown('notANumber', source.name, String(value));
    const refinement = this.#refinements.get(source.channel);
    if (refinement !== undefined && isOutside(value, refinement))
      return this.#unknown('outOfRange', source.name, `${value}, beyond the sensor's range`);
    const conversion = source.conversion ?? told ?? refinement?.conversion;
    if (conversion === undefined) return value;
    const converted = value * conversion.scale + conversion.offset;
    return Number.isFinite(converted) ? converted : this.#unknown('notANumber', source.name, String(value));
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

const sparkplugProblems = {
  notSparkplug: 'expected a Sparkplug B payload, got other bytes',
  sequenceGap:
    'expected the next sequence number, got a later one: messages are missing, a rebirth is requested',
  noBirth: 'expected a birth that says what its aliases mean, got data before it; a rebirth is requested',
  historical: 'expected values of now, got one of earlier',
  offline: 'expected values, got the death of the node or device',
} as const;

function brief(text: string): string {
  return text.slice(0, identityLength);
}

function isOutside(value: number, { min, max }: Refinement): boolean {
  return (min !== undefined && value < min) || (max !== undefined && value > max);
}

function unwrapped({ wrappers = [] }: PathRule, document: unknown): unknown {
  for (const wrapper of wrappers) {
    const inner = valueAt(document, [wrapper]);
    if (inner !== undefined) return inner;
  }
  return document;
}

function unitConversion({ unit }: PathRule, document: unknown): Conversion | undefined {
  const told = unit === undefined ? undefined : valueAt(document, unit.path);
  return typeof told === 'string' ? conversionBetween(told, unit!.to) : undefined;
}

/** How a route's payloads are to be parsed; undefined when no channel needs a document. */
function encodingOf({ channels }: Route): 'json' | 'cbor' | undefined {
  for (const { rule } of channels) if (rule.kind === 'path') return rule.encoding ?? 'json';
  return undefined;
}

/** Milliseconds of a JSON number, numeric text or ISO 8601 text (UTC without a zone); NaN for anything else. */
function timeMsOf(value: unknown, unitMs: number): number {
  if (typeof value === 'number' || typeof value === 'bigint') return Number(value) * unitMs;
  if (typeof value !== 'string') return Number.NaN;
  return isDecimal(value) ? Number(value) * unitMs : parseTime(value);
}
