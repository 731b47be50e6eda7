/** The gateways of those devices that are ours, one for each, as the group shares them out. */

import type { LoadedConfig } from '../gateway/config/load-config.ts';
import { GatewayServer, send, sendText } from '../gateway/http/server.ts';
import type { Log } from '../gateway/log.ts';
import type { Gateway } from '../gateway/service.ts';
import { ShareGroup } from '../gateway/share/group.ts';
import { shareMetrics } from '../gateway/share/metrics.ts';
import { GatewayHost, type HostOptions } from './gateway-host.ts';

export interface ShareHostOptions extends Pick<HostOptions, 'memoryLeft'> {
  readonly log: Log;
  readonly onFatal: (error: Error) => void;
}

/** A device of ours. */
interface Unit {
  /** Undefined until it is started. */
  host: GatewayHost | undefined;
  /** Everything that is done to it, in order; never rejects. */
  work: Promise<void>;
  isWanted: boolean;
  /** When its connection was lost, and the how manieth of the group's was there then; undefined: it was not. */
  lost: { readonly atMs: number; readonly connects: number } | undefined;
  /** Another gateway has taken it from us; until then we leave it alone. */
  fencedUntilMs: number;
}

export class ShareHost {
  readonly group: ShareGroup;
  /** Devices that another gateway took while we thought them ours. */
  fenced = 0;
  /** Results that were not published since another gateway had published them before. */
  repeated = 0;
  readonly #shared: LoadedConfig;
  readonly #options: ShareHostOptions;
  readonly #units = new Map<string, Unit>();
  readonly #server: GatewayServer | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(shared: LoadedConfig, options: ShareHostOptions) {
    this.#shared = shared;
    this.#options = options;
    const { config } = shared;
    this.group = new ShareGroup({
      config,
      ...options,
      onAssigned: (devices) => this.#assign(devices),
      status: () => ({ takeovers: this.group.takeovers, fenced: this.fenced, served: this.gateways.length }),
    });
    if (config.page === undefined) return;
    this.#server = new GatewayServer(config.page, (path) => this.#findRoute(path), options.log);
  }

  /** Those that run now. */
  get gateways(): readonly Gateway[] {
    return [...this.#units.values()].flatMap(({ host }) => host?.gateway ?? []);
  }

  start(): void {
    this.#server?.start();
    this.group.start();
    // Devices that were taken from us may be ours again.
    this.#retry = setInterval(() => this.#tend(), this.#shared.config.share!.heartbeatMs);
  }

  /** Within a second. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#retry);
    this.#assign(new Set());
    await Promise.all([...[...this.#units.values()].map(({ work }) => work), this.#server?.close()]);
    await this.group.stop();
  }

  #assign(devices: ReadonlySet<string>): void {
    for (const device of devices) if (!this.#units.has(device)) this.#units.set(device, newUnit());
    for (const [device, unit] of this.#units) unit.isWanted = devices.has(device);
    this.#tend();
  }

  /** Brings each device into the state that is wanted of it. */
  #tend(): void {
    for (const [device, unit] of this.#units) {
      this.#fenceIfTaken(device, unit);
      if (unit.isWanted && unit.host === undefined && performance.now() >= unit.fencedUntilMs)
        this.#then(unit, () => this.#begin(device, unit));
      else if (!unit.isWanted && unit.host !== undefined) this.#then(unit, () => this.#end(unit));
      else if (!unit.isWanted && unit.fencedUntilMs <= performance.now()) this.#forget(device, unit);
    }
  }

  #forget(device: string, unit: Unit): void {
    void unit.work.then(() => {
      if (!unit.isWanted && unit.host === undefined) this.#units.delete(device);
    });
  }

  #then(unit: Unit, what: () => Promise<void>): void {
    unit.work = unit.work.then(what);
  }

  async #begin(device: string, unit: Unit): Promise<void> {
    if (!unit.isWanted || unit.host !== undefined || this.#isStopped) return;
    const { log, onFatal } = this.#options;
    const loaded = this.#loadFor(device);
    try {
      unit.host = await GatewayHost.start(loaded, {
        log: prefixed(log, device),
        onFatal,
        onLost: () => this.#onLost(unit),
        mayConnect: () => this.#mayConnect(unit),
        ...(loaded.config.frame.timestamp === undefined
          ? {}
          : { wasPublished: this.#makeGuard(device, loaded.config.limits.ringMessages) }),
      });
    } catch (error) {
      onFatal(error as Error);
    }
  }

  async #end(unit: Unit): Promise<void> {
    const { host } = unit;
    if (host === undefined || unit.isWanted) return;
    unit.host = undefined;
    await host.stop();
  }

  #onLost(unit: Unit): void {
    // An attempt that has failed takes nothing from us.
    if ((unit.host?.gateway.connection.connects ?? 0) === 0) return;
    unit.lost = { atMs: performance.now(), connects: this.group.connection.connects };
  }

  /** Connecting takes the device from whoever has it, so it is done by who knows that nobody else should have it. */
  #mayConnect({ isWanted, lost }: Unit): boolean {
    return isWanted && this.group.isSettled && lost?.connects !== this.group.connection.connects;
  }

  /**
   * A connection that is lost alone, while that of the group lives, was most likely closed for another gateway under
   * the same client id (Mosquitto 2.0 does not say so): whatever we think, the device is that one's.
   */
  #fenceIfTaken(device: string, unit: Unit): void {
    const { host, lost } = unit;
    const { heartbeatMs, leaseMs } = this.#shared.config.share!;
    const { ready, connects } = this.group.connection;
    const isAlone = ready && lost?.connects === connects && performance.now() - lost.atMs > heartbeatMs;
    if (host === undefined || host.gateway.connection.ready || !isAlone) return;
    this.fenced++;
    this.#options.log.warning(`${device}: its connection alone was closed, so another gateway serves it now`);
    unit.host = undefined;
    unit.lost = undefined;
    unit.fencedUntilMs = performance.now() + leaseMs;
    this.#then(unit, () => host.stop());
  }

  /**
   * What the gateway before us has not acknowledged comes to us, though its result may be out already. Those are not
   * published again: results up to the last that was seen, until the first that is later.
   */
  #makeGuard(device: string, most: number): (timeMs: number) => boolean {
    let untilMs: number | undefined;
    let left = most;
    return (timeMs) => {
      untilMs ??= this.group.lastResultMs(device);
      // Senders' clocks may be set back; what the broker keeps for us is bounded.
      if (timeMs > untilMs || left-- <= 0) untilMs = Number.NEGATIVE_INFINITY;
      if (timeMs > untilMs) return false;
      this.repeated++;
      return true;
    };
  }

  #loadFor(device: string): LoadedConfig {
    const loaded = this.#shared.forDevice(device);
    const { page: _, ...config } = loaded.config;
    return { ...loaded, config };
  }

  #findRoute(path: string) {
    if (path === '/metrics')
      return (_: unknown, response: Parameters<typeof send>[0]) =>
        send(response, 200, 'text/plain; version=0.0.4; charset=utf-8', this.metrics());
    if (path !== '/healthz') return undefined;
    return (_: unknown, response: Parameters<typeof send>[0]) => {
      const problem = this.problem();
      sendText(response, problem === undefined ? 200 : 503, problem ?? 'ok');
    };
  }

  metrics(): string {
    const { group } = this;
    const served = this.gateways.length;
    return shareMetrics({
      group: this.#shared.config.share!,
      connected: group.connection.ready,
      members: group.members.length,
      known: group.known,
      served,
      takeovers: group.takeovers,
      fenced: this.fenced,
      refused: group.refused,
      repeated: this.repeated,
    });
  }

  /** What is wrong, in a sentence. */
  problem(): string | undefined {
    if (!this.group.connection.ready) return 'not connected to the group';
    const lost = this.gateways.filter(({ connection }) => !connection.ready).length;
    return lost === 0 ? undefined : `${lost} of ${this.gateways.length} devices are not connected`;
  }
}

function newUnit(): Unit {
  return { host: undefined, work: Promise.resolve(), isWanted: true, lost: undefined, fencedUntilMs: 0 };
}

function prefixed(log: Log, device: string): Log {
  return {
    info: (text) => log.info(`${device}: ${text}`),
    warning: (text) => log.warning(`${device}: ${text}`),
    error: (text) => log.error(`${device}: ${text}`),
  };
}
