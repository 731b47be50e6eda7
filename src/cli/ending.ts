/** How a gateway's process comes to its end. */

/** No goodbye takes longer, whatever hangs. */
const exitAtLatestMs = 900;
/** Resolves with the exit code at the first signal or failure; a second signal ends the process at once. */
export class Ending {
  readonly whenCome: Promise<number>;
  hasCome = false;
  #resolve: (code: number) => void = () => {};

  constructor() {
    this.whenCome = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#onSignal());
  }

  come(code: number): void {
    if (this.hasCome) return;
    this.hasCome = true;
    setTimeout(() => process.exit(code), exitAtLatestMs).unref();
    this.#resolve(code);
  }

  #onSignal(): void {
    if (this.hasCome) process.exit(1);
    this.come(0);
  }
}
