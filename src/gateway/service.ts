/** The gateway: MQTT in, ticks through the pipeline, results out. */
import type { Engine } from '../engine/engine.ts';
import type { Json } from '../engine/model.ts';
import { modelText } from '../gate/model-tag.ts';
import type { Frame } from '../gate/packets.ts';
import type { Witness } from '../gate/witness.ts';
import { type Clock, startClock } from './clock.ts';
import { type GatewayConfig, ownTopics, type StateConfig } from './config/config.ts';
import type { LoadedConfig } from './config/load-config.ts';
import type { Storage } from './disk/storage.ts';
import { intakeCounters, outboxCounters, pipelineCounters } from './gateway-counters.ts';
import { GridTimer } from './grid-timer.ts';
import { Intake } from './intake.ts';
import type { Log } from './log.ts';
import { type ConnectionOptions, MqttConnection } from './mqtt/mqtt.ts';
import { Outbox } from './outbox.ts';
import type { Output } from './output.ts';
import { type GatewayPart, Parts } from './part.ts';
import type { Pipeline } from './pipeline.ts';
import { PublishRule, resultOf } from './results.ts';
import { type EngineLimits, makeServed, type Served, type Trial } from './served.ts';
import { stateIdentity } from './state/identity.ts';
import { Survival } from './survival.ts';
import { type Cancel, realTimers, type Timers } from './timers.ts';

export interface GatewayOptions {
  readonly log: Log;
  /** What lives beside the ticks: stopped when the gateway stops. */
  readonly parts?: readonly GatewayPart[];
  readonly clock?: Clock;
  readonly timers?: Timers;
  /** What a simulation has of its own. */
  readonly network?: Pick<ConnectionOptions, 'makeClient' | 'random'>;
  /** What the device allows the engine; default: anything. */
  readonly engine?: EngineLimits;
  /** The gateway can't go on, and trying again would not help. */
  readonly onFatal?: (error: Error) => void;
  /** The connection is gone; another is made when `mayConnect` says so. */
  readonly onLost?: () => void;
  readonly mayConnect?: () => boolean;
  /** Whether the result of a tick of that time was published by somebody before us. */
  readonly wasPublished?: (timeMs: number) => boolean;
}

/** Signs of life. */
export interface Vitals {
  /** Messages in the ring, and messages that have left it since the start. */
  readonly waiting: number;
  readonly workedOff: number;
  /** Where ticks are due by the clock: how often the timer has come, and its interval. */
  readonly grid: { readonly turns: number; readonly intervalMs: number } | undefined;
  /** What is wrong with the connection. */
  readonly silence: string | undefined;
}

/** How long one turn of the event loop may work on messages, so that pings and signals get theirs. */
const turnMs = 20;
/** When stopping: for what waits in the ring, and for the goodbye. */
const drainMs = 200;
const goodbyeMs = 500;

/** Publishes a result for each tick that its config selects. Everything is allocated here; `start` connects. */
export class Gateway {
  /** Compares another model with the one at work. */
  trial: Trial | undefined;
  readonly intake: Intake;
  readonly outbox: Outbox;
  readonly connection: MqttConnection;
  /** Those that hear no topics may be added until the start. */
  readonly parts: Parts;
  readonly config: GatewayConfig;
  readonly #options: GatewayOptions;
  readonly #clock: Clock;
  readonly #rule: PublishRule;
  #served: Served;
  readonly #startedMs: number;
  readonly #timers: Timers;
  readonly #survival: Survival;
  /** Where ticks are due by the clock. */
  readonly #grid: GridTimer | undefined;
  #isScheduled = false;
  /** Of what comes at intervals. */
  #cancels: Cancel[] = [];
  #stopped: Promise<void> | undefined;

