/** Listens to everything a broker carries, and remembers what it would take to use it. Bounded. */
import { ProtobufError } from '../protobuf/read.ts';
import { type Finding, findReadings, type Reading, type ReadingSource } from './payloads/readings.ts';
import { type ExposedDevice, readDevices } from './payloads/zigbee2mqtt.ts';
import { decodeSparkplug, readingOf } from './sparkplug/payload.ts';

/** A topic that was heard. */
export interface HeardTopic {
  readonly topic: string;
  format: string;
  messages: number;
  retained: number;
  bytes: number;
}

/** A value that could be a channel. */
export interface HeardValue {
  readonly source: ReadingSource;
  readonly name: string;
  unit: string | undefined;
  /** Texts that are no numbers, as the device's definition gives them. */
  states: ReadonlyMap<string, number> | undefined;
  /** Messages that had it, retained ones not counted. */
  updates: number;
  /** NaN while no number came. */
  min: number;
  max: number;
}

const topicsMax = 5000;
/** Longer topics are nobody's, and would fill the memory. */
const topicLengthMax = 512;
const valuesMax = 5000;
const aliasesMax = 20_000;
const devicesBytesMax = 4 << 20;

export class Sniffer {
  /** Messages heard; topics and values beyond what is remembered. */
  messages = 0;
  forgotten = 0;
  readonly topics = new Map<string, HeardTopic>();
  readonly values = new Map<string, HeardValue>();
  readonly #zigbeeBases = new Set(['zigbee2mqtt']);
  readonly #zigbeeDevices = new Map<string, ExposedDevice>();
  /** `group/edge alias` to what was born under it. */
  readonly #aliases = new Map<string, { device: string; metric: string; dataType: number | undefined }>();

  /** Takes a message in. Never throws. */
  hear(topic: string, payload: Uint8Array, retained: boolean): void {
    this.messages++;
    if (topic.length > topicLengthMax) {
      this.forgotten++;
      return;
    }
    this.#learnZigbee(topic, payload);
    const { format, readings } = this.#find(topic, payload);
    this.#countTopic(topic, format, payload.length, retained);
    for (const reading of readings) this.#countValue(reading, retained);
  }

  /** Values, with what devices' definitions say of them. */
  described(): HeardValue[] {
    const values = [...this.values.values()];
    for (const value of values) this.#describe(value);
    return values;
  }

  #find(topic: string, payload: Uint8Array): Finding {
    return topic.startsWith('spBv1.0/')
      ? this.#findMetrics(topic, payload)
      : findReadings(topic, payload, this.#zigbeeBases);
  }

  #learnZigbee(topic: string, payload: Uint8Array): void {
    const match = /^(.+)\/bridge\/(state|devices|info)$/.exec(topic);
    if (match === null || this.#zigbeeBases.size > 16) return;
    this.#zigbeeBases.add(match[1]!);
    if (match[2] !== 'devices' || payload.length > devicesBytesMax) return;
    for (const device of readDevices(parsed(payload))) {
      if (this.#zigbeeDevices.size < topicsMax) this.#zigbeeDevices.set(`${match[1]}/${device.name}`, device);
    }
  }

  #describe(value: HeardValue): void {
    const { preset, base = 'zigbee2mqtt', device } = value.source;
    if (preset !== 'zigbee2mqtt') return;
    const exposes = this.#zigbeeDevices.get(`${base}/${device}`)?.exposes;
    const exposed = exposes?.find(({ property }) => property === value.source.value);
    value.unit ??= exposed?.unit;
    if (exposed?.states !== undefined && exposed.states.size > 0) value.states = exposed.states;
  }

  #findMetrics(topic: string, payload: Uint8Array): Finding {
    const [, group = '', type = '', edge = '', device] = topic.split('/');
    if (!/^[ND](BIRTH|DATA)$/.test(type)) return { format: `sparkplug, ${type}`, readings: [] };
    const node = `${group}/${edge}`;
    const owner = device === undefined ? node : `${node}/${device}`;
    try {
      const readings = decodeSparkplug(payload).metrics.flatMap((metric): Reading[] => {
        if (metric.name !== undefined && metric.alias !== undefined && this.#aliases.size < aliasesMax)
          this.#aliases.set(`${node} ${metric.alias}`, {
            device: owner,
            metric: metric.name,
            dataType: metric.dataType,
          });
        const born = this.#aliases.get(`${node} ${metric.alias}`);
        const name = metric.name ?? born?.metric;
        const value = readingOf(metric, metric.dataType ?? born?.dataType);
        if (
          name === undefined ||
          isControl(name) ||
          !(typeof value === 'number' || typeof value === 'boolean')
        )
          return [];
        const source = { preset: 'sparkplug', device: owner, value: name };
        return [{ source, name: `${device ?? edge} ${name}`, value: Number(value) }];
      });
      return { format: 'sparkplug', readings };
    } catch (error) {
      if (!(error instanceof ProtobufError)) throw error;
      return { format: 'sparkplug, not to be read', readings: [] };
    }
  }

  #countTopic(topic: string, format: string, bytes: number, retained: boolean): void {
    const heard = this.topics.get(topic) ?? { topic, format, messages: 0, retained: 0, bytes: 0 };
    if (heard.messages === 0 && this.topics.size >= topicsMax) {
      this.forgotten++;
      return;
    }
    this.topics.set(topic, heard);
    heard.format = format;
    heard.messages++;
    heard.bytes += bytes;
    if (retained) heard.retained++;
  }

  #countValue({ source, name, value, unit }: Reading, retained: boolean): void {
    const key = JSON.stringify(source);
    let heard = this.values.get(key);
    if (heard === undefined) {
      if (this.values.size >= valuesMax) {
        this.forgotten++;
        return;
      }
      heard = { source, name, unit, states: undefined, updates: 0, min: Number.NaN, max: Number.NaN };
      this.values.set(key, heard);
    }
    heard.unit ??= unit;
    if (!retained) heard.updates++;
    if (Number.isNaN(value)) return;
    heard.min = Number.isNaN(heard.min) ? value : Math.min(heard.min, value);
    heard.max = Number.isNaN(heard.max) ? value : Math.max(heard.max, value);
  }
}

function isControl(metric: string): boolean {
  return metric === 'bdSeq' || metric.startsWith('Node Control/') || metric.startsWith('Device Control/');
}

function parsed(payload: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('utf8'));
  } catch {
    return undefined;
  }
}
