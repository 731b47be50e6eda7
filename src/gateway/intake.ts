/** From the MQTT callback, which only copies into the inbox, to frames, which `drain` makes at its own pace. */
import type { Clock } from './clock.ts';
import type { GatewayConfig } from './config/config.ts';
import { type Decoded, Decoder, makeDecoded } from './decode.ts';
import { FrameAssembler, type FrameOptions } from './frame.ts';
import { Inbox } from './inbox.ts';
import { topicMatches } from './mqtt/topics.ts';
import type { RingMessage } from './ring.ts';
import { realTimers, type Timers } from './timers.ts';

/** Topics whose routes are remembered; wildcards may bring any number. */
const knownTopicsMax = 10_000;
/** Problems that are told, the rest only counted. */
const toldProblemsMax = 1000;

export interface IntakeOptions {
  readonly config: GatewayConfig;
  readonly channels: number;
  readonly clock: Clock;
  readonly timers?: Timers;
  readonly onFrame: FrameOptions['onFrame'];
  /** Time begins anew: the next frame may be earlier than the last. */
  readonly onRestart?: () => void;
  /** How many outputs have been published so far, those of the last frame included. */
  readonly outputs?: () => number;
  /** A message is worked on; what came of it is acknowledged after this. */
  readonly onWorked?: () => void;
  /** Told of the first problem of each kind with each channel. */
  readonly onProblem: (text: string) => void;
  /** Told once of a topic that no route wants: the broker remembers a subscription that we forgot. */
  readonly onUnrouted: (topic: string) => void;
}

function tellTime(timeMs: number): string {
  const time = new Date(timeMs);
  return Number.isNaN(time.getTime()) ? String(timeMs) : time.toISOString();
}

export class Intake {
  received = 0;
  retained = 0;
  unrouted = 0;
  workedOff = 0;
  readonly inbox: Inbox;
  readonly decoder: Decoder;
  readonly frames: FrameAssembler;
  readonly #options: IntakeOptions;
  readonly #decoded: Decoded;
  readonly #routesByTopic = new Map<string, readonly number[]>();
  readonly #told = new Set<string>();
  readonly #timers: Timers;
  #topic = '';

  constructor(options: IntakeOptions) {
    const { config, channels, onFrame } = options;
    this.#options = options;
    this.#timers = options.timers ?? realTimers;
    this.inbox = new Inbox({ ...config.limits, timers: this.#timers });
    this.#decoded = makeDecoded(channels);
    this.decoder = new Decoder({
      frame: config.frame,
      limits: config.limits,
      onProblem: (kind, channel, text) => this.#tell(`${kind} ${channel ?? ''}`, channel, text),
    });
    this.frames = new FrameAssembler({
      channels,
      routes: config.routes.length,
      mode: config.frame.mode,
      intervalMs: config.frame.intervalMs,
      catchUpTicks: config.limits.catchUpTicks,
      aheadMs: config.frame.aheadMs,
      onFrame,
      onRestart: () => this.#noteRestart(),
    });
  }

  /** The MQTT callback. `acknowledge` is called when the broker may forget the message, if it is to. */
  receive(topic: string, payload: Uint8Array, retained: boolean, acknowledge: () => void): void {
    this.received++;
    if (retained) this.retained++;
    this.#topic = topic;
    if (payload.length > this.#options.config.limits.payloadBytes) {
      this.decoder.refuseTooLarge(payload.length);
      this.inbox.discard(acknowledge);
      return;
    }
    const { dropped } = this.inbox.ring;
    const isTaken = this.inbox.receive(topic, payload, retained, this.#options.clock.nowMs(), acknowledge);
    if (isTaken && this.inbox.ring.dropped === dropped) return;
    const fate = isTaken ? 'the oldest are dropped' : 'new ones are refused';
    this.#tell('dropped', undefined, `messages come faster than they are worked on, ${fate}`);
  }

  /** Whether some channel comes from a topic. */
  wants(topic: string): boolean {
    return this.#routesOf(topic).length > 0;
  }

  /** Works on what waits until `untilMs` of the timers; true when nothing is left. */
  drain(untilMs: number): boolean {
    const { inbox } = this;
    for (let message = inbox.shift(); message !== undefined; message = inbox.shift()) {
      this.#take(message);
      this.workedOff++;
      this.#options.onWorked?.();
      inbox.worked(message, this.#options.outputs?.() ?? 0);
      if (this.#timers.nowMs() >= untilMs) break;
    }
    return inbox.waiting === 0;
  }

  #take(message: RingMessage): void {
    this.#topic = message.topic;
    const routes = this.#routesOf(message.topic);
    if (routes.length === 0) this.#noteUnrouted(message.topic);
    for (const route of routes) {
      const { topic, payload } = message;
      if (!this.decoder.decode(this.#options.config.routes[route]!, payload, this.#decoded, topic)) continue;
      if (message.retained) this.frames.seed(this.#decoded);
      else this.#accept(route, message.receivedMs);
    }
  }

  #accept(route: number, receivedMs: number): void {
    const { stale, duplicates, ahead, timeMs } = this.frames;
    this.frames.accept(route, receivedMs, this.#decoded);
    const { frames } = this;
    if (frames.stale === stale && frames.duplicates === duplicates && frames.ahead === ahead) return;
    const [later, own] = [timeMs, this.#decoded.timeMs].map(tellTime);
    const expected = frames.ahead > ahead ? 'soon after' : 'after';
    this.#tell(
      `old ${route}`,
      undefined,
      `expected a time ${expected} the last (tick at ${later}), got ${own}`,
    );
  }

  #noteRestart(): void {
    this.#options.onProblem(`${this.#topic}: the senders' time has gone back, and we follow`);
    this.#options.onRestart?.();
  }

  #routesOf(topic: string): readonly number[] {
    const known = this.#routesByTopic.get(topic);
    if (known !== undefined) return known;
    const routes: number[] = [];
    for (const [index, { filter }] of this.#options.config.routes.entries()) {
      if (topicMatches(filter, topic)) routes.push(index);
    }
    if (this.#routesByTopic.size >= knownTopicsMax) this.#routesByTopic.clear();
    this.#routesByTopic.set(topic, routes);
    return routes;
  }

  #noteUnrouted(topic: string): void {
    this.unrouted++;
    if (this.#isFirst(`unrouted ${topic}`)) this.#options.onUnrouted(topic);
  }

  #tell(key: string, channel: string | undefined, text: string): void {
    if (!this.#isFirst(key)) return;
    const where = channel === undefined ? '' : `, channel ${channel}`;
    this.#options.onProblem(`${this.#topic}${where}: ${text} (told once, then only counted)`);
  }

  #isFirst(key: string): boolean {
    if (this.#told.has(key) || this.#told.size >= toldProblemsMax) return false;
    this.#told.add(key);
    return true;
  }
}
