/** `dormouse record`: what sensors say, written as a recording to train on, or as raw messages to play again. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { targets } from '../energy/target.ts';
import { policyNames } from '../gate/policy.ts';
import {
  GatewayConfigError,
  loadRecorderConfig,
  type RecorderConfig,
} from '../gateway/config/load-config.ts';
import { makeLog } from '../gateway/log.ts';
import { Recorder } from '../gateway/recorder.ts';
import { MessageWriter } from '../recording/message-writer.ts';
import { type RecordingLayout, RecordingWriter, rowsMin } from '../recording/writer.ts';
import { version } from '../version.ts';
import type { Command } from './command.ts';
import { parseBytes } from './memory-bound.ts';
import { numberOption, parseOptions, requireArguments, requireOption, wholeNumberOption } from './options.ts';

const usage = `Usage: dormouse record CONFIG -o DIRECTORY [--seconds S] [options]

Listens to the topics of a gateway's CONFIG and writes what comes as a recording: one row per tick, as 'dormouse run' would make
them, which 'train' and 'eval' read. CONFIG needs no model: the channels are those it lists. Labels come from a topic
that CONFIG's section 'record' names (docs/recording.md). A folder that holds such a recording already gets more files.

  -o, --output DIRECTORY  where to write
  --seconds S             stop after so long (default: until SIGINT or SIGTERM)
  --device NAME           what {device} stands for, where CONFIG is one that gateways share
  --raw                   write the messages as they come, messages.ndjson, which 'replay' plays; no rows
  --file-size SIZE        of one file at most, such as 64M (default); with --raw the end of it
  --files N               files kept, the oldest goes first (default 16)
  --json                  print one JSON object at the end: rows, rowsKept, unlabelled, stale, messages
`;

const options = {
  output: { type: 'string', short: 'o' },
  seconds: { type: 'string' },
  device: { type: 'string' },
  raw: { type: 'boolean', default: false },
  'file-size': { type: 'string', default: '64M' },
  files: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

const flushEachMs = 1000;

export const command: Command = {
  name: 'record',
  summary: 'record what sensors say, with labels from a topic, to train on',
  usage,
  async run(args) {
    const { values, positionals } = parseOptions({ args, options, allowPositionals: true });
    const [path] = requireArguments(positionals, 'a config file');
    const output = requireOption('output', values.output, 'DIRECTORY');
    const seconds = numberOption('seconds', values.seconds, Number.POSITIVE_INFINITY, 0.1, 1e9);
    const fileBytes = parseBytes('file-size', values['file-size']);
    const files = wholeNumberOption('files', values.files, 16, 1, 10_000);
    const loaded = load(path, values.device);
    if (loaded === undefined) return 1;
    const store = values.raw
      ? await RawStore.open(output, fileBytes)
      : new RowStore(output, loaded, fileBytes, files);
    return new Recording(loaded, store, values.json).run(seconds);
  },
};

function load(path: string, device: string | undefined): RecorderConfig | undefined {
  const options = { policies: policyNames, targets: Object.keys(targets) };
  try {
    return loadRecorderConfig(path, device === undefined ? options : { ...options, device });
  } catch (error) {
    if (!(error instanceof GatewayConfigError)) throw error;
    process.stderr.write(`dormouse record: ${error.message}\n`);
    return undefined;
  }
}

/** Where a recording goes to. */
interface Store {
  tick(timeMs: number, values: Float64Array, label: string | undefined): void;
  message(timeMs: number, topic: string, payload: Uint8Array): void;
  flush(): Promise<void>;
  close(): Promise<void>;
  counters(): Record<string, number>;
  /** What it is now, in a sentence; and whether it is of use. */
  verdict(): { readonly text: string; readonly isUseful: boolean };
}

class RowStore implements Store {
  readonly #writer: RecordingWriter;
  readonly #directory: string;
  readonly #byLabel = new Map<string, number>();

  constructor(directory: string, loaded: RecorderConfig, fileBytes: number, files: number) {
    this.#directory = directory;
    this.#writer = new RecordingWriter(directory, layoutOf(loaded), { fileBytes, files });
  }

  tick(timeMs: number, values: Float64Array, label: string | undefined): void {
    this.#writer.add(timeMs, values, label);
    if (label !== undefined) this.#byLabel.set(label, (this.#byLabel.get(label) ?? 0) + 1);
  }

  message(): void {}

  flush(): Promise<void> {
    return this.#writer.flush();
  }

  close(): Promise<void> {
    return this.#writer.close();
  }

