/** The gateway that runs now, what it writes to, and how one config gives way to the next. */
import { join } from 'node:path';
import type { MeterChoice } from '../energy/choose-meter.ts';
import { ledgerName } from '../energy/ledger-file.ts';
import { CalibrationPart } from '../gateway/calibration/calibration-part.ts';
import { Commands } from '../gateway/commands.ts';
import {
  ownTopics,
  type StateConfig,
  type StorageConfig,
  type WitnessLogConfig,
} from '../gateway/config/config.ts';
import type { LoadedConfig } from '../gateway/config/load-config.ts';
import { FolderHeldError } from '../gateway/disk/folder-lock.ts';
import { Storage } from '../gateway/disk/storage.ts';
import { WitnessLog } from '../gateway/disk/witness-log.ts';
import { PagePart } from '../gateway/http/page-part.ts';
import type { Log } from '../gateway/log.ts';
import { ModelsPart } from '../gateway/models/models-part.ts';
import { makeOutputParts } from '../gateway/output-parts.ts';
import type { Gateway, GatewayOptions } from '../gateway/service.ts';
import { makeGateway } from './device.ts';
import { chooseMachineMeter, meterParts, openLedger } from './open-ledger.ts';

/** Between two reports of what drifts. */
const calibrationReportMs = 600_000;

type Handed = 'log' | 'onFatal' | 'onLost' | 'mayConnect' | 'wasPublished';

export interface HostOptions extends Pick<GatewayOptions, Handed> {
  /** Bytes that the process may still take; default: nobody set a bound. */
  readonly memoryLeft?: () => number;
}

/** A gateway that may not be started yet, since its files are not open. */
interface Prepared {
  readonly loaded: LoadedConfig;
  readonly gateway: Gateway;
  readonly choice: MeterChoice | undefined;
  readonly models: ModelsPart | undefined;
}

export class GatewayHost {
  readonly #options: HostOptions;
  #running: Prepared;

  private constructor(options: HostOptions, running: Prepared) {
    this.#options = options;
    this.#running = running;
  }

