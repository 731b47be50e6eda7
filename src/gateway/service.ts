/** The gateway: MQTT in, ticks through the pipeline, results out. */
import { Engine, type EngineOptions } from '../engine/engine.ts';
import type { Json } from '../engine/model.ts';
import type { Frame } from '../gate/packets.ts';
import type { PolicyName } from '../gate/policy.ts';
import { modelTag, modelText, type Witness } from '../gate/witness.ts';
import { type Clock, startClock } from './clock.ts';
import { type GatewayConfig, ownTopics, type StateConfig, type StorageConfig } from './config.ts';
import { Intake } from './intake.ts';
import type { LoadedConfig } from './load-config.ts';
import type { Log } from './log.ts';
import { type ConnectionOptions, MqttConnection } from './mqtt.ts';
import { Outbox } from './outbox.ts';
import { OutboxStore } from './outbox-store.ts';
import type { Output } from './output.ts';
import { type GatewayPart, Parts } from './part.ts';
import { Pipeline } from './pipeline.ts';
import { PublishRule, resultOf } from './results.ts';
import { stateIdentity } from './state/identity.ts';
import { StateKeeper } from './state/keeper.ts';
import type { Storage } from './storage.ts';
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
  readonly engine?: Pick<EngineOptions, 'maxBytes' | 'kernels'>;
  /** The gateway can't go on, and trying again would not help. */
  readonly onFatal?: (error: Error) => void;
  /** The connection is gone; another is made when `mayConnect` says so. */
  readonly onLost?: () => void;
  readonly mayConnect?: () => boolean;
  /** Whether the result of a tick of that time was published by somebody before us. */
  readonly wasPublished?: (timeMs: number) => boolean;
}

/** A model at work: its engine, and the way of its ticks. */
export interface Served {
  readonly loaded: LoadedConfig;
  readonly engine: Engine;
  readonly pipeline: Pipeline;
}

