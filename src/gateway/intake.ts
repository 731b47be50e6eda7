/**
 * From the MQTT callback to frames. The callback only copies into the ring; `drain` decodes at its own pace, and
 * while the ring is nearly full the acknowledgement waits, so that the broker keeps what we have no room for.
 */
import type { Clock } from './clock.ts';
import type { GatewayConfig } from './config.ts';
import { type Decoded, Decoder, makeDecoded } from './decode.ts';
import { FrameAssembler, type FrameOptions } from './frame.ts';
import { MessageRing, type RingMessage } from './ring.ts';
import { topicMatches } from './topics.ts';

/** Topics whose routes are remembered; wildcards may bring any number. */
const knownTopicsMax = 10_000;
/** Problems that are told, the rest only counted. */
const toldProblemsMax = 1000;

export interface IntakeOptions {
  readonly config: GatewayConfig;
  readonly channels: number;
  readonly clock: Clock;
  readonly onFrame: FrameOptions['onFrame'];
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
  readonly ring: MessageRing;
  readonly decoder: Decoder;
  readonly frames: FrameAssembler;
  readonly #options: IntakeOptions;
  readonly #decoded: Decoded;
  readonly #routesByTopic = new Map<string, readonly number[]>();
  readonly #told = new Set<string>();
  readonly #holdMaxMs: number;
  /** The acknowledgement that waits for room. */
  #held: (() => void) | undefined;
  #holdTimer: NodeJS.Timeout | undefined;
  #topic = '';

  constructor(options: IntakeOptions) {
    const { config, channels, onFrame } = options;
    this.#options = options;
    this.ring = new MessageRing(config.limits.ringMessages, config.limits.ringBytes);
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
      onFrame,
    });
    // Far from the keep-alive: a callback held longer would also hold back the broker's ping responses.
    this.#holdMaxMs = (config.mqtt.keepaliveS * 1000) / 4;
  }

  /** The MQTT callback. `proceed` acknowledges the message: at once, or when there is room again. */
  receive(topic: string, payload: Uint8Array, retained: boolean, proceed: () => void): void {
    this.received++;
    if (retained) this.retained++;
    if (payload.length > this.#options.config.limits.payloadBytes) {
      this.#topic = topic;
      this.decoder.refuseTooLarge(payload.length);
    } else this.#push(topic, payload, retained);
    if (this.ring.count < this.ring.slots / 2 || this.#held !== undefined) proceed();
    else this.#hold(proceed);
  }

  #push(topic: string, payload: Uint8Array, retained: boolean): void {
    const { dropped } = this.ring;
    this.ring.push(topic, payload, this.#options.clock.nowMs(), retained);
    if (this.ring.dropped === dropped) return;
    this.#topic = topic;
    this.#tell('dropped', undefined, 'messages come faster than they are worked on, the oldest are dropped');
  }

  /** Whether some channel comes from a topic. */
  wants(topic: string): boolean {
    return this.#routesOf(topic).length > 0;
  }

  /** Works on what waits until `untilMs` of performance.now(); true when nothing is left. */
  drain(untilMs: number): boolean {
    for (let message = this.ring.shift(); message !== undefined; message = this.ring.shift()) {
      this.#take(message);
      if (this.ring.count < this.ring.slots / 4) this.release();
      if (performance.now() >= untilMs) break;
    }
    return this.ring.count === 0;
  }

  /** Lets the waiting acknowledgement go. */
  release(): void {
    clearTimeout(this.#holdTimer);
    const held = this.#held;
    this.#held = undefined;
    held?.();
  }

  #hold(proceed: () => void): void {
    this.#held = proceed;
    this.#holdTimer = setTimeout(() => this.release(), this.#holdMaxMs);
    this.#holdTimer.unref();
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
    const { stale, duplicates, timeMs } = this.frames;
    this.frames.accept(route, receivedMs, this.#decoded);
    const isNew = this.frames.stale === stale && this.frames.duplicates === duplicates;
    if (isNew) return;
    const [later, own] = [timeMs, this.#decoded.timeMs].map(tellTime);
    this.#tell(`old ${route}`, undefined, `expected a time after the last (tick at ${later}), got ${own}`);
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
