/** The gateway that runs now, what it writes to, and how one config gives way to the next. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TickObserver } from '../energy/ledger.ts';
import { Ledger, measureCpuNsPerMac } from '../energy/ledger.ts';
import { LedgerFile } from '../energy/ledger-file.ts';
import { findTarget } from '../energy/target.ts';
import type { Engine } from '../engine/engine.ts';
import type { GatewayConfig, LedgerConfig } from '../gateway/config.ts';
import type { LoadedConfig } from '../gateway/load-config.ts';
import type { Log } from '../gateway/log.ts';
import type { Gateway, GatewayOptions } from '../gateway/service.ts';
import { WitnessLog } from '../gateway/witness-log.ts';
import { makeGateway } from './device.ts';

export type HostOptions = Pick<GatewayOptions, 'log' | 'onFatal'>;

/** A gateway whose files are not open yet. */
interface Prepared {
  readonly loaded: LoadedConfig;
  readonly gateway: Gateway;
  readonly observers: TickObserver[];
}

interface Running extends Prepared {
  readonly close: () => Promise<void>;
}

export class GatewayHost {
  readonly #options: HostOptions;
  #running: Running;

  private constructor(options: HostOptions, running: Running) {
    this.#options = options;
    this.#running = running;
  }

  /** Opens what the config asks for and starts. Rejects when something of it can't be had. */
  static async start(loaded: LoadedConfig, options: HostOptions): Promise<GatewayHost> {
    const running = await open(prepare(loaded, options), options.log);
    running.gateway.start();
    return new GatewayHost(options, running);
  }

  get gateway(): Gateway {
    return this.#running.gateway;
  }

  get loaded(): LoadedConfig {
    return this.#running.loaded;
  }

  /**
   * Stops the running gateway and starts one of `next`. The broker keeps for the new one what comes between the two,
   * if both have one client id and the session does not expire; results that still wait are handed on. Rejects when `next` can't be had: then the old config
   * runs on, or runs again; if even that can't be, it is fatal. One call at a time.
   */
  async replace(next: LoadedConfig): Promise<void> {
    const { loaded } = this.#running;
    const prepared = prepare(next, this.#options);
    await stop(this.#running);
    try {
      await this.#begin(prepared);
    } catch (error) {
      await this.#begin(prepare(loaded, this.#options)).catch((again) => this.#options.onFatal?.(again));
      throw error;
    }
  }

  async #begin(prepared: Prepared): Promise<void> {
    const before = this.gateway.outbox.remaining();
    this.#running = await open(prepared, this.#options.log);
    for (const message of before) this.gateway.outbox.push(message);
    this.gateway.start();
  }

  /** Within a second, files flushed. */
  stop(): Promise<void> {
    return stop(this.#running);
  }
}

function prepare(loaded: LoadedConfig, options: HostOptions): Prepared {
  const observers: TickObserver[] = [];
  return { loaded, observers, gateway: makeGateway(loaded, { ...options, observers }) };
}

async function stop({ gateway, close }: Running): Promise<void> {
  await gateway.stop();
  await close();
}

async function open(prepared: Prepared, log: Log): Promise<Running> {
  const { gateway, observers } = prepared;
  const closers = await openObservers(gateway.config, gateway.engine, observers, log);
  return { ...prepared, close: async () => void (await Promise.all(closers.map((close) => close()))) };
}

/** Fills `observers` with those that the config asks for; gives what closes them. */
async function openObservers(
  config: GatewayConfig,
  engine: Engine,
  observers: TickObserver[],
  log: Log,
): Promise<(() => Promise<void>)[]> {
  const closers: (() => Promise<void>)[] = [];
  if (config.witnessLog !== undefined) {
    const witnessLog = await WitnessLog.open(config.witnessLog, (text) => log.warning(text));
    const { repairedBytes } = witnessLog.records;
    if (repairedBytes > 0)
      log.warning(`witness log: the last ${repairedBytes} bytes were no whole record and are gone`);
    observers.push(witnessLog);
    closers.push(() => witnessLog.close());
  }
  if (config.ledger !== undefined) {
    const ledger = openLedger(config.ledger, engine);
    observers.push(ledger);
    closers.push(() => ledger.stop());
  }
  return closers;
}

function openLedger({ directory, target }: LedgerConfig, engine: Engine): Ledger {
  mkdirSync(directory, { recursive: true });
  const ledger = new Ledger({
    target: findTarget(target),
    file: new LedgerFile({ path: join(directory, 'ledger.ndjson') }),
    cpuNsPerMac: measureEngine(engine),
  });
  ledger.start();
  return ledger;
}

/** CPU time of one MAC here, by some steps at full compute; leaves the engine as it was. */
function measureEngine(engine: Engine): number {
  const features = new Int16Array(engine.config.features);
  const plan = engine.plans[0]!.write;
  const cpuNsPerMac = measureCpuNsPerMac(() => {
    engine.step(0, features, plan);
    return engine.stats.macs;
  });
  engine.reset(0);
  return cpuNsPerMac;
}
