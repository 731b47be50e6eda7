/** Whether the system's clock has been set: a Raspberry Pi without a battery starts with the time of its last shutdown. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Log } from '../gateway/log.ts';

/** systemd-timesyncd makes it when it has set the clock. */
const markerPath = '/run/systemd/timesync/synchronized';
const answerWithinMs = 5000;
/** At the start; systemd gives a service 90 s until it must be ready. */
const waitAtMostMs = 30_000;
const askEachMs = 1000;
const watchEachMs = 15_000;

/** undefined: nobody here can tell, as on machines without systemd. */
export type ClockAnswer = boolean | undefined;

export async function isClockSynchronised(): Promise<ClockAnswer> {
  if (existsSync(markerPath)) return true;
  // Knows of chrony and ntpd too.
  return answerOf(await output('timedatectl', ['show', '--property=NTPSynchronized', '--value']));
}

/** Of what timedatectl prints. */
export function answerOf(text: string | undefined): ClockAnswer {
  const word = text?.trim();
  return word === 'yes' ? true : word === 'no' ? false : undefined;
}

function output(program: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(program, [...args], { timeout: answerWithinMs }, (error, stdout) => {
      resolve(error === null ? stdout : undefined);
    });
  });
}

export interface ClockWatchOptions {
  readonly ask?: () => Promise<ClockAnswer>;
  readonly waitAtMostMs?: number;
  readonly askEachMs?: number;
  readonly watchEachMs?: number;
}

/** Waits for the clock at the start, within bounds; where that was in vain, tells when it is set at last. */
export class ClockWatch {
  readonly #log: Log;
  readonly #options: Required<ClockWatchOptions>;
  #isUnset = false;

  constructor(log: Log, options: ClockWatchOptions = {}) {
    this.#log = log;
    this.#options = { ask: isClockSynchronised, waitAtMostMs, askEachMs, watchEachMs, ...options };
  }

  /** Resolves when the clock is set, nobody can tell, it took too long, or `end` resolves. */
  async wait(end: Promise<unknown>): Promise<void> {
    const { ask, waitAtMostMs: mostMs, askEachMs: eachMs } = this.#options;
    const untilMs = performance.now() + mostMs;
    let ended = false;
    void end.then(() => {
      ended = true;
    });
    while ((await ask()) === false) {
      if (!this.#isUnset) this.#log.warning('the clock is not synchronised yet; waiting for it');
      this.#isUnset = true;
      if (ended) return;
      if (performance.now() >= untilMs) {
        this.#log.warning(`not waiting any longer for the clock: times are wrong until it is set`);
        return;
      }
      await Promise.race([end, new Promise((resolve) => setTimeout(resolve, eachMs))]);
    }
    this.#isUnset = false;
  }

  /** Calls once, when a clock that was waited for in vain has been set. Keeps no process alive. */
  onSet(call: () => void): void {
    if (!this.#isUnset) return;
    const timer = setInterval(() => void this.#look(timer, call), this.#options.watchEachMs);
    timer.unref();
  }

  async #look(timer: NodeJS.Timeout, call: () => void): Promise<void> {
    if (!this.#isUnset || (await this.#options.ask()) === false || !this.#isUnset) return;
    this.#isUnset = false;
    clearInterval(timer);
    call();
  }
}
