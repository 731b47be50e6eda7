/** `dormouse replay`: a recording, played to a broker as if the sensors spoke again. */
import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { topicNameProblem } from '../gateway/mqtt/topics.ts';
import { type PlayReport, playMessages, rowsAsMessages } from '../gateway/player.ts';
import { type RawMessage, readMessages } from '../recording/messages.ts';
import { openRecording, readSeries } from '../recording/recording.ts';
import { credentialOptions, readBroker } from './broker-options.ts';
import { type Command, UsageError } from './command.ts';
import { numberOption, parseOptions, requireArguments, wholeNumberOption } from './options.ts';
import { replayOffline } from './replay-offline.ts';

const usage = `Usage: dormouse replay FILE --broker URL [--topic TOPIC] [options]
       dormouse replay FILE --config CONFIG [--topic TOPIC] [--witness-log DIRECTORY] [--json]

With --broker: publishes a recording with QoS 1 and waits until the broker has acknowledged every message; after a lost
connection it connects again and sends what was not acknowledged once more. With --config: no broker, the gateway of that
config lives through the recording by the recording's own clock, as fast as it can; what it would publish goes to
standard output, a line each. FILE is one of

  NAME.csv      beside its recording.json: each row becomes one JSON object, {"time": milliseconds, CHANNEL: value, ...},
                null where a value is missing; needs --topic
  NAME.ndjson   raw messages {"t": milliseconds, "topic": "...", "payload": "..."}, published as they were;
                with --topic to that topic instead

  --broker URL          mqtt://host:1883, mqtts://, ws:// or wss://
  --topic TOPIC         where to publish
  --rate X              X times as fast as it was recorded (default 1)
  --max                 as fast as the broker acknowledges. A broker queues only so much for a slow reader
                        (Mosquitto: max_queued_messages 1000) and silently drops the rest
  --in-flight N         messages that wait for their acknowledgement at most (default 20)
  --give-up SECONDS     fail after so long without a connection (default 60)
  --username NAME       with --password-file FILE or --password-env VARIABLE
  --config CONFIG       without a broker: a gateway's config
  --witness-log DIRECTORY   with --config: where its witnesses go, the same bytes each time; the folder must be new or
                        empty. Nothing else of what the config would write is written
  --json                print the report as one JSON object: messages, acknowledged, resent, refused, connects, seconds;
                        with --config: messages, ticks, skips, tiers, results, seconds
`;

const options = {
  broker: { type: 'string' },
  config: { type: 'string' },
  'witness-log': { type: 'string' },
  topic: { type: 'string' },
  rate: { type: 'string' },
  max: { type: 'boolean', default: false },
  'in-flight': { type: 'string' },
  'give-up': { type: 'string' },
  ...credentialOptions,
  json: { type: 'boolean', default: false },
} as const;

export const command: Command = {
  name: 'replay',
  summary: 'play a recording to a broker, in time or as fast as it goes',
  usage,
  async run(args) {
    const { values, positionals } = parseOptions({ args, options, allowPositionals: true });
    const [path] = requireArguments(positionals, 'a CSV or NDJSON file');
    if (values.max && values.rate !== undefined) throw new UsageError('--rate and --max exclude each other');
    const rate = numberOption('rate', values.rate, 1, 0.001, 1e9);
    if (values.config !== undefined) {
      const source = openSource(path, values.topic);
      return replayOffline(source, values.config, values['witness-log'], values.json);
    }
    if (values.broker === undefined) throw new UsageError('expected --broker URL or --config CONFIG');
    const mqtt = readBroker(values.broker, values, 'replay');
    const report = await playMessages(openSource(path, values.topic), {
      mqtt,
      rate: values.max ? Number.POSITIVE_INFINITY : rate,
      inFlight: wholeNumberOption('in-flight', values['in-flight'], 20, 1, 1000),
      giveUpMs: 1000 * numberOption('give-up', values['give-up'], 60, 0.1, 1e6),
      onLost: (reason) => void process.stderr.write(`dormouse replay: not connected: ${reason}\n`),
      ...(process.stderr.isTTY ? { onProgress: makeProgress() } : {}),
    });
    process.stdout.write(`${values.json ? JSON.stringify(report) : describeReport(report)}\n`);
    return report.acknowledged === report.messages ? 0 : 1;
  },
};

/** Opens FILE by its ending. Throws UsageError, and RecordingError for what is wrong with the file. */
function openSource(
  path: string,
  topic: string | undefined,
): AsyncIterable<RawMessage> | Iterable<RawMessage> {
  const problem = topic === undefined ? undefined : topicNameProblem(topic);
  if (problem !== undefined)
    throw new UsageError(`--topic: expected a topic without wildcards, got one with ${problem}`);
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) throw new Error(`${path}: expected a CSV or NDJSON file, got no such file`);
  if (found.isDirectory()) throw new UsageError(`${path} is a directory; expected one CSV or NDJSON file`);
  if (/\.(ndjson|jsonl)$/.test(path)) return redirected(path, topic);
  if (topic === undefined) throw new UsageError('expected --topic TOPIC');
  const recording = openRecording(path);
  return rowsAsMessages(readSeries(recording, basename(path)), recording.channels, topic);
}

async function* redirected(path: string, topic: string | undefined): AsyncGenerator<RawMessage> {
  const tell = (line: number) =>
    void process.stderr.write(`dormouse replay: line ${line} was never finished and is left out\n`);
  for await (const message of readMessages(path, tell))
    yield topic === undefined ? message : { ...message, topic };
}

/** Rewrites one line of the terminal, a few times a second. */
function makeProgress(): (sent: number) => void {
  let shownMs = 0;
  return (sent) => {
    if (performance.now() - shownMs < 250) return;
    shownMs = performance.now();
    process.stderr.write(`\r${sent} messages `);
  };
}

function describeReport({ messages, acknowledged, resent, refused, connects, seconds }: PlayReport): string {
  const perSecond = Math.round(messages / Math.max(seconds, 1e-3));
  return (
    `${messages} messages in ${seconds.toFixed(1)} s (${perSecond}/s): ${acknowledged} acknowledged, ` +
    `${resent} sent again, ${refused} refused, ${connects === 1 ? 'one connection' : `${connects} connections`}`
  );
}
