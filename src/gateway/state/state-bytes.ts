/** What the gate remembers as bytes: each number a double, each array as it is; little endian where it matters not. */
import type { StateArray, StateCarrier } from '../../gate/carrier.ts';

/** How many bytes an owner's state takes; the same each time. */
export class StateMeasure implements StateCarrier {
  bytes = 0;

  number(value: number): number {
    this.bytes += 8;
    return value;
  }

  array(values: StateArray): void {
    this.bytes += values.byteLength;
  }
}

/** Copies state into `bytes`, which have room for it. */
export class StateWriter implements StateCarrier {
  at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  number(value: number): number {
    this.at = this.#bytes.writeDoubleLE(value, this.at);
    return value;
  }

  array(values: StateArray): void {
    this.#bytes.set(bytesOf(values), this.at);
    this.at += values.byteLength;
  }
}

/** Gives back what a StateWriter has copied. */
export class StateReader implements StateCarrier {
  at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  number(): number {
    const value = this.#bytes.readDoubleLE(this.at);
    this.at += 8;
    return value;
  }

  array(values: StateArray): void {
    bytesOf(values).set(this.#bytes.subarray(this.at, this.at + values.byteLength));
    this.at += values.byteLength;
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: StateArray): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
