/** The gateway: MQTT in, ticks through the pipeline, results out. */
import { Engine, type EngineOptions } from '../engine/engine.ts';
import type { Json } from '../engine/model.ts';
import type { Frame } from '../gate/packets.ts';
import type { PolicyName } from '../gate/policy.ts';
import { type Clock, startClock } from './clock.ts';
import { type GatewayConfig, ownTopics } from './config.ts';
import { Intake } from './intake.ts';
import type { LoadedConfig } from './load-config.ts';
import type { Log } from './log.ts';
import { MqttConnection } from './mqtt.ts';
import { Outbox } from './outbox.ts';
import { type GatewayPart, Parts } from './part.ts';
import { Pipeline } from './pipeline.ts';
import { PublishRule, resultOf } from './results.ts';

export interface GatewayOptions {
  readonly log: Log;
  /** What lives beside the ticks: stopped when the gateway stops. */
  readonly parts?: readonly GatewayPart[];
  readonly clock?: Clock;
  /** What the device allows the engine; default: anything. */
  readonly engine?: Pick<EngineOptions, 'maxBytes' | 'kernels'>;
  /** The gateway can't go on, and trying again would not help. */
  readonly onFatal?: (error: Error) => void;
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
  readonly engine: Engine;
  readonly pipeline: Pipeline;
  readonly intake: Intake;
  readonly outbox: Outbox;
  readonly connection: MqttConnection;
  /** Those that hear no topics may be added until the start. */
  readonly parts: Parts;
  readonly config: GatewayConfig;
  readonly #options: GatewayOptions;
  readonly #clock: Clock;
  readonly #rule: PublishRule;
  readonly #startedMs: number;
  /** Turns of the grid's timer. */
  #gridTurns = 0;
  #scheduled: NodeJS.Immediate | undefined;
  #gridTimer: NodeJS.Timeout | undefined;
  #countersTimer: NodeJS.Timeout | undefined;
  #stopped: Promise<void> | undefined;

  /** Throws what the engine throws for a model that does not fit. */
  constructor({ config, model }: LoadedConfig, options: GatewayOptions) {
    this.config = config;
    this.#options = options;
    this.#clock = options.clock ?? startClock();
    this.#startedMs = this.#clock.nowMs();
    this.engine = new Engine(model, { streams: 1, ...options.engine });
    this.pipeline = new Pipeline(this.engine, 0, {
      spikes: config.spikes,
      ...(config.policy === undefined ? {} : { policy: config.policy as PolicyName }),
    });
    this.parts = new Parts(options.parts ?? []);
    this.#rule = new PublishRule(config.output.publish);
    this.outbox = new Outbox(config.limits.outboxMessages, config.limits.inFlight);
    this.intake = this.#makeIntake(model.meaning.channels.length);
    this.connection = this.#makeConnection();
  }

  start(): void {
    this.parts.start();
    this.connection.start();
    if (this.config.frame.mode === 'grid' && this.config.frame.timestamp === undefined) this.#awaitGridTick();
    const intervalMs = this.config.countersIntervalS * 1000;
    if (intervalMs > 0) this.#countersTimer = setInterval(() => this.#publishCounters(), intervalMs);
  }

