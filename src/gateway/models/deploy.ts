/** Brings a model to a gateway over MQTT, and hears what becomes of it. */
import { randomUUID } from 'node:crypto';
import type { MqttConfig } from '../config/config.ts';
import { MqttConnection } from '../mqtt/mqtt.ts';
import { Outbox } from '../outbox.ts';
import { sha256Of } from './signature.ts';
import { uploadMessages } from './upload.ts';
import type { Offered } from './vet.ts';

export interface DeployOptions {
  readonly mqtt: MqttConfig;
  /** Of the gateway. */
  readonly topicPrefix: string;
  readonly partBytes: number;
  /** How far to follow it: until it computes beside the model at work, or until it has taken its place. */
  readonly until: 'canary' | 'promoted';
  /** Without an answer for so long, it fails. Following a canary has no end but its own. */
  readonly answerMs: number;
  readonly onProgress?: (text: string) => void;
}

/** The gateway refuses the model, or does not answer. */
export class DeployError extends Error {
  override readonly name = 'DeployError';
}

const inFlight = 8;

/** Resolves with what the model has come to. Throws DeployError. */
export async function deployModel(offered: Offered, options: DeployOptions): Promise<string> {
  const deployment = new Deployment(offered, options);
  try {
    return await deployment.run();
  } finally {
    await deployment.stop();
  }
}

type Fields = Readonly<Record<string, unknown>>;

class Deployment {
  readonly #options: DeployOptions;
  readonly #offered: Offered;
  readonly #sha256: string;
  readonly #id = randomUUID();
  readonly #outbox = new Outbox(2 * inFlight, inFlight);
  readonly #connection: MqttConnection;
  readonly #end: Promise<string>;
  #resolve: (text: string) => void = () => {};
  #reject: (error: Error) => void = () => {};
  #timer: NodeJS.Timeout | undefined;
  #hasSent = false;

  constructor(offered: Offered, options: DeployOptions) {
    this.#offered = offered;
    this.#options = options;
    this.#sha256 = sha256Of(offered.bytes);
    this.#end = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#end.catch(() => {});
    const { mqtt, topicPrefix } = options;
    this.#connection = new MqttConnection({
      mqtt,
      filters: [`${topicPrefix}/reply`, `${topicPrefix}/models`],
      keepSession: false,
      outbox: this.#outbox,
      receiveMaximum: 16,
      packetBytes: 1 << 20,
      events: {
        onMessage: (topic, payload, retained, proceed) => {
          proceed();
          this.#hear(topic, payload, retained);
        },
        onReady: () => this.#offer(),
        onLost: (reason) => options.onProgress?.(`not connected: ${reason}`),
        onFatal: (error) => this.#fail(error.message),
        onProblem: (text) => options.onProgress?.(text),
      },
    });
  }

  run(): Promise<string> {
    this.#expectAnswer('the broker');
    this.#connection.start();
    return this.#end;
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#connection.stop(500);
  }

  get #messages() {
    const { topicPrefix, partBytes } = this.#options;
    return uploadMessages(topicPrefix, this.#offered, this.#sha256, { id: this.#id, partBytes });
  }

  #offer(): void {
    if (this.#hasSent) return;
    this.#expectAnswer('the gateway');
    this.#connection.publish({ ...this.#messages[0]!, qos: 1, retain: false });
  }

  async #sendParts(): Promise<void> {
    this.#hasSent = true;
    const parts = this.#messages.slice(1);
    for (const [index, part] of parts.entries()) {
      await this.#outbox.fewerThan(this.#outbox.capacity);
      this.#connection.publish({ ...part, qos: 1, retain: false });
      this.#options.onProgress?.(`${index + 1} of ${parts.length} parts`);
      this.#expectAnswer('the gateway');
    }
  }

  #hear(topic: string, payload: Buffer, retained: boolean): void {
    const fields = parse(payload);
    if (topic.endsWith('/reply')) {
      if (fields.id === this.#id && fields.command === 'model' && !retained) this.#hearReply(fields);
    } else if (fields.candidate === this.#sha256) this.#hearPhase(String(fields.phase));
  }

  #hearReply({ ok, error, outcome }: Fields): void {
    if (ok !== true) this.#fail(`refused: ${String(error)}`);
    else if (outcome === undefined && !this.#hasSent) void this.#sendParts();
    else if (outcome === 'alreadyAtWork') this.#resolve('it is the model at work already');
    else if (outcome === 'promoted') this.#resolve('it has taken over, and is watched');
  }

  #hearPhase(phase: string): void {
    this.#options.onProgress?.(`phase ${phase}`);
    if (phase !== 'canary' && phase !== 'selfTest') return;
    clearTimeout(this.#timer);
    if (phase === 'canary' && this.#options.until === 'canary')
      this.#resolve('accepted: it computes beside the model at work');
  }

  #expectAnswer(from: string): void {
    const { answerMs, mqtt, topicPrefix } = this.#options;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => this.#fail(`no answer of ${from} for ${answerMs / 1000} s (${mqtt.url}, ${topicPrefix})`),
      answerMs,
    );
  }

  #fail(text: string): void {
    this.#reject(new DeployError(text));
  }
}

/** What is no object says nothing. */
function parse(payload: Buffer): Fields {
  try {
    const value: unknown = JSON.parse(payload.toString());
    return typeof value === 'object' && value !== null ? (value as Fields) : {};
  } catch {
    return {};
  }
}