  /** Throws what the engine throws for a model that does not fit. */
  constructor(loaded: LoadedConfig, options: GatewayOptions) {
    const { config, model } = loaded;
    this.config = config;
    this.#options = options;
    this.#timers = options.timers ?? realTimers;
    this.#clock = options.clock ?? startClock();
    this.#startedMs = this.#clock.nowMs();
    this.#served = this.make(loaded);
    this.parts = new Parts(options.parts ?? []);
    this.#rule = new PublishRule(config.output.publish);
    this.outbox = new Outbox(config.limits.outboxMessages, config.limits.inFlight, this.#timers);
    this.intake = this.#makeIntake(model.meaning.channels.length);
    this.#survival = new Survival(this.intake, this.outbox, this.#clock);
    this.outbox.onSettled = () => this.#survival.settle();
    this.#grid = this.#makeGrid();
    this.connection = this.#makeConnection();
  }

  get engine(): Engine {
    return this.#served.engine;
  }

  get pipeline(): Pipeline {
    return this.#served.pipeline;
  }

  /** The model at work. */
  get served(): Served {
    return this.#served;
  }

  /**
   * Another model, ready to work, with `takenBytes` of the engine's budget already taken. Throws what the engine throws
   * for a model that does not fit.
   */
  make(loaded: LoadedConfig, takenBytes = 0): Served {
    return makeServed(loaded, this.#options.engine ?? {}, takenBytes);
  }

  /** From the next tick on this model answers; everything that waits, and all counters, go on. */
  serve(next: Served): void {
    next.pipeline.succeed(this.pipeline);
    this.#served = next;
    this.parts.onModel(next.engine);
  }

  /** Before the start: what an earlier run left is worked on and sent first. */
  useStorage(storage: Storage): void {
    this.#survival.useStorage(storage);
  }

  /** Before the start: goes on from what an earlier process remembered. Rejects with what the folder says. */
  async useState({ directory, snapshotMs }: StateConfig): Promise<void> {
    const { frames } = this.intake;
    const keeper = {
      directory,
      channels: this.engine.model.meaning.channels.length,
      routes: this.config.routes.length,
      owners: () => ({ engine: this.engine, pipeline: this.pipeline, frames }),
      identity: () => stateIdentity(this.served, this.config),
      published: () => this.#rule.memory,
      onPublished: (memory: string) => this.#rule.resume(memory),
      onReplay: (witness: Witness) => void this.#rule.wants(witness, this.pipeline.output),
      onProblem: (text: string) => this.#options.log.warning(text),
    };
    const replayed = await this.#survival.useState(keeper, snapshotMs);
    if (replayed !== undefined)
      this.#options.log.info(`state: goes on from before, with ${replayed} ticks lived again`);
  }

  start(): void {
    this.parts.start();
    this.connection.start(this.#survival.formerFilters);
    this.#schedule();
    this.#survival.start(
      (intervalMs, call) => this.#every(intervalMs, call),
      () => this.#schedule(),
    );
    this.#grid?.start();
    const intervalMs = this.config.countersIntervalS * 1000;
    if (intervalMs > 0) this.#every(intervalMs, () => this.#publishCounters());
  }

  /** Works off what waits, says goodbye, stops the parts; within a second, broker there or not. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  #every(intervalMs: number, call: () => void): void {
    this.#cancels.push(this.#timers.every(intervalMs, call));
  }

  /** What a watchdog asks now and then: see Vitals. */
  vitals(): Vitals {
    const { intake, connection } = this;
    return {
      waiting: intake.inbox.waiting,
      workedOff: intake.workedOff,
      grid: this.#grid?.progress,
      silence: connection.silence(),
    };
  }

  /** Everything that is counted, as published on the counters topic. */
  counters(): { [key: string]: Json } {
    return {
      uptimeS: Math.round((this.#clock.nowMs() - this.#startedMs) / 1000),
      connects: this.connection.connects,
      ...intakeCounters(this.intake),
      ...pipelineCounters(this.pipeline.counters),
      ...outboxCounters(this.outbox),
      ...this.#survival.counters(this.#startedMs),
      ...this.parts.counters(),
    };
  }

  #makeIntake(channels: number): Intake {
    const { log } = this.#options;
    return new Intake({
      config: this.config,
      channels,
      clock: this.#clock,
      timers: this.#timers,
      onFrame: (frame) => this.#tick(frame),
      onRestart: () => {
        this.pipeline.restartTime();
        this.parts.onRestart();
        this.#survival.restart();
      },
      onWorked: () => this.#survival.message(),
      outputs: () => this.outbox.pushed,
      onProblem: (text) => log.warning(text),
      onUnrouted: (topic) => {
        log.warning(`${topic}: no channel wants it, so we unsubscribe`);
        this.connection.unsubscribe(topic);
      },
    });
  }

  /** Ticks come by the clock where senders tell no time. */
  #makeGrid(): GridTimer | undefined {
    const { mode, timestamp, intervalMs } = this.config.frame;
    if (mode !== 'grid' || timestamp !== undefined) return undefined;
    return new GridTimer(intervalMs, this.#clock, this.#timers, () => {
      // Whatever came before the boundary belongs into its tick.
      this.intake.drain(Number.POSITIVE_INFINITY);
      this.intake.frames.advance(this.#clock.nowMs());
    });
  }

  #makeConnection(): MqttConnection {
    const { config, outbox } = this;
    const { mayConnect, network } = this.#options;
    return new MqttConnection({
      mqtt: config.mqtt,
      filters: this.#filters,
      statusTopic: ownTopics(config).status,
      outbox,
      receiveMaximum: Math.ceil(config.limits.ringMessages / 4),
      packetBytes: config.limits.packetBytes,
      timers: this.#timers,
      ...(mayConnect === undefined ? {} : { mayConnect }),
      ...network,
      events: this.#connectionEvents(),
    });
  }

  #connectionEvents(): ConnectionOptions['events'] {
    const { log, onFatal, onLost } = this.#options;
    const { url } = this.config.mqtt;
    return {
      onMessage: (topic, payload, retained, acknowledge) =>
        this.#receive(topic, payload, retained, acknowledge),
      onReady: (sessionPresent) => {
        log.info(`connected to ${url} (${sessionPresent ? 'session resumed' : 'new session'})`);
        this.intake.inbox.resumed(sessionPresent);
        this.#rememberFilters();
        this.parts.onReady((message) => this.connection.publish(message));
      },
      onLost: (reason, retryMs) => {
        this.intake.inbox.lost();
        onLost?.();
        log.warning(`not connected to ${url}: ${reason}; trying again in ${Math.ceil(retryMs)} ms`);
      },
      onFatal: (error) => {
        log.error(error.message);
        onFatal?.(error);
      },
      onProblem: (text) => log.warning(text),
    };
  }

