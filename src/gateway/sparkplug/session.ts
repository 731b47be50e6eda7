/** The life of a Sparkplug B edge node, connection by connection, as messages; the connection is somebody else's. */
import type { ModelMeaning } from '../../engine/model.ts';
import type { Witness } from '../../gate/witness.ts';
import { ProtobufError } from '../../protobuf/read.ts';
import type { SparkplugConfig } from '../config/config.ts';
import type { OutgoingMessage } from '../outbox.ts';
import type { Output } from '../output.ts';
import { birthDeathMetric, rebirthMetric } from '../payloads/sparkplug.ts';
import { dataTypes, decodeSparkplug, encodeSparkplug, readingOf, type SparkplugMetric } from './payload.ts';

type Value = bigint | number | boolean | string | null;

/** One metric of ours: its place in the list is its alias. */
interface Metric {
  readonly name: string;
  readonly dataType: number;
  read(witness: Witness, output: Output): Value;
  /** As last told; null before there was any. */
  value: Value;
  timestampMs: number;
}

const sequences = 256;

/** Messages of one edge node. Numbers count as the specification (Sparkplug 3.0, chapters 4 to 6) has it. */
export class SparkplugSession {
  readonly #config: SparkplugConfig;
  readonly #metrics: readonly Metric[];
  readonly #nowMs: () => number;
  /** Of the last CONNECT; the first is 0. */
  #birthDeathSequence = -1;
  #sequence = 0;
  #isBorn = false;

  constructor(config: SparkplugConfig, meaning: ModelMeaning, nowMs: () => number = Date.now) {
    this.#config = config;
    this.#nowMs = nowMs;
    this.#metrics = metricsOf(meaning);
  }

  get commandTopic(): string {
    return this.#topic('NCMD');
  }

  /** The last will of a new connection: its death certificate. */
  will(): OutgoingMessage {
    this.#birthDeathSequence = (this.#birthDeathSequence + 1) % sequences;
    this.#isBorn = false;
    return { ...this.death(), qos: 1 };
  }

  /** Everything that this node will ever tell, with its values; opens a life or begins its telling anew. */
  birth(): OutgoingMessage {
    this.#isBorn = true;
    this.#sequence = 0;
    const timestampMs = this.#nowMs();
    const metrics: SparkplugMetric[] = [
      this.#birthDeath(timestampMs),
      { name: rebirthMetric, timestampMs, dataType: dataTypes.boolean, value: false },
      ...this.#metrics.map((metric, alias) => ({
        name: metric.name,
        ...metricData(metric, alias, timestampMs),
        dataType: metric.dataType,
      })),
    ];
    return this.#message('NBIRTH', encodeSparkplug({ timestampMs, seq: 0, metrics }));
  }

  /** What has changed at a tick; undefined when nothing has, or before a birth, which will tell it. */
  data(witness: Witness, output: Output): OutgoingMessage | undefined {
    const changed = this.#metrics.flatMap((metric, alias) =>
      this.#update(metric, witness, output) ? [metricData(metric, alias, witness.timeMs)] : [],
    );
    if (changed.length === 0 || !this.#isBorn) return undefined;
    this.#sequence = (this.#sequence + 1) % sequences;
    const payload = encodeSparkplug({ timestampMs: this.#nowMs(), seq: this.#sequence, metrics: changed });
    return this.#message('NDATA', payload);
  }

  /** What a node says before it leaves. */
  death(): OutgoingMessage {
    const timestampMs = this.#nowMs();
    return this.#message(
      'NDEATH',
      encodeSparkplug({ timestampMs, metrics: [this.#birthDeath(timestampMs)] }),
    );
  }

  /** Whether a command asks for a birth. Never throws. */
  asksForBirth(payload: Uint8Array): boolean {
    try {
      return decodeSparkplug(payload).metrics.some(
        (metric) => metric.name === rebirthMetric && readingOf(metric) === true,
      );
    } catch (error) {
      if (error instanceof ProtobufError) return false;
      throw error;
    }
  }

  #update(metric: Metric, witness: Witness, output: Output): boolean {
    const value = metric.read(witness, output);
    if (Object.is(value, metric.value)) return false;
    metric.value = value;
    metric.timestampMs = witness.timeMs;
    return true;
  }

  #birthDeath(timestampMs: number): SparkplugMetric {
    const value = BigInt(Math.max(0, this.#birthDeathSequence));
    return { name: birthDeathMetric, timestampMs, dataType: dataTypes.int64, value };
  }

  #topic(type: string): string {
    return `spBv1.0/${this.#config.group}/${type}/${this.#config.edge}`;
  }

  #message(type: string, payload: Uint8Array): OutgoingMessage {
    return { topic: this.#topic(type), payload, qos: 0, retain: false };
  }
}

/** A metric's value; a birth tells those that were told never as null, as of now. */
function metricData({ value, timestampMs }: Metric, alias: number, nowMs: number): SparkplugMetric {
  const time = Number.isNaN(timestampMs) ? nowMs : timestampMs;
  return { alias, timestampMs: time, ...(value === null ? { isNull: true } : { value }) };
}

function metricsOf(meaning: ModelMeaning): Metric[] {
  const { boolean, int64 } = dataTypes;
  return [
    ...taskMetrics(meaning),
    metric('held', boolean, (witness) => witness.held),
    metric('tier', int64, (witness) => BigInt(witness.tier)),
  ];
}

function taskMetrics({ task, channels }: ModelMeaning): Metric[] {
  const { boolean, double, string } = dataTypes;
  if (task.kind === 'classify') {
    return [
      metric('class', string, (_, output) => task.classes[output.classIndex] ?? null),
      ...task.classes.map((name, index) =>
        metric(`probability/${name}`, double, (_, output) => known(output.probabilities[index]!)),
      ),
    ];
  }
  if (task.kind === 'anomaly') {
    return [
      metric('anomaly', boolean, (_, output) => output.anomaly),
      metric('score', double, (_, output) => known(output.score)),
      metric('channel', string, (_, output) => channels[output.topIndex]?.name ?? null),
    ];
  }
  return channels.flatMap(({ name }, channel) =>
    Array.from({ length: task.horizon }, (_, ahead) =>
      metric(`forecast/${name}/${ahead + 1}`, double, (_witness, output) =>
        known(output.values[channel * task.horizon + ahead]!),
      ),
    ),
  );
}

function metric(name: string, dataType: number, read: Metric['read']): Metric {
  return { name, dataType, read, value: null, timestampMs: Number.NaN };
}

function known(value: number): Value {
  return Number.isFinite(value) ? value : null;
}
