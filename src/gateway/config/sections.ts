/** Each section of the config file: its keys, types, ranges and defaults. */
import { resolve } from 'node:path';
import type { Task } from '../../engine/model.ts';
import { didYouMean } from '../../text/nearest.ts';
import { type JsonPath, parseJsonPath } from '../json-path.ts';
import { topicNameProblem } from '../mqtt/topics.ts';
import { describe, type NumberRule, type Section } from './checker.ts';
import type {
  FrameConfig,
  GatewayConfig,
  LimitsConfig,
  MqttConfig,
  OutputConfig,
  QoS,
  TlsConfig,
  WitnessLogConfig,
} from './config.ts';

export const rootKeys = [
  'gateway',
  'topicPrefix',
  'model',
  'target',
  'mqtt',
  'source',
  'channels',
  'frame',
  'spikes',
  'policy',
  'calibration',
  'output',
  'countersIntervalS',
  'limits',
  'storage',
  'witnessLog',
  'ledger',
  'homeAssistant',
  'sparkplug',
  'page',
  'commands',
  'record',
  'models',
  'share',
  'state',
];

const dayS = 86_400;
/** Fewer say nothing of a spread; more would be a memory of their own. */
const calibrationTicksMin = 30;
const calibrationTicksMax = 50_000;
const seconds = (max: number): NumberRule => ({ min: 0.001, max });
/** As MQTT client ids and topic levels may be everywhere. */
const namePattern = /^[A-Za-z0-9_-]{1,64}$/;

/** Minutes of ticks, `intervalMs` apart, as ticks; undefined where nothing is said. */
export function readCalibration(
  root: Section,
  intervalMs: number,
  task: Task | undefined,
): number | undefined {
  if (!root.has('calibration')) return undefined;
  const section = root.section('calibration', ['minutes']);
  const minutes = section.number('minutes', { min: 0.05, max: 7 * 1440 }, 10);
  if (task !== undefined && (task.kind !== 'anomaly' || task.chart === undefined))
    root.add('calibration', 'a model that calibrates itself', `one that does not, for ${task.kind}`);
  const ticks = Math.round((minutes * 60_000) / intervalMs);
  if (ticks >= calibrationTicksMin && ticks <= calibrationTicksMax) return ticks;
  const expected = `${calibrationTicksMin} to ${calibrationTicksMax} ticks`;
  section.add('minutes', expected, `${ticks} of ${intervalMs} ms`);
  return calibrationTicksMin;
}

export function readGatewayName(root: Section): string {
  const name = root.text('gateway', undefined, 'a name (letters, digits, _ and -)');
  if (name !== '' && !namePattern.test(name)) {
    root.add('gateway', 'at most 64 letters, digits, _ and -', describe(name));
  }
  return name;
}

export function readMqtt(section: Section, gateway: string, directory: string): MqttConfig {
  const reconnectMinMs = section.number('reconnectMinMs', { min: 10, max: 600_000 }, 1000);
  const file = (key: string) => {
    const path = section.optionalText(key, 'a path');
    return path === undefined ? {} : { [key]: resolve(directory, path) };
  };
  if (section.has('passwordFile') && section.has('passwordEnv')) {
    section.add('passwordEnv', 'only one of passwordFile and passwordEnv', 'both');
  }
  if ((section.has('passwordFile') || section.has('passwordEnv')) && !section.has('username')) {
    section.add('username', 'a user name beside the password', 'nothing');
  }
  return {
    url: readUrl(section),
    clientId: section.text('clientId', `dormouse-${gateway}`),
    ...optional('username', section.optionalText('username')),
    ...file('passwordFile'),
    ...optional('passwordEnv', section.optionalText('passwordEnv', 'the name of an environment variable')),
    tls: { ...file('caFile'), ...file('certFile'), ...file('keyFile') } as TlsConfig,
    version: section.choice('version', ['auto', '3.1.1', '5'], 'auto'),
    qos: readQos(section, 1),
    keepaliveS: section.whole('keepaliveS', 5, 3600, 30),
    sessionExpiryS: section.whole('sessionExpiryS', 0, 30 * dayS, 3600),
    connectTimeoutMs: 1000 * section.number('connectTimeoutS', seconds(600), 10),
    reconnectMinMs,
    reconnectMaxMs: section.number(
      'reconnectMaxMs',
      { min: reconnectMinMs, max: 3_600_000 },
      Math.max(120_000, reconnectMinMs),
    ),
  };
}

export const mqttKeys = [
  'url',
  'clientId',
  'username',
  'passwordFile',
  'passwordEnv',
  'caFile',
  'certFile',
  'keyFile',
  'version',
  'qos',
  'keepaliveS',
  'sessionExpiryS',
  'connectTimeoutS',
  'reconnectMinMs',
  'reconnectMaxMs',
];

const urlExpected = 'a URL such as mqtt://host:1883 (mqtt, mqtts, ws or wss)';

function readUrl(section: Section): string {
  const text = section.text('url', undefined, urlExpected);
  const problem = text === '' ? undefined : brokerUrlProblem(text);
  if (problem !== undefined) section.add('url', urlExpected, problem);
  return text;
}

/** What is wrong with a broker's URL; undefined when it is valid. Never repeats a password. */
export function brokerUrlProblem(text: string): string | undefined {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return 'something that is no URL';
  }
  if (!['mqtt:', 'mqtts:', 'ws:', 'wss:'].includes(url.protocol))
    return `the protocol ${JSON.stringify(url.protocol)}`;
  if (url.username !== '' || url.password !== '') return 'a user name or password inside it';
  return url.hostname === '' ? 'no host' : undefined;
}

