/** What a message of an unknown broker is: whose format, which device, and which values could be channels. */
import { valueAt } from '../json-path.ts';
import { parseCbor } from './cbor.ts';
import { flatten, numberOfScalar, pathText, type Scalar } from './flatten.ts';
import { jsonDepth } from './json-depth.ts';
import { numberOfText } from './value.ts';

/** A channel's entry in the config. */
export interface ReadingSource {
  readonly preset?: string;
  readonly topic?: string;
  readonly device?: string;
  readonly base?: string;
  readonly value?: string | number;
  readonly separator?: string;
}

export interface Reading {
  readonly source: ReadingSource;
  /** What a channel could be called. */
  readonly name: string;
  /** NaN: the sender does not know. */
  readonly value: number;
  readonly unit?: string;
}

export interface Finding {
  /** In words. */
  readonly format: string;
  readonly readings: readonly Reading[];
}

const depthMax = 32;
const nothing: readonly Reading[] = [];

/** Zigbee2MQTT's base topics that are known. Looks at each format's signs, the most telling first. */
export function findReadings(topic: string, payload: Uint8Array, zigbeeBases: ReadonlySet<string>): Finding {
  const levels = topic.split('/');
  const text = textOf(payload);
  const document = text === undefined ? undefined : documentOf(text, payload);
  return (
    nobodysReadings(topic, levels) ??
    fromZigbee(topic, document, zigbeeBases) ??
    fromTasmota(levels, document) ??
    fromShelly(topic, levels, document) ??
    fromThingsStack(levels, document) ??
    fromEsphome(levels, text) ??
    fromJson(topic, document) ??
    fromText(topic, text) ??
    fromCbor(topic, payload) ?? { format: `binary, ${payload.length} bytes`, readings: nothing }
  );
}