/** What lets a second model see the ticks that the first answers. */
export interface Trial {
  /** Answers a tick by `gateway.pipeline`; should that throw, by whichever it has put in its place, if it has one. */
  answer(frame: Frame): Witness;
  /** The tick is published. Never throws. */
  after(frame: Frame): void;
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
const relentMs = 1000;

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
  /** Turns of the grid's timer. */
  #gridTurns = 0;
  readonly #timers: Timers;
  #storage: Storage | undefined;
  #state: StateKeeper | undefined;
  #isScheduled = false;
  #cancelGrid: Cancel | undefined;
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
    this.outbox.onSettled = () => this.#settle(this.outbox.settledThrough);
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
    const { config, model, modelSha256 } = loaded;
    const { maxBytes, ...options } = this.#options.engine ?? {};
    const budget = maxBytes === undefined ? {} : { maxBytes: maxBytes - takenBytes };
    const engine = new Engine(model, { streams: 1, ...options, ...budget });
    const pipeline = new Pipeline(engine, 0, {
      spikes: config.spikes,
      modelTag: modelTag(modelSha256),
      ...(config.calibrationTicks === undefined ? {} : { calibrationTicks: config.calibrationTicks }),
      ...(config.policy === undefined ? {} : { policy: config.policy as PolicyName }),
    });
    return { loaded, engine, pipeline };
  }

  /** From the next tick on this model answers; everything that waits, and all counters, go on. */
  serve(next: Served): void {
    next.pipeline.succeed(this.pipeline);
    this.#served = next;
    this.parts.onModel(next.engine);
  }

  /** Before the start: what an earlier run left is worked on and sent first. */
  useStorage(storage: Storage): void {
    const { intake, outbox, config } = storage;
    this.#storage = storage;
    this.intake.inbox.useJournal({ queue: intake, commitMs: config.commitMs, guard: storage.guard });
    this.outbox.useStore(
      new OutboxStore({
        queue: outbox,
        maxAgeMs: config.outboxMs,
        maxBytes: config.outboxBytes,
        flushMs: config.outboxFlushMs,
        resendPerS: config.resendPerS,
        nowMs: () => this.#clock.nowMs(),
      }),
    );
  }

  /** Before the start: goes on from what an earlier process remembered. Rejects with what the folder says. */
  async useState(config: StateConfig): Promise<void> {
    const { frames } = this.intake;
    this.#state = new StateKeeper({
      directory: config.directory,
      channels: this.engine.model.meaning.channels.length,
      routes: this.config.routes.length,
      owners: () => ({ engine: this.engine, pipeline: this.pipeline, frames }),
      identity: () => stateIdentity(this.served, this.config),
      published: () => this.#rule.memory,
      onPublished: (memory) => this.#rule.resume(memory),
      onReplay: (witness) => void this.#rule.wants(witness, this.pipeline.output),
      onProblem: (text) => this.#options.log.warning(text),
    });
    const { replayed } = this.#state;
    if (replayed !== undefined)
      this.#options.log.info(`state: goes on from before, with ${replayed} ticks lived again`);
    this.#state.wantSnapshot();
    await this.#state.written();
  }

  /** What is noted as done with is noted before it is acknowledged. */
  #settle(output: number): void {
    this.#state?.settle(output);
    this.intake.inbox.settle(output);
  }

  /** What is acknowledged though nobody took its results does not come again, so it is done with. */
  #relent(): void {
    const { inbox } = this.intake;
    const { acknowledgedEarly } = inbox;
    inbox.relent();
    if (inbox.acknowledgedEarly > acknowledgedEarly) this.#state?.settle(this.outbox.pushed);
  }

  start(): void {
    this.parts.start();
    this.connection.start(this.#storage?.formerFilters);
    this.#schedule();
    this.#every(relentMs, () => this.#relent());
    if (this.config.state !== undefined)
      this.#every(this.config.state.snapshotMs, () => this.#state?.wantSnapshot());
    if (this.#storage !== undefined) this.#tendStorage(this.#storage.config);
    if (this.config.frame.mode === 'grid' && this.config.frame.timestamp === undefined) this.#awaitGridTick();
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

  #tendStorage({ commitMs, outboxFlushMs }: StorageConfig): void {
    this.#every(
      commitMs,
      () => void this.intake.inbox.commit(this.#clock.nowMs()).then(() => this.#schedule()),
    );
    this.#every(outboxFlushMs, () => void this.outbox.flush());
  }

  /** What a watchdog asks now and then: see Vitals. */
  vitals(): Vitals {
    const { intake, connection } = this;
    const runsGrid = this.#cancelGrid !== undefined;
    return {
      waiting: intake.inbox.waiting,
      workedOff: intake.workedOff,
      grid: runsGrid ? { turns: this.#gridTurns, intervalMs: this.config.frame.intervalMs } : undefined,
      silence: connection.silence(),
    };
  }

  /** Everything that is counted, as published on the counters topic. */
  counters(): { [key: string]: Json } {
    const { intake, outbox, connection } = this;
    const { ring } = intake.inbox;
    const { perTier, ...pipeline } = this.pipeline.counters;
    return {
      uptimeS: Math.round((this.#clock.nowMs() - this.#startedMs) / 1000),
      connects: connection.connects,
      messages: {
        received: intake.received,
        retained: intake.retained,
        unrouted: intake.unrouted,
        dropped: ring.dropped,
        coalesced: ring.coalesced,
        refused: intake.inbox.refused,
        duplicates: intake.inbox.duplicates,
        acknowledgedEarly: intake.inbox.acknowledgedEarly,
        unacknowledged: intake.inbox.unacknowledged,
        waiting: intake.inbox.waiting,
      },
      payloads: { ...intake.decoder.counts, converted: intake.decoder.converted },
      frames: {
        stale: intake.frames.stale,
        ahead: intake.frames.ahead,
        restarts: intake.frames.restarts,
        duplicates: intake.frames.duplicates,
        merged: intake.frames.merged,
        skippedTicks: intake.frames.skippedTicks,
      },
      pipeline: { ...pipeline, perTier: [...perTier] },
      outbox: {
        acknowledged: outbox.acknowledged,
        waiting: outbox.count,
        dropped: outbox.dropped,
        resent: outbox.resent,
        refused: outbox.refused,
        late: outbox.late,
      },
      ...this.#storageCounters(),
      ...(this.#state === undefined ? {} : { state: this.#state.counters() }),
      ...this.parts.counters(),
    };
  }

  #storageCounters(): { [key: string]: Json } {
    if (this.#storage === undefined) return {};
    const { meter, intake, outbox } = this.#storage;
    const days = Math.max(60_000, this.#clock.nowMs() - this.#startedMs) / 86_400_000;
    return {
      storage: {
        bytesWritten: meter.bytesWritten,
        bytesPerDay: Math.round(meter.bytesWritten / days),
        journal: { ...intake.counters(), quarantined: this.#storage.guard?.quarantined ?? 0 },
        outbox: { ...outbox.counters(), ...this.outbox.storeCounters() },
      },
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
        this.#state?.restart();
      },
      onWorked: () => this.#state?.message(this.outbox.pushed),
      outputs: () => this.outbox.pushed,
      onProblem: (text) => log.warning(text),
      onUnrouted: (topic) => {
        log.warning(`${topic}: no channel wants it, so we unsubscribe`);
        this.connection.unsubscribe(topic);
      },
    });
  }

  #makeConnection(): MqttConnection {
    const { config, outbox } = this;
    const { log, onFatal, onLost, mayConnect } = this.#options;
    return new MqttConnection({
      mqtt: config.mqtt,
      filters: this.#filters,
      statusTopic: ownTopics(config).status,
      outbox,
      receiveMaximum: Math.ceil(config.limits.ringMessages / 4),
      packetBytes: config.limits.packetBytes,
      timers: this.#timers,
      ...(mayConnect === undefined ? {} : { mayConnect }),
      ...this.#options.network,
      events: {
        onMessage: (topic, payload, retained, acknowledge) =>
          this.#receive(topic, payload, retained, acknowledge),
        onReady: (sessionPresent) => {
          log.info(`connected to ${config.mqtt.url} (${sessionPresent ? 'session resumed' : 'new session'})`);
          this.intake.inbox.resumed(sessionPresent);
          this.#rememberFilters();
          this.parts.onReady((message) => this.connection.publish(message));
        },
        onLost: (reason, retryMs) => {
          this.intake.inbox.lost();
          onLost?.();
          log.warning(
            `not connected to ${config.mqtt.url}: ${reason}; trying again in ${Math.ceil(retryMs)} ms`,
          );
        },
        onFatal: (error) => {
          log.error(error.message);
          onFatal?.(error);
        },
        onProblem: (text) => log.warning(text),
      },
    });
  }

  get #filters(): string[] {
    return [...new Set([...this.config.routes.map(({ filter }) => filter), ...this.parts.filters])];
  }

  #rememberFilters(): void {
    const told = (error: Error) => this.#options.log.warning(`subscriptions: ${error.message}`);
    this.#storage?.saveFilters(this.#filters).catch(told);
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
    this.#state?.tick(this.outbox.pushed);
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

  #awaitGridTick(): void {
    const { intervalMs } = this.config.frame;
    const nowMs = this.#clock.nowMs();
    this.#cancelGrid = this.#timers.after(Math.ceil(intervalMs - (nowMs % intervalMs)), () => {
      // Whatever came before the boundary belongs into its tick.
      this.intake.drain(Number.POSITIVE_INFINITY);
      this.intake.frames.advance(this.#clock.nowMs());
      this.#gridTurns++;
      this.#awaitGridTick();
    });
  }

  #publishCounters(): void {
    if (!this.connection.ready) return;
    const payload = JSON.stringify(this.counters());
    this.connection.publish({ topic: ownTopics(this.config).counters, payload, qos: 0, retain: true });
  }

  async #stop(): Promise<void> {
    this.#cancelGrid?.();
    for (const cancel of this.#cancels) cancel();
    const { inbox } = this.intake;
    const isDone = this.intake.drain(this.#timers.nowMs() + drainMs);
    if (!isDone) this.#options.log.warning(`${inbox.waiting} messages were not worked on`);
    this.#publishCounters();
    await Promise.all([this.connection.stop(goodbyeMs), this.parts.stop(), inbox.close()]);
    await this.outbox.close();
    await this.#state?.close();
    await inbox.closeJournal();
    this.#storage?.close();
  }
}
