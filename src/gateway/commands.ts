/** Commands over MQTT: `<prefix>/command/NAME`, each answered on `<prefix>/reply`. */
import type { Json } from '../engine/model.ts';
import { type PolicyName, policyNames } from '../gate/policy.ts';
import { didYouMean } from '../text/nearest.ts';
import { type CommandsConfig, type GatewayConfig, ownTopics } from './config/config.ts';
import type { Log } from './log.ts';
import type { OutgoingMessage } from './outbox.ts';
import type { GatewayPart } from './part.ts';
import type { Pipeline } from './pipeline.ts';

/** What commands do something to. */
type CommandedPipeline = Pick<Pipeline, 'override' | 'policy' | 'usePolicy' | 'forget' | 'recalibrate'>;

/** A command that is not carried out; the message says what was expected and what was got. */
class CommandError extends Error {}

interface Request {
  readonly id: string | null;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** What can go back to the model before. Throws RangeError where there is nothing to go back to. */
export interface RevocableModels {
  rollback(): void;
}

type Action = (pipeline: CommandedPipeline, request: Request, models?: RevocableModels) => void;

const actions: Readonly<Record<string, Action>> = {
  safe: (pipeline) => {
    pipeline.override = 'safe';
  },
  skip: (pipeline) => {
    pipeline.override = 'skip';
  },
  resume: (pipeline) => {
    pipeline.override = 'none';
  },
  reset: (pipeline) => pipeline.forget(),
  recalibrate: (pipeline) => pipeline.recalibrate(),
  policy: (pipeline, { fields }) => usePolicy(pipeline, fields.policy),
  rollback: (_pipeline, _request, models) => {
    if (models === undefined) throw new CommandError('expected models in the config, got none');
    models.rollback();
  },
};

const payloadBytesMax = 1024;
const idPattern = /^[A-Za-z0-9._:-]{1,64}$/;
const minuteMs = 60_000;

export interface CommandsOptions {
  /** Monotonic. */
  readonly nowMs?: () => number;
  /** Absent: there is no model to go back to. */
  readonly models?: RevocableModels | undefined;
}

export class Commands implements GatewayPart {
  readonly filters: readonly string[];
  readonly #prefix: string;
  readonly #replyTopic: string;
  readonly #perMinute: number;
  readonly #pipeline: () => CommandedPipeline;
  readonly #log: Log;
  readonly #nowMs: () => number;
  readonly #models: RevocableModels | undefined;
  readonly #counts = { done: 0, refused: 0, ignored: 0 };
  #publish: (message: OutgoingMessage) => void = () => {};
  /** Commands of the minute that began then. */
  #minuteStartMs = Number.NEGATIVE_INFINITY;
  #inMinute = 0;

  /** `pipeline`: that of the gateway, which does not exist yet when its parts are made. */
  constructor(
    { perMinute }: CommandsConfig,
    config: Pick<GatewayConfig, 'topicPrefix' | 'output'>,
    pipeline: () => CommandedPipeline,
    log: Log,
    { nowMs = () => performance.now(), models }: CommandsOptions = {},
  ) {
    this.#prefix = `${config.topicPrefix}/command/`;
    this.filters = [`${this.#prefix}+`];
    this.#replyTopic = ownTopics(config).reply;
    this.#perMinute = perMinute;
    this.#pipeline = pipeline;
    this.#log = log;
    this.#nowMs = nowMs;
    this.#models = models;
  }

  onReady(publish: (message: OutgoingMessage) => void): void {
    this.#publish = publish;
  }

  onMessage(topic: string, payload: Uint8Array, retained: boolean): void {
    if (!topic.startsWith(this.#prefix)) return;
    const name = topic.slice(this.#prefix.length);
    // Whoever retained it did so once; it would come again at every start.
    if (retained)
      this.#ignore(`command ${printable(name)} ignored: it was retained, and a command is for now`);
    else if (this.#isTooMany()) this.#ignore(`commands ignored: more than ${this.#perMinute} in a minute`);
    else this.#obey(name, payload);
  }

  counters(): { readonly commands: { readonly [name: string]: Json } } {
    return { commands: { ...this.#counts } };
  }

  #isTooMany(): boolean {
    const nowMs = this.#nowMs();
    if (nowMs - this.#minuteStartMs >= minuteMs) {
      this.#minuteStartMs = nowMs;
      this.#inMinute = 0;
    }
    return ++this.#inMinute > this.#perMinute;
  }

  /** Told a few times only: who floods us must not flood the log. */
  #ignore(text: string): void {
    if (this.#counts.ignored++ < 10) this.#log.warning(text);
  }

  #obey(name: string, payload: Uint8Array): void {
    let id: string | null = null;
    try {
      const request = readRequest(payload);
      id = request.id;
      actionOf(name)(this.#pipeline(), request, this.#models);
      this.#counts.done++;
      this.#log.info(`command ${name}${id === null ? '' : ` (id ${id})`}: done`);
      this.#reply(id, name, undefined);
    } catch (error) {
      this.#counts.refused++;
      // A policy that the model does not fit is refused by the pipeline.
      if (!(error instanceof CommandError || error instanceof RangeError)) throw error;
      this.#log.warning(
        `command ${printable(name)}${id === null ? '' : ` (id ${id})`} refused: ${error.message}`,
      );
      this.#reply(id, name, error.message);
    }
  }

  #reply(id: string | null, name: string, error: string | undefined): void {
    const { override, policy } = this.#pipeline();
    const command = printable(name);
    const payload = {
      id,
      command,
      ok: error === undefined,
      ...(error === undefined ? {} : { error }),
      override,
      policy: policy.name,
    };
    this.#publish({ topic: this.#replyTopic, payload: JSON.stringify(payload), qos: 1, retain: false });
  }
}

function actionOf(name: string): Action {
  if (Object.hasOwn(actions, name)) return actions[name]!;
  const known = Object.keys(actions);
  throw new CommandError(
    `expected one of the commands ${known.join(', ')}, got ${printable(name)}${didYouMean(name, known)}`,
  );
}

/** Nothing, or a JSON object with what the command takes. */
function readRequest(payload: Uint8Array): Request {
  if (payload.length > payloadBytesMax)
    throw new CommandError(`expected at most ${payloadBytesMax} bytes, got ${payload.length}`);
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString();
  const fields = text.trim() === '' ? {} : parseObject(text);
  return { id: idOf(fields), fields };
}

function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new CommandError('expected nothing or a JSON object, got something that is not JSON');
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new CommandError(
    `expected nothing or a JSON object, got ${Array.isArray(value) ? 'a list' : 'JSON that is none'}`,
  );
}

function idOf({ id }: Record<string, unknown>): string | null {
  if (id === undefined || id === null) return null;
  if (typeof id === 'string' && idPattern.test(id)) return id;
  throw new CommandError('id: expected 1 to 64 letters, digits, . _ : and -');
}

function usePolicy(pipeline: CommandedPipeline, name: unknown): void {
  if (typeof name === 'string' && (policyNames as readonly string[]).includes(name)) {
    pipeline.usePolicy(name as PolicyName);
    return;
  }
  const got = typeof name === 'string' ? printable(name) : 'none';
  throw new CommandError(`policy: expected one of ${policyNames.join(', ')}, got ${got}`);
}

/** What came from outside, short and on one line, for the log and the reply. */
function printable(text: string): string {
  return JSON.stringify(text.slice(0, 64)).slice(1, -1);
}
