/** Random numbers from a seed: the same seed replays the same room. */
import { randomNumbers } from '../../statistics/random.ts';

export class Random {
  readonly #uniform: () => number;
  #spare: number | undefined;

  constructor(seed: number) {
    this.#uniform = randomNumbers(seed);
  }

  /** Uniform in [0, 1). */
  uniform(): number {
    return this.#uniform();
  }

  between(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  chance(probability: number): boolean {
    return this.uniform() < probability;
  }

  /** Normal, by Marsaglia's polar method. */
  normal(mean: number, deviation: number): number {
    if (this.#spare !== undefined) {
      const spare = this.#spare;
      this.#spare = undefined;
      return mean + deviation * spare;
    }
    let x: number;
    let y: number;
    let square: number;
    do {
      x = this.between(-1, 1);
      y = this.between(-1, 1);
      square = x * x + y * y;
    } while (square >= 1 || square === 0);
    const factor = Math.sqrt((-2 * Math.log(square)) / square);
    this.#spare = y * factor;
    return mean + deviation * x * factor;
  }

  /** Another generator, independent of how this one goes on. */
  fork(): Random {
    return new Random(Math.floor(this.uniform() * 2 ** 32));
  }
}

/** A value that wanders and is drawn back to its mean: weather (an Ornstein-Uhlenbeck process, stepped exactly). */
export class Wandering {
  value: number;
  readonly #random: Random;
  readonly #mean: number;
  readonly #keep: number;
  readonly #kick: number;

  /** `deviation`: its standard deviation in the long run. `memorySteps`: steps until the past counts 1/e. */
  constructor(random: Random, mean: number, deviation: number, memorySteps: number) {
    this.#random = random;
    this.#mean = mean;
    this.#keep = Math.exp(-1 / memorySteps);
    this.#kick = deviation * Math.sqrt(1 - this.#keep ** 2);
    this.value = random.normal(mean, deviation);
  }

  step(): number {
    this.value = this.#mean + (this.value - this.#mean) * this.#keep + this.#random.normal(0, this.#kick);
    return this.value;
  }
}
