/** A sine by rotation: its few trigonometric digits come from a series, so that every machine has the same. */

const TAU = 2 * Math.PI;

/** sin(2 pi (n / ticks + phase)) for n = 1, 2, ... */
export class Rhythm {
  readonly #cosine: number;
  readonly #sine: number;
  #x: number;
  #y: number;

  /** `ticks` > 1, `phase` 0 to 1. */
  constructor(ticks: number, phase: number) {
    [this.#cosine, this.#sine] = circle(TAU / ticks);
    [this.#x, this.#y] = circle(TAU * phase);
  }

  next(): number {
    const x = this.#x * this.#cosine - this.#y * this.#sine;
    const y = this.#x * this.#sine + this.#y * this.#cosine;
    // Rounding would let the radius wander over millions of ticks.
    const radius = Math.sqrt(x * x + y * y);
    this.#x = x / radius;
    this.#y = y / radius;
    return this.#y;
  }
}

/** Cosine and sine of an angle up to a full turn, by their series at an eighth of it and three doublings. */
function circle(angle: number): [number, number] {
  const small = angle / 8;
  const square = small * small;
  let cosine = 1;
  let sine = small;
  let power = 1;
  for (let order = 2; order <= 20; order += 2) {
    power *= -square / (order * (order - 1));
    cosine += power;
    sine += (power * small) / (order + 1);
  }
  for (let doubling = 0; doubling < 3; doubling++) {
    [cosine, sine] = [cosine * cosine - sine * sine, 2 * cosine * sine];
  }
  return [cosine, sine];
}
