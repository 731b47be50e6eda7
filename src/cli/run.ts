/** `dormouse run`: the gateway, until it is told to stop. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TickObserver } from '../energy/ledger.ts';
import { Ledger, measureCpuNsPerMac } from '../energy/ledger.ts';
import { LedgerFile } from '../energy/ledger-file.ts';
import { findTarget, targets } from '../energy/target.ts';
import type { Engine } from '../engine/engine.ts';
import { policyNames } from '../gate/policy.ts';
import type { GatewayConfig, LedgerConfig } from '../gateway/config.ts';
import { ownTopics } from '../gateway/config.ts';
import { GatewayConfigError, type LoadedConfig, loadGatewayConfig } from '../gateway/load-config.ts';
import { type Log, makeLog } from '../gateway/log.ts';
import { Gateway } from '../gateway/service.ts';
import { WitnessLog } from '../gateway/witness-log.ts';
import { version } from '../version.ts';
import { type Command, parseOptions, UsageError } from './command.ts';

const usage = `Usage: dormouse run CONFIG [--quiet]

Connects to the MQTT broker that CONFIG (a YAML file) names, makes ticks of what the sensors say, runs the model where
something happened, and publishes the results. Runs until SIGTERM or SIGINT, then stops within a second.

  --quiet   print warnings and errors only

'dormouse validate CONFIG' checks a config without running it. docs/gateway.md explains every setting and every
message; targets/example.yaml is a config to begin with.
`;

/** No goodbye takes longer, whatever hangs. */
const exitAtLatestMs = 900;

export const command: Command = {
  name: 'run',
  summary: 'run the gateway: MQTT in, decisions out',
  usage,
  async run(args) {
    const { values, positionals } = parseOptions({
      args,
      options: { quiet: { type: 'boolean', default: false } },
      allowPositionals: true,
      strict: true,
    });
    if (positionals.length !== 1) throw new UsageError(`expected one CONFIG, got ${positionals.length}`);
    const loaded = load(positionals[0]!);
    return loaded === undefined ? 1 : runGateway(loaded, makeLogger(values.quiet));
  },
};

/** The config, or undefined after printing everything that is wrong with it. */
function load(path: string): LoadedConfig | undefined {
  try {
    return loadGatewayConfig(path, { policies: policyNames, targets: Object.keys(targets) });
  } catch (error) {
    if (!(error instanceof GatewayConfigError)) throw error;
    process.stderr.write(`dormouse run: ${error.message}\n`);
    return undefined;
  }
}

function makeLogger(quiet: boolean): Log {
  const log = makeLog((text) => void process.stdout.write(text), process.env.JOURNAL_STREAM !== undefined);
  return quiet ? { ...log, info: () => {} } : log;
}

async function runGateway(loaded: LoadedConfig, log: Log): Promise<number> {
  const { config } = loaded;
  const ending = new Ending();
  const observers: TickObserver[] = [];
  const gateway = new Gateway(loaded, { log, observers, onFatal: () => ending.come(1) });
  const closers = await openObservers(config, gateway.engine, observers, log);
  log.info(introduction(gateway));
  gateway.start();
  const code = await ending.whenCome;
  await gateway.stop();
  await Promise.all(closers.map((close) => close()));
  log.info(farewell(gateway));
  return code;
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

/** Resolves with the exit code at the first signal or failure; a second signal ends the process at once. */
class Ending {
  readonly whenCome: Promise<number>;
  #resolve: (code: number) => void = () => {};
  #hasCome = false;

  constructor() {
    this.whenCome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#onSignal());
  }

  come(code: number): void {
    if (this.#hasCome) return;
    this.#hasCome = true;
    setTimeout(() => process.exit(code), exitAtLatestMs).unref();
    this.#resolve(code);
  }

  #onSignal(): void {
    if (this.#hasCome) process.exit(1);
    this.come(0);
  }
}

function introduction({ config, engine }: Gateway): string {
  const { provenance: _, ...meaning } = engine.model.meaning;
  const channels = meaning.channels.map(({ name }) => name).join(', ');
  const kibibytes = Math.ceil(engine.memory.buffer.byteLength / 1024);
  return (
    `dormouse ${version}: gateway ${config.gateway}, task ${meaning.task.kind}, channels ${channels}; ` +
    `engine ${engine.kernel} in ${kibibytes} KiB; results on ${ownTopics(config).output}`
  );
}

function farewell(gateway: Gateway): string {
  const { frames, tokens, skips } = gateway.pipeline.counters;
  const { acknowledged, count, dropped, refused } = gateway.outbox;
  return (
    `stopped after ${frames} ticks (${tokens} computed, ${skips} skipped); ` +
    `${acknowledged} messages published, ${count + dropped + refused} not`
  );
}
