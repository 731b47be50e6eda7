/** One demo: a player, a gateway, a ledger and a monitor around one broker. Knows nothing of terminals. */
import { readFileSync } from 'node:fs';
import { connectAsync, type MqttClient } from 'mqtt';
import { makeProcessClock } from '../energy/cpu-time.ts';
import { Ledger } from '../energy/ledger.ts';
import type { EnergySnapshot } from '../energy/metrics.ts';
import { detectTarget } from '../energy/target.ts';
import { measureTierCosts } from '../energy/tier-cost.ts';
import { Engine } from '../engine/engine.ts';
import type { Model } from '../engine/model.ts';
import type { PageConfig } from '../gateway/config/config.ts';
import { parseGatewayConfig } from '../gateway/config/load-config.ts';
import { PagePart } from '../gateway/http/page-part.ts';
import type { Log } from '../gateway/log.ts';
import { Gateway } from '../gateway/service.ts';
import { version } from '../version.ts';
import type { Playback } from './simulation/playback.ts';
import { Player } from './simulation/player.ts';
import { Monitor } from './terminal/monitor.ts';
import type { Summary } from './terminal/summary.ts';
import type { LiveView } from './terminal/view.ts';

export interface DemoSettings {
  readonly modelPath: string;
  readonly playback: Playback;
  /** The broker's URL. */
  readonly url: string;
  /** What it speaks; `auto` asks, which costs a connection when it speaks only 3.1.1. */
  readonly mqttVersion: 'auto' | '3.1.1';
  readonly ticksPerSecond: number;
  /** Whether the gateway serves its page, on any free port of loopback. */
  readonly page?: boolean;
}

const pageConfig: PageConfig = {
  port: 0,
  host: '127.0.0.1',
  names: [],
  historyTicks: 6000,
  tickWithinMs: 0,
};
/** More columns than a wide terminal has; one lasts about as long as a glance. */
const historyColumns = 240;
const columnSeconds = 0.3;
const connectMs = 5000;
/** How long the last ticks may take from the player to the gateway. */
const settleMs = 1000;
const notesMax = 20;
/** A longer timer of Node fires at once. */
const timerMaxMs = 2 ** 31 - 1;

