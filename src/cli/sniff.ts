/** `dormouse sniff`: what a broker carries, and a config to begin with. */
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MqttConfig } from '../gateway/config/config.ts';
import { MqttConnection } from '../gateway/mqtt/mqtt.ts';
import { topicFilterProblem } from '../gateway/mqtt/topics.ts';
import { Outbox } from '../gateway/outbox.ts';
import {
  type ProposedChannel,
  perMinute,
  printable,
  proposeChannels,
  proposeConfig,
  remark,
} from '../gateway/proposal.ts';
import { Sniffer } from '../gateway/sniffer.ts';
import { brokerFields, credentialOptions, readBroker } from './broker-options.ts';
import { type Command, UsageError } from './command.ts';
import { numberOption, parseOptions, requireArguments } from './options.ts';

const usage = `Usage: dormouse sniff BROKER [--seconds S] [options]

Listens to a broker, says which topics there are and whose format they have, which values could be channels with their
range, unit and rate, and proposes a config that only needs a model. BROKER is mqtt://host:1883, mqtts://, ws:// or wss://.
Nothing is published.

  --seconds S           listen for so long (default 30); SIGINT ends it sooner
  --topic FILTER        listen to this only (default #)
  --connect-timeout S   fail after so long without a connection (default 10)
  -o, --output FILE     write the proposed config there
  --username NAME       with --password-file FILE or --password-env VARIABLE
  --json                print one JSON object: messages, seconds, topics, channels, config
`;

export const command: Command = {
  name: 'sniff',
  summary: 'see what a broker carries, and get a config for it',
  usage,
  async run(args) {
    const { values, positionals } = parseOptions({
      args,
      options: {
        seconds: { type: 'string' },
        topic: { type: 'string', default: '#' },
        'connect-timeout': { type: 'string' },
        output: { type: 'string', short: 'o' },
        json: { type: 'boolean', default: false },
        ...credentialOptions,
      },
      allowPositionals: true,
    });
    const [url] = requireArguments(positionals, 'a broker');
    const problem = topicFilterProblem(values.topic);
    if (problem !== undefined)
      throw new UsageError(`--topic: expected a topic filter, got one with ${problem}`);
    const wanted = numberOption('seconds', values.seconds, 30, 0.1, 86_400);
    const giveUpMs = 1000 * numberOption('connect-timeout', values['connect-timeout'], 10, 0.1, 3600);
    const mqtt = { ...readBroker(url, values, 'sniff'), connectTimeoutMs: giveUpMs };
    const { sniffer, seconds } = await listen(mqtt, values.topic, wanted);
    const channels = proposeChannels(sniffer.described());
    const config = proposeConfig(channels, { mqtt: brokerFields(url, values), seconds });
    if (values.output !== undefined) writeFileSync(values.output, config);
    const report = values.json
      ? jsonReport(sniffer, channels, config, seconds)
      : textReport(sniffer, channels, seconds);
    process.stdout.write(
      values.json || values.output !== undefined ? `${report}\n` : `${report}\n\n${config}`,
    );
    return sniffer.messages > 0 ? 0 : 1;
  },
};

interface Heard {
  readonly sniffer: Sniffer;
  /** For how long it listened. */
  readonly seconds: number;
}

/** Until the time is over or a signal comes. Throws if there was no connection at all. */
async function listen(mqtt: MqttConfig, filter: string, seconds: number): Promise<Heard> {
  const sniffer = new Sniffer();
  const ears = new Ears(sniffer, mqtt, filter);
  const timer = new AbortController();
  const interrupt = () => timer.abort();
  process.once('SIGINT', interrupt);
  try {
    await ears.connected(timer.signal);
    await sleep(1000 * seconds, undefined, { signal: timer.signal }).catch(() => {});
    return { sniffer, seconds: Math.max(0.1, Math.round(ears.listenedMs / 100) / 10) };
  } finally {
    process.off('SIGINT', interrupt);
    await ears.connection.stop(200);
  }
}

/** A connection that hands everything on. */
class Ears {
  readonly connection: MqttConnection;
  readonly #mqtt: MqttConfig;
  #startedMs = Number.NaN;
  #lost = 'it does not answer';
  #onSettled: (error?: Error) => void = () => {};

  constructor(sniffer: Sniffer, mqtt: MqttConfig, filter: string) {
    this.#mqtt = mqtt;
    this.connection = new MqttConnection({
      mqtt,
      filters: [filter],
      keepSession: false,
      outbox: new Outbox(2, 1),
      receiveMaximum: 1000,
      packetBytes: 16 << 20,
      events: {
        onMessage: (topic, payload, retained, proceed) => {
          sniffer.hear(topic, payload, retained);
          proceed();
        },
        onReady: () => {
          if (Number.isNaN(this.#startedMs)) this.#startedMs = performance.now();
          this.#onSettled();
        },
        onLost: (reason) => {
          this.#lost = reason;
        },
        onFatal: (error) => this.#onSettled(error),
        onProblem: (text) => void process.stderr.write(`dormouse sniff: ${printable(text)}\n`),
      },
    });
  }

  get listenedMs(): number {
    return performance.now() - this.#startedMs;
  }

  /** Connects. Throws when the broker refuses, or when that takes longer than the connection may. */
  async connected(signal: AbortSignal): Promise<void> {
    const settled = new Promise<void>((resolve, reject) => {
      this.#onSettled = (error) => (error === undefined ? resolve() : reject(error));
    });
    this.connection.start();
    const late = sleep(this.#mqtt.connectTimeoutMs, 'late' as const, { signal, ref: false }).catch(
      () => 'late' as const,
    );
    if ((await Promise.race([settled, late])) === 'late')
      throw new Error(`not connected to ${this.#mqtt.url}: ${this.#lost}`);
  }
}

function textReport(sniffer: Sniffer, channels: readonly ProposedChannel[], seconds: number): string {
  const topics = [...sniffer.topics.values()].sort((a, b) => a.topic.localeCompare(b.topic));
  const forgotten = sniffer.forgotten === 0 ? '' : `; ${sniffer.forgotten} more were not remembered`;
  return [
    `${sniffer.messages} messages on ${topics.length} topics in ${seconds} s${forgotten}`,
    '',
    ...table(
      topics.map(({ topic, format, messages, retained }) => [
        topic,
        format,
        `${perMinute(messages - retained, seconds)}${retained > 0 ? ', retained' : ''}`,
      ]),
    ),
    '',
    ...(channels.length === 0 ? ['nothing that could be a channel'] : ['could be channels:', '']),
    ...table(channels.map(({ name, value }) => [name, remark(value, seconds)])),
  ].join('\n');
}

function table(rows: readonly (readonly string[])[]): string[] {
  const cells = rows.map((row) => row.map(printable));
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.min(60, Math.max(...cells.map((row) => row[column]!.length))),
  );
  return cells.map(
    (row) =>
      `  ${row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd()}`,
  );
}

function jsonReport(
  sniffer: Sniffer,
  channels: readonly ProposedChannel[],
  config: string,
  seconds: number,
): string {
  const number = (value: number) => (Number.isNaN(value) ? null : value);
  return JSON.stringify({
    messages: sniffer.messages,
    seconds,
    topics: [...sniffer.topics.values()],
    channels: channels.map(({ name, value: { source, unit, updates, min, max } }) => ({
      name,
      source,
      unit: unit ?? null,
      min: number(min),
      max: number(max),
      perMinute: (60 * updates) / seconds,
    })),
    config,
  });
}
