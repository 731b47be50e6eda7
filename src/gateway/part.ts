/** Something that lives beside the tick: hears its own topics, sees every tick, publishes, and is told of the end. */
import type { Engine } from '../engine/engine.ts';
import { assert } from '../engine/limits.ts';
import type { Json } from '../engine/model.ts';
import type { Frame } from '../gate/packets.ts';
import type { Witness } from '../gate/witness.ts';
import { topicMatches } from './mqtt/topics.ts';
import type { OutgoingMessage } from './outbox.ts';
import type { Output } from './output.ts';

/** None of it waits for anything, and none of it throws. */
export interface GatewayPart {
  /** Topics that it wants to hear beside those of the channels. */
  readonly filters?: readonly string[];
  /** The gateway starts; what is opened or connected before belongs to nobody yet. */
  start?(): void;
  /** A message on one of its topics, ahead of those that wait to become ticks. Must not keep the payload. */
  onMessage?(topic: string, payload: Uint8Array, retained: boolean): void;
  /** Connected and subscribed, each time; `publish` is the gateway's outbox. */
  onReady?(publish: (message: OutgoingMessage) => void): void;
  /** A tick is over; what it is given is reused. */
  onTick?(witness: Witness, output: Output, frame: Frame): void;
  /** From the next tick on another engine, of a model of the same shape, answers. */
  onModel?(engine: Engine): void;
  /** Time begins anew: the next tick may be earlier than the last. */
  onRestart?(): void;
  /** Merged into the gateway's counters, so names must be its own. */
  counters?(): { readonly [name: string]: Json };
  /** The gateway stops: flush and close. Never rejects. */
  stop?(): Promise<void>;
}

/** Topics whose listeners are remembered; wildcards may bring any number. */
const knownTopicsMax = 10_000;

/** All parts of a gateway as one. */
export class Parts implements GatewayPart {
  readonly filters: readonly string[];
  readonly #parts: GatewayPart[];
  readonly #listeners = new Map<string, readonly GatewayPart[]>();

  constructor(parts: readonly GatewayPart[]) {
    this.#parts = [...parts];
    this.filters = parts.flatMap(({ filters }) => filters ?? []);
  }

  /** Adds one that hears no topics. */
  add(part: GatewayPart): void {
    assert(part.filters === undefined, 'the subscriptions are settled');
    this.#parts.push(part);
  }

  start(): void {
    for (const part of this.#parts) part.start?.();
  }

  /** Whether some part wants to hear a topic. */
  wants(topic: string): boolean {
    return this.#listenersOf(topic).length > 0;
  }

  onMessage(topic: string, payload: Uint8Array, retained: boolean): void {
    for (const part of this.#listenersOf(topic)) part.onMessage?.(topic, payload, retained);
  }

  onReady(publish: (message: OutgoingMessage) => void): void {
    for (const part of this.#parts) part.onReady?.(publish);
  }

  onTick(witness: Witness, output: Output, frame: Frame): void {
    for (const part of this.#parts) part.onTick?.(witness, output, frame);
  }

  onModel(engine: Engine): void {
    for (const part of this.#parts) part.onModel?.(engine);
  }

  onRestart(): void {
    for (const part of this.#parts) part.onRestart?.();
  }

  counters(): { readonly [name: string]: Json } {
    return Object.assign({}, ...this.#parts.map((part) => part.counters?.()));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#parts.map((part) => part.stop?.()));
  }

  #listenersOf(topic: string): readonly GatewayPart[] {
    const known = this.#listeners.get(topic);
    if (known !== undefined) return known;
    const listeners = this.#parts.filter(({ filters = [] }) =>
      filters.some((filter) => topicMatches(filter, topic)),
    );
    if (this.#listeners.size >= knownTopicsMax) this.#listeners.clear();
    this.#listeners.set(topic, listeners);
    return listeners;
  }
}
