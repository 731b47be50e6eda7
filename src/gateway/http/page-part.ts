/** The gateway as people and monitors look at it: page, live events, history, metrics, health. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { LedgerRecord } from '../../energy/ledger-record.ts';
import type { EnergySnapshot } from '../../energy/metrics.ts';
import type { Json } from '../../engine/model.ts';
import { modelTag, modelText } from '../../gate/model-tag.ts';
import type { Frame } from '../../gate/packets.ts';
import type { Witness } from '../../gate/witness.ts';
import type { History, State } from '../../page/protocol.ts';
import type { PageConfig } from '../config/config.ts';
import type { Log } from '../log.ts';
import type { Output } from '../output.ts';
import type { GatewayPart } from '../part.ts';
import type { Gateway } from '../service.ts';
import { findAsset, plainText } from './assets.ts';
import { EnergyHistory } from './energy-history.ts';
import { EventStream } from './event-stream.ts';
import { type Health, healthOf } from './health.ts';
import { gatewayMetrics } from './metrics.ts';
import { GatewayServer, type Route, send, sendJson, sendText } from './server.ts';
import { descriptionOf, stateOf } from './state.ts';
import { TickRing } from './tick-ring.ts';

/** Whoever counts the joules. */
export interface EnergySource {
  snapshot(): EnergySnapshot;
  /** Called after each interval. */
  onInterval?: (record: LedgerRecord) => void;
}

export interface PageOptions {
  readonly gateway: Gateway;
  readonly log: Log;
  readonly energy?: EnergySource;
  /** Intervals of earlier runs. */
  readonly ledgerPath?: string;
}

/** Often enough for eyes. */
const ticksEachMs = 250;
const stateEachMs = 1000;

export class PagePart implements GatewayPart {
  readonly server: GatewayServer;
  readonly #config: PageConfig;
  readonly #options: PageOptions;
  readonly #ring: TickRing;
  readonly #events = new EventStream();
  readonly #energyHistory = new EnergyHistory();
  readonly #startedMs = performance.now();
  readonly #startedAtMs = Date.now();
  readonly #timers: NodeJS.Timeout[] = [];
  #lastTickMs: number | undefined;
  /** Ticks before this one have been sent. */
  #sent = 0;

  constructor(config: PageConfig, options: PageOptions) {
    this.#config = config;
    this.#options = options;
    this.#ring = new TickRing(config.historyTicks, options.gateway.engine.model.meaning.channels.length);
    this.server = new GatewayServer(config, (path) => this.#routeOf(path), options.log);
    if (options.energy !== undefined) options.energy.onInterval = (record) => this.#energyHistory.add(record);
  }

  start(): void {
    this.server.start();
    const { ledgerPath } = this.#options;
    if (ledgerPath !== undefined) void this.#energyHistory.load(ledgerPath, Date.now());
    this.#timers.push(setInterval(() => this.#sendTicks(), ticksEachMs).unref());
    this.#timers.push(setInterval(() => this.#sendState(), stateEachMs).unref());
  }

  onTick(witness: Witness, output: Output, frame: Frame): void {
    this.#lastTickMs = performance.now();
    this.#ring.add(witness, output.hasValue, frame);
  }

  counters(): { readonly page: { readonly [name: string]: Json } } {
    const { readers, dropped } = this.#events;
    return { page: { ...this.server.counts, readers, readersDropped: dropped } };
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#events.close();
    await this.server.close();
  }

  #routeOf(path: string): Route | undefined {
    if (Object.hasOwn(this.#routes, path)) return this.#routes[path];
    return findAsset(path) === undefined
      ? undefined
      : (request, response) => sendAsset(path, request, response);
  }

  readonly #routes: Readonly<Record<string, Route>> = {
    '/events': (request, response) => this.#stream(request, response),
    '/history': (_, response) => sendJson(response, 200, this.#history()),
    '/metrics': (_, response) =>
      send(response, 200, 'text/plain; version=0.0.4; charset=utf-8', this.#metrics()),
    '/healthz': (_, response) => {
      const health = this.#health();
      sendJson(response, health.ok ? 200 : 503, health);
    },
  };

  #stream(request: IncomingMessage, response: ServerResponse): void {
    if (request.method === 'HEAD') send(response, 200, 'text/event-stream', '');
    else if (!this.#events.add(response)) sendText(response, 503, 'too many are looking already');
  }

  #sendTicks(): void {
    if (this.#events.readers > 0 && this.#sent < this.#ring.total)
      this.#events.send('ticks', this.#ring.columns(this.#sent));
    this.#sent = this.#ring.total;
  }

  #sendState(): void {
    if (this.#events.readers > 0) this.#events.send('state', this.#state());
  }

  #history(): History {
    return {
      description: descriptionOf(this.#options.gateway, this.#startedAtMs, this.#config.historyTicks),
      state: this.#state(),
      ticks: this.#ring.columns(0),
      energy: this.#energyHistory.intervals,
    };
  }

  #state(): State {
    const uptimeS = Math.round((performance.now() - this.#startedMs) / 1000);
    return stateOf(this.#options.gateway, this.#health(), uptimeS, this.#options.energy?.snapshot());
  }

  #health(): Health {
    const { gateway } = this.#options;
    return healthOf({
      nowMs: performance.now(),
      startedMs: this.#startedMs,
      isConnected: gateway.connection.ready,
      vitals: gateway.vitals(),
      lastTickMs: this.#lastTickMs,
      tickWithinMs: this.#config.tickWithinMs,
    });
  }

  #metrics(): string {
    const { gateway, energy } = this.#options;
    return gatewayMetrics({
      counters: gateway.counters(),
      gateway: gateway.config.gateway,
      kernel: gateway.engine.kernel,
      model: modelText(modelTag(gateway.served.loaded.modelSha256)),
      policy: gateway.pipeline.policy.name,
      connected: gateway.connection.ready,
      override: gateway.pipeline.override,
      energy: energy?.snapshot(),
      residentBytes: process.memoryUsage.rss(),
    });
  }
}

function sendAsset(path: string, { headers }: IncomingMessage, response: ServerResponse): void {
  const asset = findAsset(path)!;
  const takesGzip = /\bgzip\b/.test(headers['accept-encoding']?.toString() ?? '');
  if (takesGzip)
    send(response, 200, asset.type, asset.gzip, { 'Content-Encoding': 'gzip', Vary: 'Accept-Encoding' });
  else send(response, 200, asset.type, plainText(asset), { Vary: 'Accept-Encoding' });
}