export class DemoSession {
  /** What the gateway warned of, to be shown when the view is gone; the first twenty. */
  readonly notes: string[] = [];
  readonly #settings: DemoSettings;
  readonly #model: Model;
  readonly #gateway: Gateway;
  readonly #ledger: Ledger;
  readonly #monitor: Monitor;
  readonly #page: PagePart | undefined;
  readonly #topic: string;
  #startedMs = performance.now();
  #endedMs: number | undefined;
  #failure: Error | undefined;
  #isEnding = false;
  #wake: () => void = () => {};
  /** Settles when the demo is to end, for whatever reason. */
  readonly #ending = new Promise<void>((resolve) => {
    this.#wake = resolve;
  });

  /** Throws when the model can't be used. */
  constructor(settings: DemoSettings) {
    this.#settings = settings;
    const name = `demo-${process.pid}`;
    this.#topic = `${name}/room`;
    const loaded = parseGatewayConfig(gatewayConfig(settings, name, this.#topic), 'demo.yaml');
    this.#model = loaded.model;
    this.#ledger = makeLedger(loaded.model);
    this.#monitor = new Monitor({
      meaning: loaded.model.meaning,
      played: settings.playback.channels,
      columns: historyColumns,
      ticksPerColumn: Math.max(1, Math.round(settings.ticksPerSecond * columnSeconds)),
    });
    this.#gateway = new Gateway(loaded, {
      log: this.#log(),
      parts: [this.#ledger, this.#monitor],
      onFatal: (error) => this.#fail(error),
    });
    this.#page = settings.page ? this.#addPage() : undefined;
  }

  /** Plays for so many seconds or to the end of the playback. Rejects when the broker can't be reached or is lost. */
  async run(seconds: number): Promise<void> {
    const client = await connectPlayer(this.#settings.url);
    client.once('close', () => this.#fail(new Error(`lost the connection to ${this.#settings.url}`)));
    try {
      this.#gateway.start();
      await this.#page?.server.listening();
      const isUp = () => this.#gateway.connection.ready || this.#isEnding;
      if (!(await until(isUp, connectMs))) this.#fail(new Error(`${this.#settings.url} does not answer`));
      await this.#play(client, seconds);
    } finally {
      this.#endedMs = performance.now();
      this.end();
      await this.#gateway.stop();
      await client.endAsync(true);
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Asks a running demo to end soon. */
  end(): void {
    this.#isEnding = true;
    this.#wake();
  }

  async #play(client: MqttClient, seconds: number): Promise<void> {
    this.#startedMs = performance.now();
    const timer = setTimeout(() => this.end(), Math.min(seconds * 1000, timerMaxMs));
    const player = new Player({
      client,
      topic: this.#topic,
      playback: this.#settings.playback,
      ticksPerSecond: this.#settings.ticksPerSecond,
      onTick: (tick) => this.#monitor.played(tick),
    });
    await Promise.race([player.play(), this.#ending]);
    clearTimeout(timer);
    player.stop();
    if (this.#failure === undefined) await until(() => this.#monitor.undecided === 0, settleMs);
  }

  /** The first reason counts; what follows are its consequences. */
  #fail(error: Error): void {
    if (!this.#isEnding) this.#failure = error;
    this.end();
  }

  view(seconds: number): LiveView {
    const { config, meaning } = this.#model;
    const { playback, url, ticksPerSecond } = this.#settings;
    const page = this.pageUrl === undefined ? '' : `, page ${this.pageUrl}`;
    const sizes = `${config.layers} layers, ${config.hidden} wide, kernel ${this.#gateway.engine.kernel}`;
    return this.#monitor.view({
      title: `dormouse ${version}: ${meaning.task.kind}, ${sizes}`,
      subtitle: `${playback.name}, over ${url} at ${Number(ticksPerSecond.toPrecision(3))} ticks/s${page}`,
      elapsedS: this.#elapsedS(),
      totalS: seconds,
      energy: this.#energy(),
    });
  }

  summary(): Summary {
    const { macs, macsDense, tiers, cpuMs } = this.#ledger.totals();
    const { ticks, scored, right, playedMs, undecided } = this.#monitor;
    const { name, truth } = this.#settings.playback;
    return {
      name,
      truth,
      wallS: this.#elapsedS(),
      playedMs,
      ticks,
      tiers,
      scored,
      right,
      macs,
      macsDense,
      cpuMs,
      energy: { ...this.#energy(), basis: this.#ledger.target.watts.basis },
      lost: undecided,
    };
  }

  /** Where the page is served; undefined where it is not, or not yet. */
  get pageUrl(): string | undefined {
    return this.#page?.server.url;
  }

  #addPage(): PagePart {
    const part = new PagePart(pageConfig, {
      gateway: this.#gateway,
      log: this.#log(),
      energy: { snapshot: () => this.#energySnapshot() },
    });
    this.#gateway.parts.add(part);
    return part;
  }

  #energySnapshot(): EnergySnapshot {
    const { meter, writeFailures, writtenBytes } = this.#ledger;
    const { source, scope, failures: meterFailures } = meter;
    const totals = this.#ledger.totals();
    const powerWatts = (1000 * totals.energyJ) / totals.wallMs;
    return { source, scope, totals, powerWatts, meterFailures, writeFailures, writtenBytes };
  }

  #elapsedS(): number {
    return ((this.#endedMs ?? performance.now()) - this.#startedMs) / 1000;
  }

  #energy(): LiveView['energy'] {
    const { energyJ, energyAboveIdleJ, savedEstimateJ } = this.#ledger.totals();
    return {
      source: this.#ledger.meter.source,
      target: this.#ledger.target.name,
      totalJ: energyJ,
      aboveIdleJ: energyAboveIdleJ,
      savedEstimateJ,
    };
  }

  #log(): Log {
    const note = (text: string) => {
      if (this.notes.length < notesMax && !this.#isEnding) this.notes.push(text);
    };
    return { info: () => {}, warning: note, error: note };
  }
}

/** As a user would write it. JSON is YAML, and quotes whatever needs it. */
function gatewayConfig(
  { modelPath, url, mqttVersion, ticksPerSecond }: DemoSettings,
  name: string,
  topic: string,
): string {
  return JSON.stringify({
    gateway: name,
    model: modelPath,
    mqtt: { url, version: mqttVersion, sessionExpiryS: 0, reconnectMaxMs: 1000 },
    source: { topic, object: true },
    frame: { timestamp: '$.time' },
    output: { publish: 'changes', retain: false },
    countersIntervalS: 0,
    // Half a second of messages at least, should the machine stall.
    limits: { ringMessages: Math.max(1024, Math.ceil(ticksPerSecond / 2)) },
  });
}

/** Of this process alone: what else runs on the machine is not the demo's. */
function makeLedger(model: Model): Ledger {
  const { monotonicMs, cpuMs } = makeProcessClock();
  return new Ledger({
    target: detectTarget(boardModel()),
    costs: measureTierCosts(new Engine(model)),
    clock: { monotonicMs, cpuMs },
  });
}

/** What a board's firmware calls it; null on machines without a device tree. */
function boardModel(): string | null {
  try {
    return readFileSync('/proc/device-tree/model', 'utf8').replaceAll('\0', '').trim();
  } catch {
    return null;
  }
}

/** Rejects with one sentence when nobody answers; never tries again behind our back. */
async function connectPlayer(url: string): Promise<MqttClient> {
  const options = { reconnectPeriod: 0, connectTimeout: connectMs, queueQoSZero: false };
  try {
    return await connectAsync(url, options, false);
  } catch (error) {
    throw new Error(`${url}: ${(error as Error).message || 'no connection'}`, { cause: error });
  }
}

/** Looks every few milliseconds; whether it came true in time. */
async function until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
  const endMs = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() >= endMs) return false;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return true;
}
