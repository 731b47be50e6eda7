/** Messages that the broker still remembers for us, in the order in which they came, and when it may forget them. */

/** One of the two says when a message is safe: its number in the ring, or its number in the journal. */
export interface Receipt {
  /** 0: it is in the journal alone. */
  readonly number: number;
  /** 0: it is in the ring. */
  readonly sequence: number;
  readonly digest: number;
  readonly receivedMs: number;
  readonly acknowledge: () => void;
}

/** A removed prefix is cut off when it is at least this long and half of all. */
const cutAt = 1024;

export class Receipts {
  /** Its first `#head` entries are gone. */
  #receipts: Receipt[] = [];
  #head = 0;

  get count(): number {
    return this.#receipts.length - this.#head;
  }

  add(receipt: Receipt): void {
    this.#receipts.push(receipt);
  }

  /** Acknowledges the first ones for which `isSafe` holds. */
  acknowledgeWhile(isSafe: (receipt: Receipt) => boolean, onAcknowledged?: (receipt: Receipt) => void): void {
    for (let receipt = this.#receipts[this.#head]; receipt !== undefined && isSafe(receipt); ) {
      receipt.acknowledge();
      onAcknowledged?.(receipt);
      receipt = this.#receipts[++this.#head];
    }
    if (this.#head < cutAt || this.#head < this.#receipts.length / 2) return;
    this.#receipts = this.#receipts.slice(this.#head);
    this.#head = 0;
  }

  /** The connection is gone: whatever was not acknowledged will come again. Gives it. */
  clear(): Receipt[] {
    const left = this.#receipts.slice(this.#head);
    this.#receipts = [];
    this.#head = 0;
    return left;
  }
}
