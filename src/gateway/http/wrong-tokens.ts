/** Who tries tokens: after some wrong ones none is looked at for a while, the right one neither. */

/** Wrong tokens of one address within a minute; addresses that are remembered, the latest. */
const wrongMax = 10;
const windowMs = 60_000;
const addressesMax = 256;

interface Window {
  readonly startedMs: number;
  wrong: number;
}

export class WrongTokens {
  readonly #windows = new Map<string, Window>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  add(address: string): void {
    const window = this.#current(address) ?? { startedMs: this.#nowMs(), wrong: 0 };
    window.wrong++;
    // Whoever tries again is remembered longest.
    this.#windows.delete(address);
    this.#windows.set(address, window);
    const [oldest] = this.#windows.keys();
    if (this.#windows.size > addressesMax) this.#windows.delete(oldest!);
  }

  /** Whole seconds for which an address has to wait; 0: it need not. */
  waitS(address: string): number {
    const window = this.#current(address);
    if (window === undefined || window.wrong < wrongMax) return 0;
    return Math.max(1, Math.ceil((window.startedMs + windowMs - this.#nowMs()) / 1000));
  }

  #current(address: string): Window | undefined {
    const window = this.#windows.get(address);
    return window !== undefined && this.#nowMs() - window.startedMs < windowMs ? window : undefined;
  }
}