  counters(): Record<string, number> {
    const { rows, rowsKept, stale } = this.#writer;
    return { rows, rowsKept, stale };
  }

  verdict(): { text: string; isUseful: boolean } {
    const { rows, rowsKept } = this.#writer;
    const labels = [...this.#byLabel].map(([label, count]) => `${label} ${count}`).join(', ');
    const isUseful = rowsKept >= rowsMin;
    return {
      text:
        `${rows} rows${labels === '' ? '' : ` (${labels})`} in ${this.#directory}, ${rowsKept} with what was there` +
        `${isUseful ? `; next: dormouse train ${this.#directory} -o MODEL` : `; a recording needs at least ${rowsMin}`}`,
      isUseful,
    };
  }
}

class RawStore implements Store {
  readonly #writer: MessageWriter;
  readonly #path: string;

  private constructor(writer: MessageWriter, path: string) {
    this.#writer = writer;
    this.#path = path;
  }

  static async open(directory: string, maxBytes: number): Promise<RawStore> {
    mkdirSync(directory, { recursive: true });
    const path = join(directory, 'messages.ndjson');
    return new RawStore(await MessageWriter.create(path, maxBytes), path);
  }

  tick(): void {}

  message(timeMs: number, topic: string, payload: Uint8Array): void {
    this.#writer.add(timeMs, topic, payload);
  }

  flush(): Promise<void> {
    return this.#writer.flush();
  }

  close(): Promise<void> {
    return this.#writer.close();
  }

  counters(): Record<string, number> {
    const { messages, binary, left } = this.#writer;
    return { messages, binary, left };
  }

  verdict(): { text: string; isUseful: boolean } {
    const { messages, binary, left } = this.#writer;
    const without = [
      binary > 0 ? `${binary} that are no text` : '',
      left > 0 ? `${left} beyond its size` : '',
    ];
    const missing = without.filter((text) => text !== '').join(', ');
    return {
      text: `${messages} messages in ${this.#path}${missing === '' ? '' : `, without ${missing}`}`,
      isUseful: messages > 0,
    };
  }
}

function layoutOf({ config, record, channels }: RecorderConfig): RecordingLayout {
  return {
    name: config.gateway,
    source: `dormouse ${version} record, gateway ${config.gateway}`,
    task: record.task,
    channels,
    classes: record.classes,
    ...(record.horizon === undefined ? {} : { horizon: record.horizon }),
    hasLabels: record.label !== undefined,
    ...(config.frame.mode === 'grid' ? { intervalS: config.frame.intervalMs / 1000 } : {}),
  };
}

/** One run from start to exit code. */
class Recording {
  readonly #store: Store;
  readonly #recorder: Recorder;
  readonly #json: boolean;
  readonly #log = makeLog((text) => void process.stderr.write(text), false, 'info');
  #failure: Error | undefined;
  #end: () => void = () => {};

  constructor(loaded: RecorderConfig, store: Store, json: boolean) {
    this.#store = store;
    this.#json = json;
    this.#recorder = new Recorder(loaded, {
      log: this.#log,
      sink: {
        onTick: (timeMs, values, label) => store.tick(timeMs, values, label),
        onMessage: (timeMs, topic, payload) => store.message(timeMs, topic, payload),
      },
      onFatal: (error) => this.#fail(error),
    });
  }

  async run(seconds: number): Promise<number> {
    const over = new Promise<void>((resolve) => {
      this.#end = resolve;
    });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, this.#end);
    const timer = Number.isFinite(seconds)
      ? setTimeout(this.#end, Math.min(seconds * 1000, 2 ** 31 - 1))
      : undefined;
    const flush = setInterval(
      () => void this.#store.flush().catch((error) => this.#fail(error)),
      flushEachMs,
    );
    this.#recorder.start();
    await over;
    clearTimeout(timer);
    clearInterval(flush);
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, this.#end);
    await this.#recorder.stop();
    await this.#store.close();
    if (this.#failure !== undefined) throw this.#failure;
    return this.#report();
  }

  /** A disk that refuses, a broker that will never take us: what is written so far stays. */
  #fail(error: Error): void {
    this.#failure = error;
    this.#end();
  }

  #report(): number {
    const { unlabelled, intake } = this.#recorder;
    const { text, isUseful } = this.#store.verdict();
    const counters = { ...this.#store.counters(), received: intake.received, unlabelled };
    const left = unlabelled > 0 ? `; ${unlabelled} ticks had no label yet and are left out` : '';
    process.stdout.write(`${this.#json ? JSON.stringify(counters) : `${text}${left}`}\n`);
    return isUseful ? 0 : 1;
  }
}