  /** Works off what waits, says goodbye, stops the parts; within a second, broker there or not. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /** What a watchdog asks now and then: see Vitals. */
  vitals(): Vitals {
    const { intake, connection } = this;
    const runsGrid = this.#gridTimer !== undefined;
    return {
      waiting: intake.ring.count,
      workedOff: intake.received - intake.ring.dropped - intake.ring.count,
      grid: runsGrid ? { turns: this.#gridTurns, intervalMs: this.config.frame.intervalMs } : undefined,
      silence: connection.silence(),
    };
  }

  /** Everything that is counted, as published on the counters topic. */
  counters(): { [key: string]: Json } {
    const { intake, outbox, connection } = this;
    const { perTier, ...pipeline } = this.pipeline.counters;
    return {
      uptimeS: Math.round((this.#clock.nowMs() - this.#startedMs) / 1000),
      connects: connection.connects,
      messages: {
        received: intake.received,
        retained: intake.retained,
        unrouted: intake.unrouted,
        dropped: intake.ring.dropped,
        waiting: intake.ring.count,
      },
      payloads: { ...intake.decoder.counts, converted: intake.decoder.converted },
      frames: {
        stale: intake.frames.stale,
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
      },
      ...this.parts.counters(),
    };
  }

  #makeIntake(channels: number): Intake {
    const { log } = this.#options;
    return new Intake({
      config: this.config,
      channels,
      clock: this.#clock,
      onFrame: (frame) => this.#tick(frame),
      onProblem: (text) => log.warning(text),
      onUnrouted: (topic) => {
        log.warning(`${topic}: no channel wants it, so we unsubscribe`);
        this.connection.unsubscribe(topic);
      },
    });
  }

  #makeConnection(): MqttConnection {
    const { config, outbox } = this;
    const { log, onFatal } = this.#options;
    return new MqttConnection({
      mqtt: config.mqtt,
      filters: [...new Set([...config.routes.map(({ filter }) => filter), ...this.parts.filters])],
      statusTopic: ownTopics(config).status,
      outbox,
      receiveMaximum: Math.ceil(config.limits.ringMessages / 2),
      packetBytes: config.limits.packetBytes,
      events: {
        onMessage: (topic, payload, retained, proceed) => this.#receive(topic, payload, retained, proceed),
        onReady: (sessionPresent) => {
          log.info(`connected to ${config.mqtt.url} (${sessionPresent ? 'session resumed' : 'new session'})`);
          this.parts.onReady((message) => this.connection.publish(message));
        },
        onLost: (reason, retryMs) =>
          log.warning(
            `not connected to ${config.mqtt.url}: ${reason}; trying again in ${Math.ceil(retryMs)} ms`,
          ),
        onFatal: (error) => {
          log.error(error.message);
          onFatal?.(error);
        },
        onProblem: (text) => log.warning(text),
      },
    });
  }

  #receive(topic: string, payload: Uint8Array, retained: boolean, proceed: () => void): void {
    // Not acknowledged: the broker keeps it for the next time.
    if (this.#stopped !== undefined) return;
    this.parts.onMessage(topic, payload, retained);
    if (this.parts.wants(topic) && !this.intake.wants(topic)) {
      proceed();
      return;
    }
    this.intake.receive(topic, payload, retained, proceed);
    this.#schedule();
  }

  #tick(frame: Frame): void {
    const witness = this.pipeline.tick(frame);
    const { output } = this.pipeline;
    this.parts.onTick(witness, output, frame);
    if (!this.#rule.wants(witness, output)) return;
    const { topic, qos, retain } = this.config.output;
    const payload = JSON.stringify(resultOf(witness, output, this.engine.model.meaning));
    this.connection.publish({ topic, payload, qos, retain });
  }

  /** Once per turn of the event loop, after its input, until nothing waits. */
  #schedule(): void {
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = undefined;
      if (!this.intake.drain(performance.now() + turnMs)) this.#schedule();
    });
  }

  #awaitGridTick(): void {
    const { intervalMs } = this.config.frame;
    const nowMs = this.#clock.nowMs();
    this.#gridTimer = setTimeout(
      () => {
        // Whatever came before the boundary belongs into its tick.
        this.intake.drain(Number.POSITIVE_INFINITY);
        this.intake.frames.advance(this.#clock.nowMs());
        this.#gridTurns++;
        this.#awaitGridTick();
      },
      Math.ceil(intervalMs - (nowMs % intervalMs)),
    );
  }

  #publishCounters(): void {
    if (!this.connection.ready) return;
    const payload = JSON.stringify(this.counters());
    this.connection.publish({ topic: ownTopics(this.config).counters, payload, qos: 0, retain: true });
  }

  async #stop(): Promise<void> {
    clearTimeout(this.#gridTimer);
    clearInterval(this.#countersTimer);
    if (!this.intake.drain(performance.now() + drainMs)) {
      this.#options.log.warning(`${this.intake.ring.count} messages were not worked on`);
    }
    this.#publishCounters();
    await Promise.all([this.connection.stop(goodbyeMs), this.parts.stop()]);
    clearImmediate(this.#scheduled);
    this.intake.release();
  }
}
