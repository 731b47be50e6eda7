/**
 * Hours of a gateway's life by one seed: sensors, a broker, a disk, and a gateway that is killed and started again,
 * while everything fails now and then. At last all faults end, and what must hold is looked at.
 */
import { Engine } from '../../src/engine/engine.ts';
import { Commands, type RevocableModels } from '../../src/gateway/commands.ts';
import type { LoadedConfig } from '../../src/gateway/config/load-config.ts';
import { Storage } from '../../src/gateway/disk/storage.ts';
import type { ModelsPart } from '../../src/gateway/models/models-part.ts';
import { Pipeline } from '../../src/gateway/pipeline.ts';
import { Gateway } from '../../src/gateway/service.ts';
import { randomNumbers } from '../engine/tiny-model.ts';
import { silentLog } from '../gateway/fixture.ts';
import { SimulatedBroker } from './broker.ts';
import { SimulatedDisk } from './disk.ts';
import { SimulatedModels } from './models.ts';
import { Scheduler } from './scheduler.ts';

export interface WorldOptions {
  readonly seed: number;
  readonly loaded: LoadedConfig;
  readonly hours: number;
  /** Milliseconds between messages, about. */
  readonly intervalMs: number;
  /** Faults that happen, about so many per hour. */
  readonly faultsPerHour: number;
  /** Whether the gateway is killed too; where it is not, its state must be that of an undisturbed one. */
  readonly kills: boolean;
  /** Retained messages that come with the subscription. */
  readonly retained: number;
  /** A disk that syncs nothing: what must not go unnoticed. */
  readonly diskLies?: boolean;
}

export interface WorldReport {
  readonly sent: number;
  readonly faults: readonly string[];
  readonly lives: number;
  readonly results: number;
  /** Models that took over. */
  readonly promotions: number;
  /** What does not hold; empty: all is well. */
  readonly problems: readonly string[];
}

const hourMs = 3_600_000;
const startMs = 1_700_000_000_000;
const topic = 'room/climate';

export async function live(options: WorldOptions): Promise<WorldReport> {
  return new World(options).live();
}