  /** Opens what the config asks for and starts. Rejects when something of it can't be had. */
  static async start(loaded: LoadedConfig, options: HostOptions): Promise<GatewayHost> {
    const running = await prepare(loaded, options);
    await openFiles(running, options.log);
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
    const prepared = await prepare(next, this.#options);
    await this.stop();
    try {
      await this.#begin(prepared);
    } catch (error) {
      const again = async () => this.#begin(await prepare(loaded, this.#options));
      await again().catch((reason) => this.#options.onFatal?.(reason));
      throw error;
    }
  }

  async #begin(prepared: Prepared): Promise<void> {
    const before = this.gateway.outbox.remaining();
    await openFiles(prepared, this.#options.log);
    this.#running = prepared;
    for (const message of before) this.gateway.outbox.push(message);
    this.gateway.start();
  }

  /** Within a second, files flushed. */
  stop(): Promise<void> {
    return this.gateway.stop();
  }
}

async function prepare(loaded: LoadedConfig, options: HostOptions): Promise<Prepared> {
  const { ledger } = loaded.config;
  const choice = ledger === undefined ? undefined : await chooseMachineMeter(ledger);
  const decoder = () => gateway.intake.decoder;
  const parts = makeOutputParts(loaded, decoder, options.log);
  if (choice !== undefined) parts.push(...meterParts(choice));
  const models = makeModels(loaded, options, () => gateway);
  if (models !== undefined) parts.push(models);
  const { commands } = loaded.config;
  if (commands !== undefined)
    parts.push(new Commands(commands, loaded.config, () => gateway.pipeline, options.log, { models }));
  const gateway: Gateway = makeGateway(loaded, { ...options, parts });
  return { loaded, gateway, choice, models };
}

function makeModels(
  loaded: LoadedConfig,
  { log, memoryLeft }: HostOptions,
  gateway: () => Gateway,
): ModelsPart | undefined {
  if (loaded.config.models === undefined) return undefined;
  return new ModelsPart({ loaded, gateway, log, memoryLeft });
}

/** Opens the files that the config asks for; they are closed when the gateway stops. All, or none. */
async function openFiles(prepared: Prepared, log: Log): Promise<void> {
  try {
    await openEach(prepared, log);
  } catch (error) {
    await prepared.gateway.stop();
    throw error;
  }
}

async function openEach({ gateway, choice, models }: Prepared, log: Log): Promise<void> {
  // First of all, since it may change the engine.
  await models?.open();
  const { storage, state, witnessLog } = gateway.config;
  const kept = storage === undefined ? undefined : await openStorage(storage, gateway, log);
  // What was calibrated comes first: the state goes on from there.
  addCalibration(gateway, kept, log);
  if (state !== undefined) await openState(state, gateway, log);
  if (witnessLog !== undefined) gateway.parts.add(await openWitnessLog(witnessLog, log));
  const energy = choice === undefined ? undefined : openLedger(gateway.config, choice, gateway.engine, log);
  if (energy !== undefined) gateway.parts.add(energy);
  const { page, ledger } = gateway.config;
  if (page === undefined) return;
  const ledgerPath = ledger === undefined ? {} : { ledgerPath: join(ledger.directory, ledgerName) };
  gateway.parts.add(
    new PagePart(page, { gateway, log, ...(energy === undefined ? {} : { energy }), ...ledgerPath }),
  );
}

/** A disk that refuses must not keep the gateway from its work. */
async function openStorage(config: StorageConfig, gateway: Gateway, log: Log): Promise<Storage | undefined> {
  const { inbox } = gateway.intake;
  try {
    const storage = await Storage.open(config, {
      onProblem: (text) => log.warning(text),
      onKept: (topic, payload) => inbox.expectAgain(topic, payload),
    });
    gateway.useStorage(storage);
    const { intake, outbox } = storage;
    if (intake.count + outbox.count > 0)
      log.info(`found on disk: ${intake.count} messages to be worked on, ${outbox.count} results to be sent`);
    return storage;
  } catch (error) {
    // Two that write to the same files would lose what both keep.
    if (error instanceof FolderHeldError) throw error;
    log.error(`storage: ${(error as Error).message}; what waits is kept in memory alone`);
    return undefined;
  }
}

/** Without it the gateway does its work too. */
async function openState(config: StateConfig, gateway: Gateway, log: Log): Promise<void> {
  try {
    await gateway.useState(config);
  } catch (error) {
    if (error instanceof FolderHeldError) throw error;
    log.error(`state: ${(error as Error).message}; what the gateway remembers ends with the process`);
  }
}

/** Of a model that calibrates itself. */
function addCalibration(gateway: Gateway, storage: Storage | undefined, log: Log): void {
  const { task, channels, intervalMs } = gateway.engine.model.meaning;
  if (task.kind !== 'anomaly' || task.chart === undefined) return;
  const model = () => ({
    pipeline: gateway.pipeline,
    modelSha256: gateway.served.loaded.modelSha256,
  });
  const { calibration: topic } = ownTopics(gateway.config);
  const reportTicks = Math.max(1, Math.round(calibrationReportMs / intervalMs));
  const part = new CalibrationPart({ model, topic, reportTicks, log });
  if (storage !== undefined) {
    const { formerCalibration: text } = storage;
    part.useStore({ text, save: (saved) => storage.saveCalibration(saved) }, channels);
  }
  gateway.parts.add(part);
}

async function openWitnessLog(config: WitnessLogConfig, log: Log): Promise<WitnessLog> {
  const witnessLog = await WitnessLog.open(config, (text) => log.warning(text));
  const { repairedBytes } = witnessLog.records;
  if (repairedBytes > 0)
    log.warning(`witness log: the last ${repairedBytes} bytes were no whole record and are gone`);
  return witnessLog;
}