/** Text, if it is UTF-8 without control characters. */
function textOf(payload: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(payload);
    return /[^\P{Cc}\t\n\r]/u.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

function documentOf(text: string, payload: Uint8Array): object | undefined {
  if (jsonDepth(payload) > depthMax) return undefined;
  try {
    const document = JSON.parse(text) as unknown;
    return typeof document === 'object' && document !== null ? document : undefined;
  } catch {
    return undefined;
  }
}

/** What others say to each other. */
function nobodysReadings(topic: string, levels: readonly string[]): Finding | undefined {
  if (/^homeassistant\/.*\/config$/.test(topic))
    return { format: 'Home Assistant discovery', readings: nothing };
  if (levels[0] === 'homeassistant') return { format: 'Home Assistant', readings: nothing };
  if (levels[0] === 'dormouse') return { format: 'a Dormouse gateway', readings: nothing };
  return levels[0] === 'tasmota' && levels[1] === 'discovery'
    ? { format: 'Tasmota discovery', readings: nothing }
    : undefined;
}

function fromZigbee(
  topic: string,
  document: object | undefined,
  bases: ReadonlySet<string>,
): Finding | undefined {
  const base = [...bases].find((each) => topic.startsWith(`${each}/`));
  if (base === undefined) return undefined;
  const device = topic.slice(base.length + 1);
  if (device.startsWith('bridge/') || /\/(set|get|availability)(\/|$)/.test(`/${device}`))
    return { format: 'zigbee2mqtt, administration', readings: nothing };
  const own = base === 'zigbee2mqtt' ? {} : { base };
  return {
    format: 'zigbee2mqtt',
    readings: fieldsOf(document, { preset: 'zigbee2mqtt', ...own, device }, device),
  };
}

/** Units that Tasmota's documentation gives; temperatures and pressures have theirs in the payload. */
const tasmotaUnits: Readonly<Record<string, string>> = {
  Power: 'W',
  ApparentPower: 'VA',
  ReactivePower: 'VAr',
  Voltage: 'V',
  Current: 'A',
  Total: 'kWh',
  Today: 'kWh',
  Yesterday: 'kWh',
  Period: 'Wh',
  Humidity: '%',
  Illuminance: 'lx',
};

function fromTasmota(levels: readonly string[], document: object | undefined): Finding | undefined {
  const [prefix, device = '', kind = '', ...more] = levels;
  if (!(prefix === 'tele' || prefix === 'stat') || kind === '' || more.length > 0) return undefined;
  if (kind !== 'SENSOR' && kind !== 'STATE') return { format: 'tasmota, administration', readings: nothing };
  const unitOf = (path: readonly (string | number)[]) => {
    const reading = path.findLast((step) => typeof step === 'string') ?? '';
    if (/^(Temperature|DewPoint)$/.test(reading)) return toldUnit(document, 'TempUnit');
    if (/Pressure$/.test(reading)) return toldUnit(document, 'PressureUnit');
    return Object.hasOwn(tasmotaUnits, reading) ? tasmotaUnits[reading] : undefined;
  };
  const readings = fieldsOf(document, { preset: 'tasmota', device }, device, [], unitOf);
  const isState = ({ source }: Reading) => /^POWER\d?$/.test(String(source.value));
  return { format: 'tasmota', readings: kind === 'STATE' ? readings.filter(isState) : readings };
}

function toldUnit(document: object | undefined, key: string): string | undefined {
  const unit = valueAt(document, [key]);
  return typeof unit === 'string' && unit.length <= 16 ? unit : undefined;
}

/** Shelly's API documentation: watts, volts, amperes, watt-hours, and milliwatt-hours per minute. */
const shellyUnits: readonly (readonly [pattern: RegExp, unit: string])[] = [
  [/apower$/, 'W'],
  [/voltage$/, 'V'],
  [/current$/, 'A'],
  [/aenergy\.total$/, 'Wh'],
  [/by_minute\[\d\]$/, 'mWh'],
  [/tC$/, 'Celsius'],
  [/tF$/, 'Fahrenheit'],
  [/\.rh$/, '%'],
];

function fromShelly(
  topic: string,
  levels: readonly string[],
  document: object | undefined,
): Finding | undefined {
  const unitOf = (path: readonly (string | number)[]) =>
    shellyUnits.find(([pattern]) => pattern.test(pathText(path) ?? ''))?.[1];
  const method = valueAt(document, ['method']);
  if (topic.endsWith('/events/rpc') && typeof method === 'string') {
    const device = topic.slice(0, -'/events/rpc'.length);
    const whole = fieldsOf(valueAt(document, ['params']), { preset: 'shelly', device }, device, [], unitOf);
    const readings = whole.filter(({ source }) => String(source.value).includes(':'));
    return { format: 'shelly', readings: method.startsWith('Notify') ? readings : nothing };
  }
  const component = levels.at(-1) ?? '';
  if (levels.at(-2) !== 'status' || !/^[a-z_0-9]+:\d+$/.test(component) || document === undefined)
    return undefined;
  const device = levels.slice(0, -2).join('/');
  const readings = fieldsOf(document, { preset: 'shelly', topic }, `${device} ${component}`, [], unitOf);
  return { format: 'shelly', readings };
}

function fromThingsStack(levels: readonly string[], document: object | undefined): Finding | undefined {
  const [version, application = '', devices, device = '', kind] = levels;
  if (version !== 'v3' || devices !== 'devices' || !application.includes('@')) return undefined;
  const decoded = valueAt(document, ['uplink_message', 'decoded_payload']);
  if (kind !== 'up' || decoded === undefined)
    return { format: 'things-stack, no reading', readings: nothing };
  const source = { preset: 'things-stack', device: `${application}/${device}` };
  return { format: 'things-stack', readings: fieldsOf(decoded, source, device) };
}

const esphomeComponents =
  /^(sensor|binary_sensor|switch|number|select|text_sensor|fan|light|cover|climate|lock)$/;

function fromEsphome(levels: readonly string[], text: string | undefined): Finding | undefined {
  const component = levels.at(-3) ?? '';
  const object = levels.at(-2) ?? '';
  if (levels.at(-1) !== 'state' || levels.length < 4 || !esphomeComponents.test(component)) return undefined;
  const value = text === undefined ? undefined : numberOfText(text.trim());
  const device = levels.slice(0, -3).join('/');
  const source = {
    preset: 'esphome',
    device,
    value: component === 'sensor' ? object : `${component}/${object}`,
  };
  const readings =
    value === undefined ? nothing : [{ source, name: `${device} ${object}`, value: finite(value) }];
  return { format: 'esphome', readings };
}

function fromJson(topic: string, document: object | undefined): Finding | undefined {
  return document === undefined
    ? undefined
    : { format: 'json', readings: fieldsOf(document, { topic }, topic) };
}

function fromText(topic: string, text: string | undefined): Finding | undefined {
  if (text === undefined) return undefined;
  const value = text.length > 64 ? undefined : numberOfText(text.trim());
  if (value !== undefined)
    return {
      format: 'plain',
      readings: [{ source: { topic, value: 'plain' }, name: topic, value: finite(value) }],
    };
  return fromCsv(topic, text) ?? { format: 'text', readings: nothing };
}

const columnsMax = 32;

function fromCsv(topic: string, text: string): Finding | undefined {
  const line = text.split(/\r?\n/, 1)[0]!;
  const separator = [';', '\t', ','].find((each) => line.includes(each));
  if (separator === undefined || line.length > 4096) return undefined;
  const own = separator === ',' ? {} : { separator };
  const columns = line.split(separator).slice(0, columnsMax);
  const readings = columns.flatMap((column, index): Reading[] => {
    const value = numberOfText(column.trim());
    const source = { preset: 'csv', topic, value: index + 1, ...own };
    return value === undefined ? [] : [{ source, name: `${topic} ${index + 1}`, value: finite(value) }];
  });
  return readings.length === 0 ? undefined : { format: 'csv', readings };
}

function fromCbor(topic: string, payload: Uint8Array): Finding | undefined {
  const parsed = parseCbor(payload, depthMax);
  if (typeof parsed === 'string' || typeof parsed.document !== 'object' || parsed.document === null)
    return undefined;
  return { format: 'cbor', readings: fieldsOf(parsed.document, { preset: 'cbor', topic }, topic) };
}

/** The numbers of a document as readings of one source. */
function fieldsOf(
  document: unknown,
  source: ReadingSource,
  name: string,
  skip: readonly string[] = [],
  unitOf: (path: readonly (string | number)[]) => string | undefined = () => undefined,
): Reading[] {
  const readings: Reading[] = [];
  flatten(document, (path, scalar: Scalar) => {
    const value = numberOfScalar(scalar);
    const text = pathText(path);
    if (value === undefined || text === undefined || path.length === 0 || skip.includes(text)) return;
    const unit = unitOf(path);
    readings.push({
      source: { ...source, value: text },
      name: `${name} ${path.join(' ')}`,
      value: finite(value),
      ...(unit === undefined ? {} : { unit }),
    });
  });
  return readings;
}

function finite(value: number): number {
  return Number.isFinite(value) ? value : Number.NaN;
}
