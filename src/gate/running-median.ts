/** The median of the last so many whole numbers, in fixed memory. */
import type { StateCarrier } from './carrier.ts';
export class RunningMedian {
  count = 0;
  readonly #recent: Int32Array;
  readonly #sorted: Int32Array;
  #oldest = 0;

  constructor(size: number) {
    this.#recent = new Int32Array(size);
    this.#sorted = new Int32Array(size);
  }

  /** Of an even number of values, the lower of the middle two; 0 of none. */
  get median(): number {
    return this.count === 0 ? 0 : this.#sorted[(this.count - 1) >> 1]!;
  }

  /** Hands over what it remembers. */
  carry(state: StateCarrier): void {
    this.count = state.number(this.count);
    this.#oldest = state.number(this.#oldest);
    state.array(this.#recent);
    state.array(this.#sorted);
  }

  reset(): void {
    this.count = 0;
    this.#oldest = 0;
  }

  push(value: number): void {
    if (this.count === this.#recent.length) this.#remove(this.#recent[this.#oldest]!);
    this.#recent[this.#oldest] = value;
    this.#oldest = (this.#oldest + 1) % this.#recent.length;
    let slot = this.count++;
    for (; slot > 0 && this.#sorted[slot - 1]! > value; slot--) this.#sorted[slot] = this.#sorted[slot - 1]!;
    this.#sorted[slot] = value;
  }

  #remove(value: number): void {
    let slot = 0;
    while (this.#sorted[slot] !== value) slot++;
    this.count--;
    for (; slot < this.count; slot++) this.#sorted[slot] = this.#sorted[slot + 1]!;
  }
}
