/** `dormouse run` with a config that several gateways share. */
import { type LoadedConfig, type LoadOptions, loadGatewayConfig } from '../gateway/config/load-config.ts';
import type { Log } from '../gateway/log.ts';
import type { Gateway } from '../gateway/service.ts';
import { version } from '../version.ts';
import { Ending } from './ending.ts';
import { watchMemory } from './memory-bound.ts';
import { releaseOnceStarted } from './program-pages.ts';
import { ShareHost } from './share-host.ts';
import { ServiceManager } from './systemd.ts';
import { ProgressCheck } from './watchdog.ts';

/** One run from start to exit code. */
export class ShareRun {
  readonly #path: string;
  readonly #options: LoadOptions;
  readonly #log: Log;
  readonly #maxBytes: number | undefined;
  readonly #ending = new Ending();
  readonly #manager: ServiceManager;
  readonly #checks = new WeakMap<Gateway, ProgressCheck>();
  #host: ShareHost | undefined;
  #change: Promise<void> = Promise.resolve();

  constructor(path: string, options: LoadOptions, log: Log, maxBytes: number | undefined) {
    this.#path = path;
    this.#options = options;
    this.#log = log;
    this.#maxBytes = maxBytes;
    this.#manager = new ServiceManager(log);
  }

  async run(loaded: LoadedConfig): Promise<number> {
    this.#begin(loaded);
    process.on('SIGHUP', () => this.#reload());
    const timers = [
      this.#feedWatchdog(),
      watchMemory(this.#maxBytes, this.#log, (code) => this.#ending.come(code)),
      releaseOnceStarted(this.#log),
    ];
    void this.#manager.tell('READY=1');
    const code = await this.#ending.whenCome;
    void this.#manager.tell('STOPPING=1');
    for (const timer of timers) clearInterval(timer);
    await this.#change;
    await this.#host?.stop();
    this.#log.info('stopped');
    return code;
  }

  #begin(loaded: LoadedConfig): void {
    this.#host = new ShareHost(loaded, { log: this.#log, onFatal: (error) => this.#fail(error) });
    this.#host.start();
    this.#log.info(introduction(loaded));
  }

  #fail(error: Error): void {
    this.#log.error(error.message);
    this.#ending.come(1);
  }

  /** Everything is let go, and shared out anew under the new config, if it is good. */
  #reload(): void {
    this.#change = this.#change.then(async () => {
      if (this.#ending.hasCome) return;
      try {
        const loaded = loadGatewayConfig(this.#path, this.#options);
        if (loaded.config.share === undefined)
          throw new Error('share: expected the section still to be there, got nothing');
        await this.#host?.stop();
        this.#begin(loaded);
      } catch (error) {
        this.#log.error(
          `${this.#path} read again, but not taken on; it goes on as it was: ${(error as Error).message}`,
        );
      }
    });
  }

  #feedWatchdog(): NodeJS.Timeout | undefined {
    const { watchdogMs } = this.#manager;
    if (watchdogMs === undefined) return undefined;
    return setInterval(() => {
      const problem = this.#standstill();
      if (problem === undefined) void this.#manager.tell('WATCHDOG=1');
      else this.#log.error(`${problem}: the watchdog is not fed`);
    }, watchdogMs / 2);
  }

  #standstill(): string | undefined {
    for (const gateway of this.#host?.gateways ?? []) {
      const check = this.#checks.get(gateway);
      if (check === undefined) this.#checks.set(gateway, new ProgressCheck(() => gateway.vitals()));
      const problem = check?.problem();
      if (problem !== undefined) return `${gateway.config.gateway} ${problem}`;
    }
    return undefined;
  }
}

function introduction({ config }: LoadedConfig): string {
  const { group, member } = config.share!;
  return `dormouse ${version}: ${member} of group ${group}`;
}
