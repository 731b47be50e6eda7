/** `dormouse run`: the gateway, until it is told to stop. */
import { targets } from '../energy/target.ts';
import { policyNames } from '../gate/policy.ts';
import { ownTopics } from '../gateway/config/config.ts';
import {
  GatewayConfigError,
  type LoadedConfig,
  type LoadOptions,
  loadGatewayConfig,
} from '../gateway/config/load-config.ts';
import { type Log, type LogLevel, logLevels, makeLog } from '../gateway/log.ts';
import type { Gateway } from '../gateway/service.ts';
import { version } from '../version.ts';
import { ClockWatch } from './clock-sync.ts';
import type { Command } from './command.ts';
import { targetMismatch } from './device.ts';
import { Ending } from './ending.ts';
import { GatewayHost } from './gateway-host.ts';
import { memoryLeftOf, parseBytes, watchMemory } from './memory-bound.ts';
import { parseOptions, requireArguments, requireChoice } from './options.ts';
import { releaseOnceStarted } from './program-pages.ts';
import { ShareRun } from './share-run.ts';
import { ServiceManager } from './systemd.ts';
import { ProgressCheck } from './watchdog.ts';

const usage = `Usage: dormouse run CONFIG [options]

Connects to the MQTT broker that CONFIG (a YAML file) names, makes ticks of what the sensors say, runs the model where
something happened, and publishes the results. Runs until SIGTERM or SIGINT, then stops within a second. SIGHUP reads
CONFIG again: a good one is taken on, with a wrong one it says why and goes on as it was.

  --log-level NAME    one of ${logLevels.join(', ')}: this and whatever is graver is printed (default info)
  --quiet             the same as --log-level warning
  --max-memory SIZE   such as 128M: warn at nine tenths of it; beyond it stop in order with exit code 75, to be started
                      anew. Counts what nobody else has: heap, stacks, engine, not the pages of files

'dormouse validate CONFIG' checks a config without running it. docs/gateway.md explains every setting and every
message; targets/example.yaml is a config to begin with, docs/raspberry-pi.md the way to a service of systemd.
`;

export const command: Command = {
  name: 'run',
  summary: 'run the gateway: MQTT in, decisions out',
  usage,
  async run(args) {
    const { values, positionals } = parseOptions({
      args,
      options: {
        quiet: { type: 'boolean', default: false },
        'log-level': { type: 'string' },
        'max-memory': { type: 'string' },
      },
      allowPositionals: true,
    });
    const [path] = requireArguments(positionals, 'a config file');
    const level = requireChoice(
      '--log-level',
      values['log-level'] ?? (values.quiet ? 'warning' : 'info'),
      logLevels,
    );
    const maxMemory = values['max-memory'];
    const maxBytes = maxMemory === undefined ? undefined : parseBytes('max-memory', maxMemory);
    const loaded = load(path);
    if (loaded === undefined) return 1;
    const log = makeLogger(level);
    if (loaded.config.share !== undefined) return new ShareRun(path, loadOptions, log, maxBytes).run(loaded);
    return new GatewayRun(path, log, maxBytes).run(loaded);
  },
};

/** The config, or undefined after printing everything that is wrong with it. */
function load(path: string): LoadedConfig | undefined {
  try {
    return readConfig(path);
  } catch (error) {
    if (!(error instanceof GatewayConfigError)) throw error;
    process.stderr.write(`dormouse run: ${error.message}\n`);
    return undefined;
  }
}

const loadOptions: LoadOptions = { policies: policyNames, targets: Object.keys(targets) };

function readConfig(path: string): LoadedConfig {
  return loadGatewayConfig(path, loadOptions);
}

function makeLogger(level: LogLevel): Log {
  const isJournal = process.env.JOURNAL_STREAM !== undefined;
  return makeLog((text) => void process.stdout.write(text), isJournal, level);
}

/** One run from start to exit code: a host, and everything that watches over it. */
class GatewayRun {
  readonly #path: string;
  readonly #log: Log;
  readonly #maxBytes: number | undefined;
  readonly #ending = new Ending();
  readonly #manager: ServiceManager;
  readonly #clockWatch: ClockWatch;
  readonly #timers: NodeJS.Timeout[] = [];
  /** The change of config that is under way; never rejects. */
  #change: Promise<void> = Promise.resolve();

  constructor(path: string, log: Log, maxBytes: number | undefined) {
    this.#path = path;
    this.#log = log;
    this.#maxBytes = maxBytes;
    this.#manager = new ServiceManager(log);
    this.#clockWatch = new ClockWatch(log);
  }

  async run(loaded: LoadedConfig): Promise<number> {
    const mismatch = targetMismatch(loaded.config.target);
    if (mismatch !== undefined) this.#log.warning(mismatch);
    for (const hint of loaded.hints) this.#log.warning(hint);
    // Where the messages tell their own time, nothing waits for ours.
    if (loaded.config.frame.timestamp === undefined) await this.#clockWatch.wait(this.#ending.whenCome);
    const host = await GatewayHost.start(loaded, {
      log: this.#log,
      onFatal: () => this.#ending.come(1),
      ...(this.#maxBytes === undefined ? {} : { memoryLeft: memoryLeftOf(this.#maxBytes) }),
    });
    this.#log.info(introduction(host.gateway));
    process.on('SIGHUP', () => this.#reload(host));
    this.#watch(host);
    void this.#manager.tell('READY=1');
    const code = await this.#ending.whenCome;
    void this.#manager.tell('STOPPING=1');
    for (const timer of this.#timers) clearInterval(timer);
    await this.#change;
    await host.stop();
    this.#log.info(farewell(host.gateway));
    return code;
  }

  /** Reads the config again and goes over to it, if it is good. */
  #reload(host: GatewayHost): void {
    this.#changeTo(host, `${this.#path} read again`, () => readConfig(this.#path));
  }

  /** One change after another, and none once the end has come. */
  #changeTo(host: GatewayHost, what: string, next: () => LoadedConfig): void {
    this.#change = this.#change.then(async () => {
      if (this.#ending.hasCome) return;
      try {
        await host.replace(next());
        this.#log.info(`${what}: ${introduction(host.gateway)}`);
      } catch (error) {
        this.#log.error(`${what}, but not taken on; it goes on as it was: ${(error as Error).message}`);
      }
    });
  }

  #watch(host: GatewayHost): void {
    this.#watchMemory();
    this.#timers.push(releaseOnceStarted(this.#log));
    this.#feedWatchdog(host);
    this.#clockWatch.onSet(() => {
      if (host.loaded.config.frame.timestamp === undefined)
        this.#changeTo(host, 'the clock was set', () => host.loaded);
    });
  }

  #watchMemory(): void {
    const timer = watchMemory(this.#maxBytes, this.#log, (code) => this.#ending.come(code));
    if (timer !== undefined) this.#timers.push(timer);
  }

  /** Twice as often as it wants to hear. */
  #feedWatchdog(host: GatewayHost): void {
    const { watchdogMs } = this.#manager;
    if (watchdogMs === undefined) return;
    const check = new ProgressCheck(() => host.gateway.vitals());
    const look = () => {
      const problem = check.problem();
      if (problem === undefined) void this.#manager.tell('WATCHDOG=1');
      else this.#log.error(`the gateway ${problem}: the watchdog is not fed`);
    };
    this.#timers.push(setInterval(look, watchdogMs / 2));
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
