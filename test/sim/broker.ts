/** A broker and its network in memory: sessions, QoS 1, retained messages, and everything that goes wrong with them. */
import { EventEmitter } from 'node:events';
import type { IClientOptions, MqttClient } from 'mqtt';
import { topicMatches } from '../../src/gateway/mqtt/topics.ts';
import type { Scheduler } from './scheduler.ts';

interface Message {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1;
  readonly retain: boolean;
}

class Session {
  readonly filters = new Set<string>();
  readonly queue: Message[] = [];
  /** By packet identifier, in the order in which they were sent. */
  readonly inFlight = new Map<number, Message>();
  nextId = 1;
  client: SimulatedClient | undefined;
}

export class SimulatedBroker {
  readonly scheduler: Scheduler;
  readonly random: () => number;
  /** Told of what clients publish. */
  onPublish: (message: Message) => void = () => {};
  /** Told of what a client acknowledges. */
  onAcknowledged: (message: Message) => void = () => {};
  isUp = true;
  isFrozen = false;
  /** The next so many connections are refused. */
  refusals = 0;
  /** Beyond the receive maximum, as some brokers do. */
  window = 40;
  readonly retained = new Map<string, Message>();
  readonly #sessions = new Map<string, Session>();
  #thaw: (() => void)[] = [];

  constructor(scheduler: Scheduler, random: () => number) {
    this.scheduler = scheduler;
    this.random = random;
  }

  makeClient = (_url: string, options: IClientOptions): MqttClient =>
    new SimulatedClient(this, options) as unknown as MqttClient;

  /** Somebody publishes. */
  publish(topic: string, payload: Buffer, { retain = false, qos = 1 as 0 | 1 } = {}): void {
    const message = { topic, payload, qos, retain };
    if (retain) this.retained.set(topic, message);
    for (const session of this.#sessions.values()) {
      if (![...session.filters].some((filter) => topicMatches(filter, topic))) continue;
      if (session.client === undefined && qos === 0) continue;
      session.queue.push({ ...message, retain: false });
      this.deliver(session);
    }
  }

