/** AdamW with global gradient clipping, on its own copy of the flat parameters. */
import { instantiateKernels, Regions, type TrainingKernels } from './kernels/kernels.ts';
import type { ParameterLayout } from './layout.ts';

export interface OptimiserSettings {
  readonly beta1: number;
  readonly beta2: number;
  readonly weightDecay: number;
  /** Largest norm of the whole gradient. */
  readonly clipNorm: number;
}

/** What the steps to come depend on. */
export interface OptimiserState {
  /** [layout.count] each: the parameters and the moments of their gradients. */
  readonly parameters: Float32Array;
  readonly first: Float32Array;
  readonly second: Float32Array;
  /** beta1 and beta2 to the number of steps. */
  readonly power1: number;
  readonly power2: number;
}

const EPSILON = 1e-8;

export class Optimiser {
  /** [layout.count]. */
  readonly parameters: Float32Array;
  readonly #layout: ParameterLayout;
  readonly #settings: OptimiserSettings;
  readonly #held: ReadonlySet<string>;
  readonly #kernels: TrainingKernels;
  readonly #gradient: Float32Array;
  readonly #incoming: Float32Array;
  readonly #first: Float32Array;
  readonly #second: Float32Array;
  /** beta1 and beta2 to the number of steps: by products, since pow differs between machines. */
  #power1 = 1;
  #power2 = 1;

  /** Parameters named in `held` stay at their `initial` values. */
  constructor(
    layout: ParameterLayout,
    initial: Float32Array,
    settings: OptimiserSettings,
    held: ReadonlySet<string> = new Set(),
  ) {
    this.#held = held;
    this.#layout = layout;
    this.#settings = settings;
    const regions = new Regions();
    const places = Array.from({ length: 5 }, () => regions.words(layout.count));
    const memory = regions.memory();
    this.#kernels = instantiateKernels(memory);
    const [parameters, gradient, incoming, first, second] = places.map(
      (place) => new Float32Array(memory.buffer, place, layout.count),
    );
    this.parameters = parameters!;
    this.#gradient = gradient!;
    this.#incoming = incoming!;
    this.#first = first!;
    this.#second = second!;
    this.parameters.set(initial);
  }

  /** A copy. */
  state(): OptimiserState {
    return {
      parameters: this.parameters.slice(),
      first: this.#first.slice(),
      second: this.#second.slice(),
      power1: this.#power1,
      power2: this.#power2,
    };
  }

  /** Goes on from a state of the same layout. */
  restore({ parameters, first, second, power1, power2 }: OptimiserState): void {
    this.parameters.set(parameters);
    this.#first.set(first);
    this.#second.set(second);
    this.#power1 = power1;
    this.#power2 = power2;
  }

  /**
   * One step with the sum of `shards` (each [layout.count], added in order, so the result does not depend on which
   * thread made which) over `weight`. Returns the gradient's norm before clipping.
   */
  step(shards: readonly Float32Array[], weight: number, learningRate: number): number {
    const count = this.#layout.count;
    this.#gradient.set(shards[0]!);
    for (const shard of shards.slice(1)) {
      this.#incoming.set(shard);
      this.#kernels.add(this.#gradient.byteOffset, this.#incoming.byteOffset, count);
    }
    const norm = Math.sqrt(this.#kernels.sumOfSquares(this.#gradient.byteOffset, count)) / weight;
    const scale = Math.min(1, this.#settings.clipNorm / Math.max(norm, 1e-30)) / weight;
    this.#power1 *= this.#settings.beta1;
    this.#power2 *= this.#settings.beta2;
    this.#update(scale, learningRate);
    return norm;
  }

  #update(gradientScale: number, learningRate: number): void {
    const { beta1, beta2, weightDecay } = this.#settings;
    const correction2 = Math.sqrt(1 - this.#power2);
    const rate = (learningRate * correction2) / (1 - this.#power1);
    for (const { name, offset, rows, columns, decay } of this.#layout.slices) {
      if (this.#held.has(name)) continue;
      const at = (array: Float32Array) => array.byteOffset + 4 * offset;
      this.#kernels.adamW(
        at(this.parameters),
        at(this.#gradient),
        at(this.#first),
        at(this.#second),
        rows * columns,
        gradientScale,
        rate,
        beta1,
        beta2,
        EPSILON * correction2,
        decay ? learningRate * weightDecay : 0,
      );
    }
  }
}

/** Linear warm-up to `peak` over `warmUp` steps, then a cosine down to `floor` at `steps`. */
export function learningRate(
  step: number,
  steps: number,
  warmUp: number,
  peak: number,
  floor: number,
): number {
  if (step < warmUp) return (peak * (step + 1)) / warmUp;
  const done = (step - warmUp) / Math.max(1, steps - warmUp);
  return floor + (peak - floor) * 0.5 * (1 + Math.cos(Math.PI * Math.min(1, done)));
}
