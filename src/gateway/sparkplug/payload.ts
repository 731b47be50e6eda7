/** Payloads of Sparkplug B: reading what matters of any, writing our own. Field numbers are those of its proto file. */
import { ProtobufError, readFields, type WireValue } from '../../protobuf/read.ts';
import { ProtobufMessage } from '../../protobuf/write.ts';

/** The data types that are told apart here; the others (data sets, templates, bytes, arrays) are no readings. */
export const dataTypes = {
  int8: 1,
  int16: 2,
  int32: 3,
  int64: 4,
  uint8: 5,
  uint16: 6,
  uint32: 7,
  uint64: 8,
  float: 9,
  double: 10,
  boolean: 11,
  string: 12,
  dateTime: 13,
  text: 14,
  uuid: 15,
} as const;

export interface SparkplugMetric {
  readonly name?: string;
  /** Stands for the name after a birth; unique within the edge node. */
  readonly alias?: number;
  readonly timestampMs?: number;
  readonly dataType?: number;
  /** Told late: says nothing about now. */
  readonly isHistorical?: boolean;
  readonly isNull?: boolean;
  /** Integers as they are on the wire, without sign; absent: null, or of a type that is no reading. */
  readonly value?: bigint | number | boolean | string;
}

export interface SparkplugPayload {
  readonly timestampMs?: number;
  /** 0 to 255; absent in an NDEATH. */
  readonly seq?: number;
  readonly metrics: readonly SparkplugMetric[];
}

const metricsMax = 65_536;
const payloadFields = { timestamp: 1, metrics: 2, seq: 3 } as const;
const metricFields = {
  name: 1,
  alias: 2,
  timestamp: 3,
  dataType: 4,
  isHistorical: 5,
  isNull: 7,
  int: 10,
  long: 11,
  float: 12,
  double: 13,
  boolean: 14,
  string: 15,
} as const;

/** Reads a payload; what it does not know it skips unread. Throws ProtobufError. */
export function decodeSparkplug(bytes: Uint8Array): SparkplugPayload {
  const payload: { -readonly [K in keyof SparkplugPayload]: SparkplugPayload[K] } = { metrics: [] };
  const metrics: SparkplugMetric[] = [];
  readFields(bytes, (field, value) => {
    if (field === payloadFields.timestamp) payload.timestampMs = toNumber(value);
    else if (field === payloadFields.seq) payload.seq = toNumber(value);
    else if (field === payloadFields.metrics) metrics.push(decodeMetric(toBytes(value)));
    if (metrics.length > metricsMax)
      throw new ProtobufError(`expected at most ${metricsMax} metrics, got more`);
  });
  payload.metrics = metrics;
  return payload;
}

type MutableMetric = { -readonly [K in keyof SparkplugMetric]: SparkplugMetric[K] };

const metricReaders: Readonly<Record<number, (metric: MutableMetric, value: WireValue) => void>> = {
  [metricFields.name]: (metric, value) => (metric.name = toText(value)),
  [metricFields.alias]: (metric, value) => (metric.alias = toNumber(value)),
  [metricFields.timestamp]: (metric, value) => (metric.timestampMs = toNumber(value)),
  [metricFields.dataType]: (metric, value) => (metric.dataType = toNumber(value)),
  [metricFields.isHistorical]: (metric, value) => (metric.isHistorical = toNumber(value) !== 0),
  [metricFields.isNull]: (metric, value) => (metric.isNull = toNumber(value) !== 0),
  [metricFields.int]: (metric, value) => (metric.value = toInteger(value)),
  [metricFields.long]: (metric, value) => (metric.value = toInteger(value)),
  [metricFields.float]: (metric, value) => (metric.value = toView(value, 4).getFloat32(0, true)),
  [metricFields.double]: (metric, value) => (metric.value = toView(value, 8).getFloat64(0, true)),
  [metricFields.boolean]: (metric, value) => (metric.value = toNumber(value) !== 0),
  [metricFields.string]: (metric, value) => (metric.value = toText(value)),
};

function decodeMetric(bytes: Uint8Array): SparkplugMetric {
  const metric: MutableMetric = {};
  readFields(bytes, (field, value) => {
    if (Object.hasOwn(metricReaders, field)) metricReaders[field]!(metric, value);
  });
  return metric;
}

const signedBits: Readonly<Record<number, number>> = {
  [dataTypes.int8]: 8,
  [dataTypes.int16]: 16,
  [dataTypes.int32]: 32,
  [dataTypes.int64]: 64,
};

/**
 * A metric's value as a reading: signed types get their sign, which the wire does not show. `dataType` is that of the
 * birth, since data need not repeat it. null: the sender says there is none; undefined: nothing that can be read.
 */
export function readingOf(
  { value, isNull, dataType }: SparkplugMetric,
  bornDataType = dataType,
): number | boolean | string | null | undefined {
  if (isNull === true) return null;
  if (typeof value !== 'bigint') return value;
  const bits = bornDataType === undefined ? undefined : signedBits[bornDataType];
  return Number(bits === undefined ? value : BigInt.asIntN(bits, value));
}

/** Writes a payload. Values must fit their data type. Integers beyond 2^53 are not written exactly. */
export function encodeSparkplug({ timestampMs, seq, metrics }: SparkplugPayload): Uint8Array {
  const message = new ProtobufMessage();
  if (timestampMs !== undefined) message.integer(payloadFields.timestamp, Math.round(timestampMs));
  for (const metric of metrics) message.bytes(payloadFields.metrics, encodeMetric(metric));
  if (seq !== undefined) message.integer(payloadFields.seq, seq);
  return message.finish();
}

function encodeMetric(metric: SparkplugMetric): ProtobufMessage {
  const message = new ProtobufMessage();
  const { name, alias, timestampMs, dataType, value } = metric;
  if (name !== undefined) message.bytes(metricFields.name, name);
  if (alias !== undefined) message.integer(metricFields.alias, alias);
  if (timestampMs !== undefined) message.integer(metricFields.timestamp, Math.round(timestampMs));
  if (dataType !== undefined) message.integer(metricFields.dataType, dataType);
  if (metric.isHistorical) message.integer(metricFields.isHistorical, 1);
  if (metric.isNull || value === undefined) return message.integer(metricFields.isNull, 1);
  return encodeValue(message, value);
}

function encodeValue(message: ProtobufMessage, value: bigint | number | boolean | string): ProtobufMessage {
  if (typeof value === 'string') return message.bytes(metricFields.string, value);
  if (typeof value === 'boolean') return message.integer(metricFields.boolean, value ? 1 : 0);
  if (typeof value === 'number') return message.double(metricFields.double, value);
  return message.integer(metricFields.long, value);
}

function toInteger(value: WireValue): bigint {
  if (typeof value === 'bigint') return value;
  throw new ProtobufError('expected a varint, got bytes');
}

function toNumber(value: WireValue): number {
  return Number(toInteger(value));
}

function toBytes(value: WireValue): Uint8Array {
  if (typeof value !== 'bigint') return value;
  throw new ProtobufError('expected bytes, got a varint');
}

function toText(value: WireValue): string {
  const bytes = toBytes(value);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8');
}

function toView(value: WireValue, length: number): DataView {
  const bytes = toBytes(value);
  if (bytes.length !== length) throw new ProtobufError(`expected ${length} bytes, got ${bytes.length}`);
  return new DataView(bytes.buffer, bytes.byteOffset, length);
}