function readQos(section: Section, fallback: QoS): QoS {
  return section.choice('qos', ['0', '1'], String(fallback) as '0' | '1') === '0' ? 0 : 1;
}

export const frameKeys = ['mode', 'intervalMs', 'timestamp', 'timestampUnit', 'aheadS'];

/** `intervalMs` is 0 when the file leaves it to the model. */
export function readFrame(section: Section): FrameConfig {
  const timestamp = section.has('timestamp') ? readJsonPath(section, 'timestamp') : undefined;
  if (section.has('timestampUnit') && timestamp === undefined) {
    section.add('timestampUnit', 'a timestamp beside it', 'none');
  }
  return {
    mode: section.choice('mode', ['message', 'grid'], 'message'),
    intervalMs: section.number('intervalMs', { min: section.has('intervalMs') ? 1 : 0, max: dayS * 1000 }, 0),
    ...optional('timestamp', timestamp),
    timestampUnit: section.choice('timestampUnit', ['ms', 's'], 'ms'),
    aheadMs: 1000 * section.number('aheadS', { min: 0, max: 365 * dayS }, 300),
  };
}

/** A JSON path, [] after noting a problem. */
function readJsonPath(section: Section, key: string): JsonPath {
  const text = section.text(key, undefined, 'a JSON path such as $.time');
  const path = text === '' ? [] : parseJsonPath(text);
  if (path === undefined) section.add(key, "a JSON path such as $.a.b, $['a b'] or $.a[0]", describe(text));
  return path ?? [];
}

export const outputKeys = ['topic', 'qos', 'retain', 'publish'];

export function readOutput(section: Section, prefix: string): OutputConfig {
  return {
    topic: readTopicName(section, 'topic', `${prefix}/state`),
    qos: readQos(section, 1),
    retain: section.flag('retain', true),
    publish: section.choice('publish', ['all', 'changes', 'tokens'], 'tokens'),
  };
}

/** A topic without wildcards. */
export function readTopicName(section: Section, key: string, fallback: string): string {
  const topic = section.text(key, fallback, 'a topic');
  const problem = topicNameProblem(topic);
  if (problem !== undefined)
    section.add(key, 'a topic without wildcards', `${describe(topic)}, with ${problem}`);
  return topic;
}

const kibi = 1024;
const mebi = kibi * kibi;
export const limitsKeys = [
  'ringMessages',
  'ringBytes',
  'ringPolicy',
  'payloadBytes',
  'packetBytes',
  'jsonDepth',
  'outboxMessages',
  'inFlight',
  'catchUpTicks',
];

type NumericLimit = Exclude<keyof LimitsConfig, 'ringPolicy'>;

export function readLimits(section: Section): LimitsConfig {
  const limits = {
    ringMessages: section.whole('ringMessages', 2, 1_000_000, 1024),
    ringBytes: section.whole('ringBytes', kibi, kibi * mebi, mebi),
    ringPolicy: section.choice('ringPolicy', ['dropOldest', 'coalesce', 'refuse'], 'dropOldest'),
    payloadBytes: section.whole('payloadBytes', 16, 64 * mebi, 64 * kibi),
    packetBytes: section.whole('packetBytes', kibi, 256 * mebi, 16 * mebi),
    jsonDepth: section.whole('jsonDepth', 1, 256, 16),
    outboxMessages: section.whole('outboxMessages', 2, 1_000_000, 1000),
    inFlight: section.whole('inFlight', 1, 1000, 16),
    catchUpTicks: section.whole('catchUpTicks', 1, 1_000_000, 100),
  };
  const atLeast = (key: NumericLimit, than: NumericLimit, factor: number) => {
    if (limits[key] >= factor * limits[than]) return;
    section.add(key, `at least ${factor} x ${than} (${factor * limits[than]})`, `${limits[key]}`);
  };
  atLeast('ringBytes', 'payloadBytes', 2);
  atLeast('packetBytes', 'payloadBytes', 1);
  atLeast('outboxMessages', 'inFlight', 2);
  return limits;
}

const witnessLogKeys = ['directory', 'fileBytes', 'files', 'flushS', 'bytesPerDay'];

export function readWitnessLog(root: Section, directory: string): WitnessLogConfig | undefined {
  if (!root.has('witnessLog')) return undefined;
  const section = root.section('witnessLog', witnessLogKeys);
  return {
    directory: resolve(directory, section.text('directory', undefined, 'a path')),
    fileBytes: section.whole('fileBytes', 64 * kibi, kibi * mebi, 16 * mebi),
    files: section.whole('files', 2, 10_000, 8),
    flushMs: 1000 * section.number('flushS', { min: 0.05, max: 3600 }, 600),
    bytesPerDay: section.whole('bytesPerDay', 0, 2 ** 40, 1_500_000),
  };
}

/** Text that must be one of `names`; with no names known any text will do. */
export function readKnownName(section: Section, key: string, names: readonly string[]): string {
  const what = names.length === 0 ? 'a name' : `one of ${names.join(', ')}`;
  const name = section.text(key, undefined, what);
  if (name === '' || names.length === 0 || names.includes(name)) return name;
  section.add(key, what, `${describe(name)}${didYouMean(name, names)}`);
  return name;
}

/** `{ key: value }`, or nothing at all: with exactOptionalPropertyTypes an absent key is not an undefined one. */
export function optional<K extends keyof GatewayConfig | keyof MqttConfig | keyof FrameConfig, T>(
  key: K,
  value: T | undefined,
): { [key in K]?: T } {
  return value === undefined ? {} : ({ [key]: value } as { [key in K]?: T });
}
