/**
 * Many messages through a real Mosquitto and a real gateway process, while both are killed again and again.
 *
 * The sender keeps each message until its result was seen, and sends again only what a killed broker may have lost. So
 * a message that the gateway acknowledged and lost would never have a result.
 */
import { readFileSync } from 'node:fs';
import { connect, type MqttClient } from 'mqtt';
import { Running } from '../cli/gateway-program.ts';
import { type Fixture, type Result, until } from './fixture.ts';
import type { Mosquitto } from './mosquitto.ts';

export interface SoakOptions {
  readonly fixture: Fixture;
  /** The gateway's program. */
  readonly program: string;
  readonly broker: Mosquitto;
  readonly messages: number;
  /** Forced faults, half of them kill the broker, half the gateway; all within the first half of the messages. */
  readonly faults: number;
  /** Results to be kept from the end, for comparison. */
  readonly tail: number;
  /** Of the gateway's config. */
  readonly overrides?: Record<string, unknown>;
  readonly random: () => number;
}

export interface SoakReport {
  readonly messages: number;
  /** Times without a result. */
  readonly lost: number;
  /** Results that came a second time. */
  readonly repeated: number;
  readonly brokerKills: number;
  readonly gatewayKills: number;
  /** Resident bytes of the last gateway process: at first, when it had worked on a fifth of its messages, at last. */
  readonly rssBytes: { readonly early: number; readonly late: number };
  readonly seconds: number;
  /** The last results, the oldest first. */
  readonly tail: readonly Result[];
}

const topic = 'room/climate';
const resultTopic = 'dormouse/test/state';
/** Messages under way between sender and results. */
const window = 200;
const startMs = 1_000_000_000_000;
const intervalMs = 1000;

export const timeOf = (index: number) => startMs + index * intervalMs;

/** A walk that stands, moves and jumps: every tick of it is determined by its index. */
export function valuesOf(index: number): [number, number] {
  const phase = index % 60;
  const wave = phase < 20 ? Math.sin(index * 1.3) * 4 : Math.sin(Math.floor(index / 60)) * 3;
  return [Number((20 + wave).toFixed(2)), Number((50 - wave * 2 + ((index * 7) % 11) / 100).toFixed(2))];
}

class Soak {
  readonly #options: SoakOptions;
  readonly #seen: Uint8Array;
  readonly #tail: Result[] = [];
  #client: MqttClient | undefined;
  #next = 0;
  /** All before it have a result. */
  #seenThrough = 0;
  #repeated = 0;
  #isOver = false;
  #gateway: Running | undefined;
  #wake: () => void = () => {};

  constructor(options: SoakOptions) {
    this.#options = options;
    this.#seen = new Uint8Array(options.messages);
  }

  async run(): Promise<SoakReport> {
    const { messages, faults, broker, random } = this.#options;
    const beginMs = performance.now();
    this.#startGateway();
    await this.#gateway!.prints('connected to');
    this.#connect();
    let [brokerKills, gatewayKills] = [0, 0];
    for (let fault = 0; fault < faults; fault++) {
      const at = Math.floor((messages / 2) * ((fault + 0.2 + random() * 0.6) / faults));
      await this.#reached(at);
      if (fault % 2 === 0) {
        brokerKills++;
        await broker.save();
        // What it had handed on is read before the connection is reset: that would take it from us.
        broker.freeze();
        await new Promise((resolve) => setTimeout(resolve, 100));
        await broker.kill('SIGKILL');
        await new Promise((resolve) => setTimeout(resolve, 50));
        await broker.start();
      } else {
        gatewayKills++;
        await this.#gateway!.end('SIGKILL');
        this.#startGateway();
      }
    }
    const begin = this.#seenThrough;
    await this.#reached(begin + Math.floor((messages - begin) / 5));
    const early = residentBytes(this.#gateway!.child.pid!);
    await this.#reached(messages);
    const late = residentBytes(this.#gateway!.child.pid!);
    this.#isOver = true;
    this.#client?.end(true);
    await this.#gateway!.end('SIGTERM');
    const seconds = (performance.now() - beginMs) / 1000;
    const lost = this.#seen.reduce((sum, seen) => sum + 1 - seen, 0);
    const tail = this.#tail.sort((a, b) => a.time - b.time);
    return {
      messages,
      lost,
      repeated: this.#repeated,
      brokerKills,
      gatewayKills,
      rssBytes: { early, late },
      seconds,
      tail,
    };
  }

  #startGateway(): void {
    const { fixture, program, broker, overrides = {} } = this.#options;
    const path = fixture.writeConfig(broker.url, { output: { publish: 'all', retain: false }, ...overrides });
    this.#gateway = new Running(program, ['run', path]);
  }

  /** Resolves when so many have a result; rejects when nothing moves for long. */
  async #reached(index: number): Promise<void> {
    let last = -1;
    while (this.#seenThrough < index) {
      if (last === this.#seenThrough) throw new Error(this.#standstill());
      last = this.#seenThrough;
      const deadline = performance.now() + 60_000;
      await until(
        () =>
          this.#seenThrough >= index || (this.#seenThrough > last && performance.now() > deadline - 59_000),
        'results come',
        60_000,
      ).catch(() => {});
    }
  }

  #standstill(): string {
    const log = `${this.#gateway!.stdout}${this.#gateway!.stderr}`.slice(-2000);
    return `no result after ${this.#seenThrough} (sent ${this.#next}); the gateway says: ${log}`;
  }

  #connect(): void {
    if (this.#isOver) return;
    const client = connect(this.#options.broker.url, {
      clientId: 'soak',
      clean: false,
      protocolVersion: 5,
      properties: { sessionExpiryInterval: 3600 },
      reconnectPeriod: 0,
    });
    this.#client = client;
    client.on('error', () => {});
    client.on('message', (_topic, payload) => this.#onResult(JSON.parse(payload.toString())));
    client.on('close', () => {
      client.end(true);
      if (client === this.#client) setTimeout(() => this.#connect(), 50);
    });
    client.on('connect', () => {
      client.subscribe(resultTopic, { qos: 1 }, () => {
        // What a killed broker had is gone, perhaps.
        this.#next = this.#seenThrough;
        void this.#send(client);
      });
    });
  }

  async #send(client: MqttClient): Promise<void> {
    while (client === this.#client && client.connected && this.#next < this.#options.messages) {
      if (this.#next - this.#seenThrough >= window) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
          setTimeout(resolve, 20);
        });
        continue;
      }
      const [temperature, humidity] = valuesOf(this.#next);
      client.publish(topic, JSON.stringify({ time: timeOf(this.#next), temperature, humidity }), { qos: 1 });
      this.#next++;
    }
  }

  #onResult(result: Result): void {
    const index = (result.time - startMs) / intervalMs;
    if (this.#seen[index] === 1) {
      this.#repeated++;
      return;
    }
    this.#seen[index] = 1;
    if (index >= this.#options.messages - this.#options.tail) this.#tail.push(result);
    while (this.#seen[this.#seenThrough] === 1) this.#seenThrough++;
    this.#wake();
  }
}

function residentBytes(pid: number): number {
  return 1024 * Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]);
}

export function soak(options: SoakOptions): Promise<SoakReport> {
  return new Soak(options).run();
}