  /** Everything that reaches the broker or leaves it takes some time, and waits while it is frozen. */
  later(call: () => void): void {
    const go = () => (this.isFrozen ? void this.#thaw.push(call) : call());
    this.scheduler.at(this.#latencyMs, go);
  }

  /** In order, as on one connection. */
  get #latencyMs(): number {
    return 2;
  }

  freeze(): void {
    this.isFrozen = true;
  }

  thaw(): void {
    this.isFrozen = false;
    const calls = this.#thaw;
    this.#thaw = [];
    for (const call of calls) call();
  }

  /** Every connection ends; sessions are kept. */
  kill(): void {
    this.isUp = false;
    for (const session of this.#sessions.values()) session.client?.cut();
  }

  start(): void {
    this.isUp = true;
  }

  cutAll(): void {
    for (const session of this.#sessions.values()) session.client?.cut();
  }

  /** The network is gone, and nobody is told. */
  halfOpenAll(): void {
    for (const session of this.#sessions.values()) session.client?.halfOpen();
  }

  /** Another client comes with the same id. */
  takeOverAll(): void {
    for (const session of this.#sessions.values()) {
      const { client } = session;
      if (client === undefined) continue;
      client.emit('disconnect', { cmd: 'disconnect', reasonCode: 142 });
      client.cut();
    }
  }

  attach(client: SimulatedClient, clientId: string, clean: boolean): boolean {
    const before = this.#sessions.get(clientId);
    before?.client?.cut();
    const session = clean || before === undefined ? new Session() : before;
    this.#sessions.set(clientId, session);
    session.client = client;
    client.session = session;
    // What was sent and not acknowledged is sent again first.
    session.queue.unshift(...session.inFlight.values());
    session.inFlight.clear();
    return before !== undefined && !clean;
  }

  deliver(session: Session): void {
    const { client } = session;
    while (client !== undefined && session.queue.length > 0 && session.inFlight.size < this.window) {
      const message = session.queue.shift()!;
      const messageId = session.nextId;
      session.nextId = (session.nextId % 65_535) + 1;
      if (message.qos > 0) session.inFlight.set(messageId, message);
      this.later(() => client.receive(message, messageId));
    }
  }
}

/** What the gateway uses of mqtt.js's client. */
export class SimulatedClient extends EventEmitter {
  connected = false;
  disconnected = false;
  session: Session | undefined;
  handleMessage: (packet: unknown, done: (error?: Error) => void) => void = () => {};
  readonly stream = {
    destroyed: false,
    write: (bytes: Buffer) => this.#write(bytes),
    destroy: () => this.#close(),
  };
  readonly #broker: SimulatedBroker;
  readonly #options: IClientOptions;
  #isHalfOpen = false;
  #isClosed = false;
  /** Messages that came while the gateway has paused the network. */
  #waiting: (() => void)[] = [];
  #isBusy = false;

  constructor(broker: SimulatedBroker, options: IClientOptions) {
    super();
    this.#broker = broker;
    this.#options = options;
  }

  connect(): void {
    this.#broker.later(() => {
      if (this.#isClosed) return;
      if (!this.#broker.isUp) return this.#fail('connect ECONNREFUSED');
      if (this.#broker.refusals > 0) {
        this.#broker.refusals--;
        return this.#fail('Connection refused: Server unavailable', 136);
      }
      const sessionPresent = this.#broker.attach(this, this.#options.clientId!, this.#options.clean!);
      this.connected = true;
      this.emit('connect', { cmd: 'connack', sessionPresent });
    });
  }

  subscribe(filters: string[], { rh = 0 }: { rh?: number }, done: (...result: unknown[]) => void): void {
    this.#toBroker(() => {
      const session = this.session!;
      for (const filter of filters) {
        const isNew = !session.filters.has(filter);
        session.filters.add(filter);
        if (rh === 1 && !isNew) continue;
        for (const message of this.#broker.retained.values())
          if (topicMatches(filter, message.topic)) session.queue.push({ ...message, retain: true });
      }
      this.#fromBroker(() => {
        done(null, [], { granted: filters.map(() => 1) });
        this.#broker.deliver(session);
      });
    });
  }

  unsubscribe(filters: string | string[], done: () => void): void {
    this.#toBroker(() => {
      for (const filter of [filters].flat()) this.session!.filters.delete(filter);
      this.#fromBroker(done);
    });
  }

  publish(
    topic: string,
    payload: string | Buffer,
    { qos = 0, retain = false }: { qos?: 0 | 1; retain?: boolean },
    done: (error?: Error) => void = () => {},
  ): void {
    const message = { topic, payload: Buffer.from(payload), qos, retain } as const;
    this.#toBroker(() => {
      this.#broker.onPublish(message);
      this.#broker.publish(topic, message.payload, { retain, qos });
      if (qos > 0) this.#fromBroker(() => done());
    });
    if (qos === 0) queueMicrotask(() => done());
  }

  end(isForced: boolean, _options?: unknown, done?: () => void): void {
    if (isForced) this.#close();
    else
      this.#toBroker(() =>
        this.#fromBroker(() => {
          this.#close();
          done?.();
        }),
      );
  }

  receive(message: Message, messageId: number): void {
    if (this.#isHalfOpen || this.#isClosed) return;
    this.#waiting.push(() => {
      this.emit('packetreceive', {});
      this.#isBusy = true;
      this.handleMessage({ ...message, messageId }, () => {
        this.#isBusy = false;
        this.#work();
      });
    });
    this.#work();
  }

  cut(): void {
    if (this.session?.client === this) this.session.client = undefined;
    this.#close();
  }

  /** mqtt.js notices after one and a half keep-alives. */
  halfOpen(): void {
    this.#isHalfOpen = true;
    if (this.session?.client === this) this.session.client = undefined;
    this.#broker.scheduler.at(1500 * this.#options.keepalive!, () => this.#close());
  }

  #work(): void {
    while (!this.#isBusy && !this.#isClosed && this.#waiting.length > 0) this.#waiting.shift()!();
  }

  #toBroker(call: () => void): void {
    this.#broker.later(() => {
      if (!this.#isHalfOpen && !this.#isClosed && this.session?.client === this) call();
    });
  }

  #fromBroker(call: () => void): void {
    this.#broker.later(() => {
      if (!this.#isHalfOpen && !this.#isClosed) call();
    });
  }

  #write(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += 4) {
      const messageId = bytes.readUInt16BE(at + 2);
      this.#toBroker(() => {
        const session = this.session!;
        const message = session.inFlight.get(messageId);
        if (message === undefined) throw new Error(`acknowledges ${messageId}, which is not under way`);
        session.inFlight.delete(messageId);
        this.#broker.onAcknowledged(message);
        this.#broker.deliver(session);
      });
    }
  }

  #fail(text: string, code?: number): void {
    this.emit('error', Object.assign(new Error(text), code === undefined ? {} : { code }));
    this.#close();
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.connected = false;
    this.disconnected = true;
    this.stream.destroyed = true;
    if (this.session?.client === this) this.session.client = undefined;
    this.#broker.scheduler.at(0, () => this.emit('close'));
  }
}
