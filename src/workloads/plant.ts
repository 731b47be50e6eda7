/**
 * A seeded plant: regimes that switch, disturbances in bursts, common factors with a rhythm and a slow wander, and
 * sensors that follow with their own lag, noise and resolution.
 *
 * Only + - x / and square root are used, so that a seed gives the same bits everywhere. What the plant is (which
 * sensor hangs on which factor, and how fast) depends on the workload alone; what happens in it depends on the seed.
 */
import { Random } from '../train/random.ts';
import { type Physics, regimes } from './physics.ts';
import { Rhythm } from './rhythm.ts';

export interface Sensor {
  readonly name: string;
  readonly unit: string;
  readonly offset: number;
  /** Physical units per excursion. */
  readonly gain: number;
}

/** What sensors measure; a plant with more channels has several of a kind. */
const sensorKinds: readonly Omit<Sensor, 'name'>[] = [
  { unit: 'Celsius', offset: 20, gain: 8 },
  { unit: '%', offset: 45, gain: 20 },
  { unit: 'kPa', offset: 300, gain: 120 },
  { unit: 'A', offset: 6, gain: 4 },
  { unit: 'l/min', offset: 40, gain: 25 },
  { unit: 'mm/s', offset: 3, gain: 2.5 },
  { unit: 'rpm', offset: 1400, gain: 300 },
  { unit: 'W', offset: 900, gain: 500 },
];
const kindNames = ['temperature', 'humidity', 'pressure', 'current', 'flow', 'vibration', 'speed', 'power'];

/** Levels of the factors in each regime: the first factor leads, the others follow it less, and not in proportion. */
const levels: Readonly<Record<(typeof regimes)[number], readonly [number, number]>> = {
  idle: [0, 0],
  working: [1, 0.4],
  peak: [1.6, 1.5],
};

/** The sensors of a workload, whatever the seed. */
export function sensorsOf({ channels }: Physics): Sensor[] {
  return Array.from({ length: channels }, (_, channel) => {
    const kind = channel % sensorKinds.length;
    const number = channels > sensorKinds.length ? `${Math.floor(channel / sensorKinds.length) + 1}` : '';
    return { name: `${kindNames[kind]}${number}`, ...sensorKinds[kind]! };
  });
}

/** Keys of the streams of random numbers, so that more of one does not move another. */
const PLANT_KEY = 0x504c;
const EVENT_KEY = 0x4556;
const NOISE_KEY = 0x4e4f;

export class Plant {
  /** Index of the present regime. */
  regime = 0;
  readonly #physics: Physics;
  readonly #events: Random;
  readonly #noise: Random;
  /** [channels x factors]. */
  readonly #loadings: Float64Array;
  /** [channels]: share of the way to the truth that a sensor goes in a tick. */
  readonly #follow: Float64Array;
  readonly #rhythms: readonly Rhythm[];
  readonly #pulses: Float64Array;
  readonly #factorWander: Float64Array;
  readonly #ownWander: Float64Array;
  readonly #lagged: Float64Array;
  readonly #factors: Float64Array;
  #burstTicksLeft = 0;

  constructor(physics: Physics, seed: number) {
    const { channels, factors, lagTicks, season } = physics;
    const plant = new Random(PLANT_KEY, channels, factors);
    this.#physics = physics;
    this.#events = new Random(EVENT_KEY, seed);
    this.#noise = new Random(NOISE_KEY, seed);
    this.#loadings = Float64Array.from({ length: channels * factors }, (_, i) => {
      const isOwn = Math.floor(i / factors) % factors === i % factors;
      return isOwn ? 0.7 + 0.6 * plant.uniform() : 0.25 * plant.uniform();
    });
    this.#follow = Float64Array.from({ length: channels }, () => {
      const lag = lagTicks * (0.5 + 1.5 * plant.uniform() ** 2);
      return 1 / (1 + lag);
    });
    this.#rhythms = Array.from({ length: factors }, () => new Rhythm(season.ticks, plant.uniform()));
    this.#pulses = new Float64Array(factors);
    this.#factorWander = new Float64Array(factors);
    this.#ownWander = new Float64Array(channels);
    this.#lagged = new Float64Array(channels);
    this.#factors = new Float64Array(factors);
  }

  /** One tick on: what the sensors tell goes into `out`[channels], in excursions. */
  step(out: Float64Array): void {
    this.#stepEvents();
    this.#stepFactors();
    const { channels, ownWander, noise, resolution } = this.#physics;
    for (let channel = 0; channel < channels; channel++) {
      this.#lagged[channel]! += this.#follow[channel]! * (this.#drive(channel) - this.#lagged[channel]!);
      wander(this.#ownWander, channel, ownWander, this.#noise);
      const reading = this.#lagged[channel]! + this.#ownWander[channel]! + noise * this.#noise.normal();
      out[channel] = resolution * Math.round(reading / resolution);
    }
  }

  #stepEvents(): void {
    const { burst, regimeTicks, pulseTicks } = this.#physics;
    if (this.#burstTicksLeft > 0) this.#burstTicksLeft--;
    else if (this.#happens(burst.everyTicks)) this.#burstTicksLeft = burst.ticks;
    const hurry = this.#burstTicksLeft > 0 ? burst.factor : 1;
    if (this.#happens(regimeTicks / hurry)) {
      this.regime = (this.regime + 1 + this.#events.below(regimes.length - 1)) % regimes.length;
    }
    const factor = this.#events.below(this.#pulses.length);
    const height = 0.3 + 0.6 * this.#events.uniform();
    if (this.#happens(pulseTicks / hurry)) this.#pulses[factor]! += height;
  }

  /** A Poisson process in ticks. */
  #happens(everyTicks: number): boolean {
    return this.#events.uniform() * everyTicks < 1;
  }

  #stepFactors(): void {
    const { pulseDecayTicks, season } = this.#physics;
    const [lead, follow] = levels[regimes[this.regime]!];
    for (let factor = 0; factor < this.#factors.length; factor++) {
      this.#pulses[factor]! *= 1 - 1 / pulseDecayTicks;
      wander(this.#factorWander, factor, this.#physics.wander, this.#noise);
      const rhythm = season.amplitude * this.#rhythms[factor]!.next();
      const level = factor % 2 === 0 ? lead : follow;
      this.#factors[factor] = level + this.#pulses[factor]! + this.#factorWander[factor]! + rhythm;
    }
  }

  #drive(channel: number): number {
    const { length } = this.#factors;
    let sum = 0;
    for (let factor = 0; factor < length; factor++) {
      sum += this.#loadings[channel * length + factor]! * this.#factors[factor]!;
    }
    return sum;
  }
}

/** One tick of an AR(1) with that stationary deviation and time constant. */
function wander(
  states: Float64Array,
  index: number,
  { deviation, ticks }: Physics['wander'],
  random: Random,
): void {
  const keep = 1 - 1 / ticks;
  states[index] = keep * states[index]! + deviation * Math.sqrt(1 - keep * keep) * random.normal();
}