class World {
  readonly #options: WorldOptions;
  readonly #random: () => number;
  readonly #scheduler = new Scheduler();
  readonly #broker: SimulatedBroker;
  readonly #disk: SimulatedDisk;
  /** Where the config has models. */
  readonly #models: SimulatedModels | undefined;
  readonly #faults: string[] = [];
  readonly #problems: string[] = [];
  readonly #acknowledged = new Set<number>();
  /** Of each time: the life of the gateway that published it first. */
  readonly #results = new Map<number, { readonly life: number; readonly text: string }>();
  #order: number[] = [];
  #life = 0;
  #gateway: Gateway | undefined;
  #part: ModelsPart | undefined;
  /** How far the gateway's clock is off. */
  #clockOffMs = 0;
  #sent = 0;
  #lastTimeMs = 0;
  /** Messages from ahead, of all lives. */
  #doubted = 0;
  /** Until then the gateway does not come to its work. */
  #busyUntilMs = 0;
  #isOver = false;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#random = randomNumbers(options.seed);
    this.#broker = new SimulatedBroker(this.#scheduler, this.#random);
    this.#disk = new SimulatedDisk({ random: this.#random });
    this.#disk.lies = options.diskLies ?? false;
    if (options.loaded.config.models !== undefined)
      this.#models = new SimulatedModels(this.#random, (name, payload) =>
        this.#broker.publish(name, payload),
      );
    this.#broker.onPublish = ({ topic: name, payload }) => {
      if (name.endsWith('/state')) this.#note(payload.toString());
      if (name.endsWith('/models')) this.#models?.noteStatus(payload.toString());
    };
    this.#broker.onAcknowledged = ({ topic: name, payload, retain }) => {
      if (name === topic && !retain) this.#noteAcknowledged(payload.toString());
    };
  }

  async live(): Promise<WorldReport> {
    const { hours, faultsPerHour, intervalMs, retained } = this.#options;
    for (let i = 0; i < retained; i++)
      this.#broker.publish(`room/${i}`, Buffer.from('{"time":0,"temperature":1}'), { retain: true });
    await this.#start();
    this.#sendLater(intervalMs);
    const faults = Math.round(hours * faultsPerHour);
    for (let i = 0; i < faults; i++) {
      await this.#scheduler.run((hours * hourMs * (0.5 + this.#random())) / faults);
      await this.#fault();
      this.#checkBounds();
    }
    await this.#endFaults();
    this.#check();
    const problems = [...this.#problems, ...(this.#models?.problems ?? [])];
    const report = {
      sent: this.#sent,
      faults: this.#faults,
      lives: this.#life,
      results: this.#results.size,
      promotions: this.#models?.promotions ?? 0,
      problems,
    };
    await this.#end();
    return report;
  }

  async #start(): Promise<void> {
    const life = ++this.#life;
    const offMs = startMs + this.#clockOffMs;
    const { loaded } = this.#options;
    const isAlive = () => this.#life === life;
    const timers = this.#scheduler.timersOf(isAlive, () =>
      Math.max(0, this.#busyUntilMs - this.#scheduler.nowMs),
    );
    const models = this.#models?.partFor(loaded, () => gateway, timers, isAlive);
    const gateway: Gateway = new Gateway(loaded, {
      log: silentLog,
      clock: { nowMs: () => offMs + this.#scheduler.nowMs },
      timers,
      parts: models === undefined ? [] : [models, this.#commands(loaded, () => gateway, models)],
      network: { makeClient: this.#broker.makeClient, random: this.#random },
      onFatal: (error) => void this.#problems.push(`fatal: ${error.message}`),
    });
    this.#gateway = gateway;
    if (loaded.config.storage !== undefined) {
      const { inbox } = gateway.intake;
      const options = { onProblem: () => {}, onKept: inbox.expectAgain.bind(inbox), disk: this.#disk };
      // A disk that refuses must not keep the gateway from its work.
      const storage = await Storage.open(loaded.config.storage, options).catch(() => undefined);
      if (storage !== undefined) gateway.useStorage(storage);
    }
    this.#part = models;
    const noteNoStart = (error: Error) => void this.#problems.push(`does not start: ${error.message}`);
    await models?.open().catch(noteNoStart);
    this.#models?.noteStart(gateway.served.loaded.modelSha256);
    gateway.start();
  }

  #commands({ config }: LoadedConfig, gateway: () => Gateway, models: RevocableModels): Commands {
    const nowMs = () => this.#scheduler.nowMs;
    return new Commands({ perMinute: 30 }, config, () => gateway().pipeline, silentLog, { models, nowMs });
  }

  /** Like SIGKILL: what was written is written. With the power, even that is not sure. */
  async #kill(withPower: boolean): Promise<void> {
    // In the middle of something.
    for (let i = 0; i < 20; i++) this.#scheduler.at(this.#below(30), () => this.#send());
    const isBehind = this.#random() < 0.5;
    if (isBehind) this.#busyUntilMs = this.#scheduler.nowMs + 10_000;
    await this.#scheduler.run(this.#below(isBehind ? 2000 : 40));
    if (this.#part !== undefined) this.#models?.noteEnd(this.#part, this.#scheduler.nowMs);
    this.#life++;
    this.#doubted += this.#gateway!.intake.frames.ahead;
    this.#broker.cutAll();
    for (const disk of this.#disks) {
      if (withPower) disk.cutPower();
      disk.failure = undefined;
      disk.failsToSync = false;
    }
    this.#models?.noteDisk(this.#scheduler.nowMs);
    await this.#scheduler.run(this.#below(5000));
    this.#busyUntilMs = 0;
    await this.#start();
  }

  #sendLater(intervalMs: number): void {
    this.#scheduler.at(intervalMs * (0.5 + this.#random()), () => {
      if (this.#isOver) return;
      this.#send();
      this.#sendLater(intervalMs);
    });
  }

  #send(): void {
    // No two alike.
    const time = Math.max(startMs + this.#scheduler.nowMs, this.#lastTimeMs + 0.01);
    this.#lastTimeMs = time;
    const wave = Math.sin(this.#sent / 3) * 3;
    const values = { temperature: 20 + wave, humidity: 50 - wave };
    this.#sent++;
    this.#broker.publish(topic, Buffer.from(JSON.stringify({ time, n: this.#sent, ...values })));
  }

  async #fault(): Promise<void> {
    const broker = this.#broker;
    const faults: { readonly [name: string]: () => void | Promise<void> } = {
      brokerKilled: () => {
        broker.kill();
        this.#scheduler.at(this.#below(60_000), () => broker.start());
      },
      brokerFrozen: () => {
        broker.freeze();
        this.#scheduler.at(this.#below(20_000), () => broker.thaw());
      },
      connectionCut: () => broker.cutAll(),
      halfOpen: () => broker.halfOpenAll(),
      refused: () => {
        broker.refusals = 1 + this.#below(5);
        broker.cutAll();
      },
      takenOver: () => broker.takeOverAll(),
      giant: () => broker.publish(topic, Buffer.alloc(100_000, '1')),
      poison: () => broker.publish(topic, Buffer.from('{"time":"__proto__","temperature":{"a":[]}}')),
      busy: () => {
        this.#busyUntilMs = this.#scheduler.nowMs + this.#below(20_000);
        for (let i = 0; i < 400; i++) this.#scheduler.at(i * 5, () => this.#send());
      },
      burst: () => {
        for (let i = 0; i < 200; i++) this.#scheduler.at(i, () => this.#send());
      },
      floodOfQos0: () => {
        for (let i = 0; i < 500; i++) broker.publish('other/flood', Buffer.from(String(i)), { qos: 0 });
      },
      killed: () => this.#kill(false),
      powerCut: () => this.#kill(true),
      clockBack: () => void (this.#clockOffMs -= 14 * 24 * hourMs),
      clockForward: () => void (this.#clockOffMs += hourMs),
      diskFull: () => {
        for (const disk of this.#disks) disk.capacityBytes = disk.usedBytes + this.#below(2000);
      },
      diskReadOnly: () => {
        for (const disk of this.#disks) disk.failure = 'EROFS';
      },
      diskBroken: () => {
        for (const disk of this.#disks) disk.failsToSync = true;
      },
      diskWell: () => this.#mendDisk(),
      ...this.#models?.faults(),
    };
    const isKill = (each: string) => each === 'killed' || each === 'powerCut';
    const names = Object.keys(faults).filter((each) => this.#options.kills || !isKill(each));
    const name = names[this.#below(names.length)]!;
    this.#faults.push(`${Math.round(this.#scheduler.nowMs / 1000)} s: ${name}`);
    await faults[name]!();
    if (name.startsWith('disk')) this.#models?.noteDisk(this.#scheduler.nowMs);
  }

  #mendDisk(): void {
    for (const disk of this.#disks) {
      disk.failure = undefined;
      disk.failsToSync = false;
      disk.capacityBytes = Number.POSITIVE_INFINITY;
    }
  }

  get #disks(): SimulatedDisk[] {
    const own = [this.#disk];
    return this.#models === undefined ? own : [...own, this.#models.disk];
  }

  async #endFaults(): Promise<void> {
    this.#mendDisk();
    this.#broker.start();
    this.#broker.thaw();
    this.#broker.refusals = 0;
    await this.#scheduler.run(10 * 60_000);
    this.#isOver = true;
    await this.#scheduler.run(5 * 60_000);
  }

  #note(text: string): void {
    const result = JSON.parse(text);
    const { late: _, ...rest } = result;
    this.#models?.noteResult(result.model);
    const known = this.#results.get(result.time);
    if (known === undefined) {
      this.#results.set(result.time, { life: this.#life, text: JSON.stringify(rest) });
      this.#order.push(result.time);
    } else if (known.life === this.#life && known.text !== JSON.stringify(rest) && !result.late)
      this.#problems.push(`two different results of ${result.time}`);
  }

  #noteAcknowledged(text: string): void {
    const time = /^\{"time":(\d+(?:\.\d+)?),"n"/.exec(text)?.[1];
    if (time !== undefined) this.#acknowledged.add(Number(time));
  }

  #checkBounds(): void {
    const { intake, outbox, config } = this.#gateway!;
    const { ring, unacknowledged } = intake.inbox;
    const expectAtMost = (name: string, value: number, bound: number) => {
      if (value > bound) this.#problems.push(`${name}: expected at most ${bound}, got ${value}`);
    };
    expectAtMost('messages in the ring', ring.count, config.limits.ringMessages);
    expectAtMost('unacknowledged', unacknowledged, 65_535);
    const { storage } = config;
    if (storage === undefined) expectAtMost('outbox', outbox.count, config.limits.outboxMessages);
    else expectAtMost('disk', this.#disk.usedBytes, 1.2 * (storage.intakeBytes + storage.outboxBytes));
  }

  #check(): void {
    const gateway = this.#gateway!;
    const missing = [...this.#acknowledged].filter((time) => !this.#results.has(time));
    // What came while the clocks did not agree was not believed at once, and counted.
    this.#doubted += gateway.intake.frames.ahead;
    if (missing.length > this.#doubted)
      this.#problems.push(
        `${missing.length} acknowledged and lost (${this.#doubted} were doubted), the first ${missing[0]}`,
      );
    if (this.#acknowledged.size < this.#sent)
      this.#problems.push(`${this.#sent - this.#acknowledged.size} of ${this.#sent} never acknowledged`);
    const { inbox } = gateway.intake;
    const state = { ready: gateway.connection.ready, owed: inbox.unacknowledged, waiting: inbox.waiting };
    const left = { ...state, outbox: gateway.outbox.count };
    const expected = { ready: true, owed: 0, waiting: 0, outbox: 0 };
    if (JSON.stringify(left) !== JSON.stringify(expected))
      this.#problems.push(`left: ${JSON.stringify(left)}`);
    if (!this.#options.kills) this.#checkState();
  }

  /** A gateway that was never killed has seen what an undisturbed one would have seen. */
  #checkState(): void {
    const { loaded } = this.#options;
    const pipeline = new Pipeline(new Engine(loaded.model, { streams: 1 }), 0);
    const { pipeline: own } = this.#gateway!;
    const times = [...this.#order].sort((a, b) => a - b);
    for (const [index, timeMs] of times.entries()) {
      const wave = Math.sin(index / 3) * 3;
      pipeline.tick({ timeMs, values: Float64Array.of(20 + wave, 50 - wave) });
    }
    // A model that comes later has seen the latest ticks alone, so it may wake at others; but it has counted them all.
    const counters = (of: Pipeline) => (this.#models === undefined ? of.counters : of.counters.frames);
    const digest = (of: Pipeline) => JSON.stringify([counters(of), of.output.values, of.output.classIndex]);
    if (digest(own) !== digest(pipeline))
      this.#problems.push(`state: expected ${digest(pipeline)}, got ${digest(own)}`);
  }

  async #end(): Promise<void> {
    const stopping = this.#gateway!.stop();
    await this.#scheduler.run(2000);
    await stopping;
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}
