/** Who of a group of gateways is there: who was heard within the lease. */

export class Members {
  readonly #self: string;
  readonly #leaseMs: number;
  readonly #heardMs = new Map<string, number>();

  constructor(self: string, leaseMs: number) {
    this.#self = self;
    this.#leaseMs = leaseMs;
  }

  /** Names in order, ourselves among them. */
  get names(): string[] {
    return [...this.#heardMs.keys(), this.#self].sort();
  }

  /** A sign of life. True when it is new. */
  hear(member: string, nowMs: number): boolean {
    if (member === this.#self) return false;
    const isNew = !this.#heardMs.has(member);
    this.#heardMs.set(member, nowMs);
    return isNew;
  }

  /** It says goodbye, or the broker says so for it. True when it was there. */
  leave(member: string): boolean {
    return this.#heardMs.delete(member);
  }

  /** Those whose lease is over. True when there were some. */
  expire(nowMs: number): boolean {
    const gone = [...this.#heardMs].filter(([, heardMs]) => nowMs - heardMs > this.#leaseMs);
    for (const [member] of gone) this.#heardMs.delete(member);
    return gone.length > 0;
  }

  clear(): void {
    this.#heardMs.clear();
  }
}
