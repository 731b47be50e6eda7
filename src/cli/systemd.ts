/**
 * What systemd is told of a service of Type=notify, through the program systemd-notify: Node has no datagram sockets of
 * the kind that its notifications travel by. The unit needs NotifyAccess=all, since another process speaks for us.
 */
import { spawn } from 'node:child_process';
import type { Log } from '../gateway/log.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export class ServiceManager {
  /** How often at least it wants to hear that we live, milliseconds; undefined: it does not ask. */
  readonly watchdogMs: number | undefined;
  readonly #listens: boolean;
  readonly #log: Log;
  #complained = false;

  constructor(log: Log, environment: Environment = process.env, pid = process.pid) {
    this.#log = log;
    this.#listens = (environment.NOTIFY_SOCKET ?? '') !== '';
    const microseconds = Number(environment.WATCHDOG_USEC);
    // The variables may have been meant for a parent of ours.
    const isOurs = (environment.WATCHDOG_PID ?? String(pid)) === String(pid);
    this.watchdogMs = this.#listens && isOurs && microseconds > 0 ? microseconds / 1000 : undefined;
  }

  /** Tells it assignments such as `READY=1`. Resolves when they were taken; never rejects. */
  tell(...assignments: readonly string[]): Promise<void> {
    if (!this.#listens) return Promise.resolve();
    return new Promise((resolve) => {
      const child = spawn('systemd-notify', [...assignments], { stdio: 'ignore' });
      child.on('error', (error) => resolve(this.#complain(error.message)));
      child.on('exit', (code) =>
        resolve(code === 0 ? undefined : this.#complain(`it ends with code ${code}`)),
      );
    });
  }

  #complain(reason: string): void {
    if (this.#complained) return;
    this.#complained = true;
    this.#log.error(`systemd waits for word from us, but systemd-notify does not carry it: ${reason}`);
  }
}
