/** Sums of the keys of each block of a ring, from which a head chooses the blocks that meet its query best. */
import type { LongContextLayout } from './memory-layout.ts';
import { BLOCK_POSITIONS } from './patterns.ts';
import type { Place } from './slot-list.ts';

/** No block has this number. */
const NONE = -1;

export class BlockKeys {
  /** Blocks of a ring. */
  readonly count: number;
  /** Numbers of the blocks that `choose` chose, best first. */
  readonly chosen: Float64Array;
  readonly #width: number;
  readonly #bytes: Int8Array;
  /** [rings, blocks, width] */
  readonly #sums: Int16Array;
  /** [rings, blocks] */
  readonly #numbers: Float64Array;
  /** [blocks] */
  readonly #scores: Int32Array;
  readonly #chosenScores: Int32Array;

  constructor(rings: number, memory: WebAssembly.Memory, layout: LongContextLayout, width: number) {
    const { blocks, blockKeys, blockNumbers, blockScores } = layout;
    this.count = blocks;
    this.#width = width;
    this.chosen = new Float64Array(blocks);
    this.#chosenScores = new Int32Array(blocks);
    this.#bytes = new Int8Array(memory.buffer);
    this.#sums = new Int16Array(memory.buffer, blockKeys, rings * blocks * width);
    this.#numbers = new Float64Array(memory.buffer, blockNumbers, rings * blocks).fill(NONE);
    this.#scores = new Int32Array(memory.buffer, blockScores, blocks);
  }

  /** A ring's first block. */
  firstOf(ring: number): number {
    return ring * this.count;
  }

  empty(ring: number): void {
    this.#numbers.fill(NONE, ring * this.count, (ring + 1) * this.count);
  }

  /** Adds the key int8[width] at `key` of a token to its block. */
  add(ring: number, position: number, key: number): void {
    const number = Math.floor(position / BLOCK_POSITIONS);
    const block = this.firstOf(ring) + (number % this.count);
    const first = block * this.#width;
    if (this.#numbers[block] !== number) {
      this.#numbers[block] = number;
      this.#sums.fill(0, first, first + this.#width);
    }
    for (let i = 0; i < this.#width; i++) this.#sums[first + i]! += this.#bytes[key + i]!;
  }

  /**
   * Takes the newest token of a ring out of its block again: its `position`, and its key int8[width] at `key`.
   * `newestLeft`: the position of the token before it in the ring, or -1. What its block had displaced is not restored: no
   * window reaches there.
   */
  remove(ring: number, position: number, key: number, newestLeft: number): void {
    const number = Math.floor(position / BLOCK_POSITIONS);
    const block = this.firstOf(ring) + (number % this.count);
    if (newestLeft < number * BLOCK_POSITIONS) {
      this.#numbers[block] = NONE;
      return;
    }
    const first = block * this.#width;
    for (let i = 0; i < this.#width; i++) this.#sums[first + i]! -= this.#bytes[key + i]!;
  }

  /**
   * The `most` blocks with the best of the scores that lie in memory, of equal ones the newest, among those that hold
   * anything and lie wholly within the window, beyond `local` and before what is quarantined. Returns how many.
   */
  choose({ ring, position, quarantinedFrom, window }: Place, local: number, most: number): number {
    const end = Math.min(position - local + 1, quarantinedFrom);
    const newest = Math.floor(end / BLOCK_POSITIONS) - 1;
    let found = 0;
    for (let number = newest; number >= 0 && position - number * BLOCK_POSITIONS < window; number--) {
      const block = number % this.count;
      if (this.#numbers[this.firstOf(ring) + block] !== number) continue;
      const score = this.#scores[block]!;
      if (found === most && score <= this.#chosenScores[most - 1]!) continue;
      found = Math.min(found + 1, most);
      this.#insert(number, score, found);
    }
    return found;
  }

  /** Puts a block among the `found` best: behind all that are at least as good. */
  #insert(number: number, score: number, found: number): void {
    let at = found - 1;
    for (; at > 0 && this.#chosenScores[at - 1]! < score; at--) {
      this.#chosenScores[at] = this.#chosenScores[at - 1]!;
      this.chosen[at] = this.chosen[at - 1]!;
    }
    this.#chosenScores[at] = score;
    this.chosen[at] = number;
  }
}
