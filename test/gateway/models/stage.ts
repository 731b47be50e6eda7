/** A gateway on a simulated broker, disk and clock, whose model is exchanged. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Model } from '../../../src/engine/model.ts';
import { saveModel } from '../../../src/engine/model-file.ts';
import { Commands } from '../../../src/gateway/commands.ts';
import { loadGatewayConfig } from '../../../src/gateway/config/load-config.ts';
import type { ModelSource } from '../../../src/gateway/models/model-source.ts';
import { ModelsPart } from '../../../src/gateway/models/models-part.ts';
import { makeKeyPair, readPrivateKey, sha256Of, signModel } from '../../../src/gateway/models/signature.ts';
import { uploadMessages } from '../../../src/gateway/models/upload.ts';
import type { Offered } from '../../../src/gateway/models/vet.ts';
import { Gateway } from '../../../src/gateway/service.ts';
import { randomNumbers, tinyModel } from '../../engine/tiny-model.ts';
import { SimulatedBroker } from '../../sim/broker.ts';
import { SimulatedDisk } from '../../sim/disk.ts';
import { Scheduler } from '../../sim/scheduler.ts';
import { Fixture, noteLog, type Result } from '../fixture.ts';

export const startMs = 1_700_000_000_000;
export const keys = makeKeyPair();
const privateKey = readPrivateKey(keys.privateKey);

/** As the fixture's model, but another file. */
export function twin(name = 'twin'): Uint8Array {
  return saveModel(tinyModel({ meaning: { provenance: { made: name } } }));
}

/** A model that answers otherwise. */
export function stranger(seed = 2): Uint8Array {
  return saveModel(tinyModel({ seed }));
}

export function offered(bytes: Uint8Array, isSigned = true): Offered {
  return { bytes, signature: isSigned ? signModel(sha256Of(bytes), privateKey) : null };
}

/** Answers as `model` for its first ticks, then throws: what no model file can do, and every bug. */
export type Status = Record<string, unknown> & {
  current: string;
  previous: string | null;
  phase: string;
  candidate: string | null;
  last: { sha256: string; outcome: string; code?: string; reason?: string } | null;
};

/** In memory; stands for the file that the config names. */
export class FileStandIn implements ModelSource {
  content: Offered;
  changes = 0;
  constructor(content: Offered) {
    this.content = content;
  }
  put(content: Offered): void {
    this.content = content;
    this.changes++;
  }
  async stamp(): Promise<string> {
    return String(this.changes);
  }
  async read(): Promise<Offered> {
    return this.content;
  }
}

export class Stage {
  readonly fixture = new Fixture();
  readonly scheduler = new Scheduler();
  readonly broker = new SimulatedBroker(this.scheduler, randomNumbers(1));
  readonly disk = new SimulatedDisk({ random: randomNumbers(2) });
  readonly memoryDisk = new SimulatedDisk({ random: randomNumbers(4) });
  readonly source: FileStandIn;
  readonly log = noteLog();
  readonly results: Result[] = [];
  readonly replies: Record<string, unknown>[] = [];
  readonly statuses: Status[] = [];
  gateway: Gateway = undefined as never;
  part!: ModelsPart;
  /** Where the config has one. */
  /** What the device allows all engines together. */
  engineBytesMax: number | undefined;
  /** How long a turn of the event loop takes. */
  turnMs = 0;
  #life = 0;
  #sent = 0;

  constructor(model: Model = tinyModel()) {
    this.source = new FileStandIn(offered(saveModel(model)));
    writeFileSync(this.fixture.path('key.pem'), keys.publicKey);
    this.broker.onPublish = ({ topic, payload }) => {
      const read = () => JSON.parse(payload.toString());
      if (topic === 'dormouse/test/state') this.results.push(read());
      if (topic === 'dormouse/test/reply') this.replies.push(read());
      if (topic === 'dormouse/test/models') this.statuses.push(read());
    };
  }

  get status(): Status {
    return this.part.status() as Status;
  }

  /** Starts a gateway; `models` are settings of that section. Rejects where it can't. */
  async start(
    models: Record<string, unknown> = {},
    config: Record<string, unknown> = {},
    memoryLeft?: () => number,
  ): Promise<void> {
    const life = ++this.#life;
    const trial = { ticks: 20, tokens: 2, answers: 0 };
    const path = this.fixture.writeConfig('mqtt://simulated', {
      models: {
        directory: 'models',
        publicKeyFile: 'key.pem',
        canary: trial,
        watch: trial,
        upload: true,
        ...models,
      },
      commands: { perMinute: 1000 },
      ...config,
    });
    const loaded = loadGatewayConfig(path);
    const timers = this.scheduler.timersOf(
      () => this.#life === life,
      () => this.turnMs,
    );
    const { disk, log, source } = this;
    const part = new ModelsPart({ loaded, gateway: () => gateway, log, timers, disk, source, memoryLeft });
    const commands = new Commands(loaded.config.commands!, loaded.config, () => gateway.pipeline, log, {
      models: part,
      nowMs: () => this.scheduler.nowMs,
    });
    const gateway: Gateway = new Gateway(loaded, {
      log,
      ...(this.engineBytesMax === undefined ? {} : { engine: { maxBytes: this.engineBytesMax } }),
      parts: [part, commands],
      timers,
      clock: { nowMs: () => startMs + this.scheduler.nowMs },
      network: { makeClient: this.broker.makeClient, random: randomNumbers(3) },
    });
    await part.open();
    this.gateway = gateway;
    this.part = part;
    gateway.start();
    await this.scheduler.run(100);
  }

  /** Like SIGKILL, with or without the power. */
  kill(withPower = false): void {
    this.#life++;
    this.broker.cutAll();
    if (withPower) this.disk.cutPower();
  }

  async stop(): Promise<void> {
    if (this.gateway === undefined) return;
    const stopping = this.gateway.stop();
    await this.scheduler.run(2000);
    await stopping;
  }

  /** So many messages, a second apart, that move enough to be computed now and then. */
  async ticks(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.send();
      await this.scheduler.run(1000);
    }
  }

  /** The next message. */
  send(): void {
    const wave = Math.sin(this.#sent / 3) * 3;
    const time = startMs + this.#sent++ * 1000;
    const message = { time, temperature: 20 + wave, humidity: 20 - wave };
    this.broker.publish('room/climate', Buffer.from(JSON.stringify(message)));
  }

  /** Sends a model over MQTT. */
  async upload(model: Offered, options: { id?: string; partBytes?: number } = {}): Promise<void> {
    for (const { topic, payload } of uploadMessages('dormouse/test', model, sha256Of(model.bytes), options))
      this.broker.publish(topic, payload);
    await this.scheduler.run(500);
  }

  async command(name: string): Promise<Record<string, unknown>> {
    this.broker.publish(`dormouse/test/command/${name}`, Buffer.alloc(0));
    await this.scheduler.run(100);
    return this.replies.at(-1)!;
  }

  /** Each tick was answered once, in order, whichever model did. */
  unanswered(): number[] {
    const answered = this.results.map(({ sequence }) => sequence);
    return Array.from({ length: this.#sent }, (_, i) => i).filter((i) => answered[i] !== i);
  }

  get sent(): number {
    return this.#sent;
  }

  remove(): void {
    this.fixture.remove();
  }
}

export function fileOf(stage: Stage): Uint8Array {
  return readFileSync(stage.fixture.path('model.safetensors'));
}