  get #filters(): string[] {
    return [...new Set([...this.config.routes.map(({ filter }) => filter), ...this.parts.filters])];
  }

  #rememberFilters(): void {
    const told = (error: Error) => this.#options.log.warning(`subscriptions: ${error.message}`);
    this.#survival.saveFilters(this.#filters).catch(told);
  }

  #receive(topic: string, payload: Uint8Array, retained: boolean, acknowledge: () => void): void {
    // Not acknowledged: the broker keeps it for the next time.
    if (this.#stopped !== undefined) return;
    this.parts.onMessage(topic, payload, retained);
    if (this.parts.wants(topic) && !this.intake.wants(topic)) {
      this.intake.inbox.discard(acknowledge);
      return;
    }
    this.intake.receive(topic, payload, retained, acknowledge);
    if (this.intake.inbox.isCrowded) this.connection.pause();
    this.#schedule();
  }

  #tick(frame: Frame): void {
    const { trial } = this;
    const witness = trial === undefined ? this.pipeline.tick(frame) : trial.answer(frame);
    const { output } = this.pipeline;
    this.parts.onTick(witness, output, frame);
    const isNews = this.#options.wasPublished?.(witness.timeMs) !== true;
    if (this.#rule.wants(witness, output) && isNews) this.#publish(witness, output);
    this.#survival.tick();
    // By now it may be another that answers the next tick.
    this.trial?.after(frame);
  }

  #publish(witness: Witness, output: Output): void {
    const { topic, qos, retain } = this.config.output;
    const result = resultOf(witness, output, this.engine.model.meaning);
    const payload = JSON.stringify(
      this.config.models === undefined ? result : { ...result, model: modelText(witness.model) },
    );
    this.connection.publish({ topic, payload, qos, retain, keep: qos > 0 });
  }

  /** Once per turn of the event loop, after its input, until nothing waits. */
  #schedule(): void {
    if (this.#isScheduled || this.#stopped !== undefined) return;
    this.#isScheduled = true;
    this.#timers.soon(() => {
      this.#isScheduled = false;
      const { inbox } = this.intake;
      const isDone = this.intake.drain(this.#timers.nowMs() + turnMs);
      if (!inbox.isCrowded) this.connection.resume();
      if (inbox.wantsRefill) void inbox.refill().then(() => this.#schedule());
      else if (!isDone && inbox.ring.count > 0) this.#schedule();
      else this.#askForRefused();
    });
  }

  /** The broker sends what we had no room for once more on the next connection. */
  #askForRefused(): void {
    const { inbox } = this.intake;
    if (inbox.keptByBroker === 0) return;
    inbox.keptByBroker = 0;
    this.connection.renew('there is room again for messages that were refused');
  }

  #publishCounters(): void {
    if (!this.connection.ready) return;
    const payload = JSON.stringify(this.counters());
    this.connection.publish({ topic: ownTopics(this.config).counters, payload, qos: 0, retain: true });
  }

  async #stop(): Promise<void> {
    this.#grid?.stop();
    for (const cancel of this.#cancels) cancel();
    const { inbox } = this.intake;
    const isDone = this.intake.drain(this.#timers.nowMs() + drainMs);
    if (!isDone) this.#options.log.warning(`${inbox.waiting} messages were not worked on`);
    this.#publishCounters();
    await Promise.all([this.connection.stop(goodbyeMs), this.parts.stop(), inbox.close()]);
    await this.outbox.close();
    await this.#survival.close();
  }
}
