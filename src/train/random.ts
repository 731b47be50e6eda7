/** Seeded random numbers: the same keys give the same stream on every machine. */

/** sfc32 (Chris Doty-Humphrey's small fast counter generator), seeded by any number of integer keys. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(...keys: number[]) {
    this.#a = 0x9e3779b9;
    this.#b = 0x243f6a88;
    this.#c = 0xb7e15162;
    for (const key of keys) {
      this.#a ^= key | 0;
      for (let round = 0; round < 8; round++) this.uint32();
      this.#b ^= Math.floor(key / 2 ** 32) | 0;
    }
    for (let round = 0; round < 12; round++) this.uint32();
  }

  /** 0 to 2^32 - 1. */
  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** 0 <= u < 1, 32 bits. */
  uniform(): number {
    return this.uint32() / 2 ** 32;
  }

  /** A whole number, 0 <= n < limit. */
  below(limit: number): number {
    return Math.floor(this.uniform() * limit);
  }

  /** Mean 0, variance 1: twelve uniforms (Irwin-Hall), so that no transcendental function is involved. */
  normal(): number {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += this.uniform();
    return sum;
  }
}
