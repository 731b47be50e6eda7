/**
 * Faults as a pump's test bed has them, and generic ones, injected into rows without any. What a fault does to which
 * channel is physics and the published list of the bed's experiments (valves closed, imbalance of the rotor, leaks, cavitation,
 * hot water), not anything that was seen in labelled rows. Sizes are random, from hardly to be seen to plain.
 */
import type { Random } from '../../src/train/random.ts';

/**
 * How a fault comes: at once; in some seconds to a minute; over half of its length; as a first-order lag does; in bursts;
 * beyond where it then stays; in stages of different height.
 */
const onsets = ['step', 'ramp', 'slow', 'lag', 'bursts', 'overshoot', 'stages'] as const;
type Onset = (typeof onsets)[number];

/** What happens to one channel, in units of the fault's size, which is in standard deviations of the channel. */
interface Effect {
  readonly channel: number;
  readonly level?: number;
  readonly noise?: number;
  /** Its readings stop; or come from other rows. */
  readonly reading?: 'stuck' | 'elsewhere';
}

interface Fault {
  readonly onset: Onset;
  readonly effects: readonly Effect[];
}

/** Rows [from, to) are faulty. */
export interface FaultyRun {
  readonly from: number;
  readonly to: number;
}

type Make = (at: (name: string) => number, random: Random, channels: number) => Fault;

const between = (random: Random, low: number, high: number) => low + (high - low) * random.uniform();
const sign = (random: Random) => (random.below(2) === 0 ? -1 : 1);
const oneOf = <T>(random: Random, list: readonly T[]): T => list[random.below(list.length)]!;

/** A valve behind (pressure rises) or before the pump (it falls) closes: less flow, less load of the motor. */
const valve: Make = (at, random) => ({
  onset: oneOf(random, ['ramp', 'step', 'slow', 'overshoot', 'stages']),
  effects: [
    { channel: at('volume_flow_rate_rms'), level: -1 },
    { channel: at('pressure'), level: sign(random) * between(random, 0, 0.5) },
    { channel: at('current'), level: -between(random, 0, 0.5) },
    { channel: at('accelerometer1_rms'), level: sign(random) * between(random, 0, 0.8) },
    { channel: at('accelerometer2_rms'), level: sign(random) * between(random, 0, 0.8) },
  ],
});

/** Water is lost or added. */
const leak: Make = (at, random) => {
  const way = sign(random);
  return {
    onset: oneOf(random, ['slow', 'ramp', 'lag', 'stages']),
    effects: [
      { channel: at('volume_flow_rate_rms'), level: way },
      { channel: at('pressure'), level: way * between(random, 0, 0.6) },
      { channel: at('thermocouple'), level: sign(random) * between(random, 0, 0.5) },
    ],
  };
};

const imbalance: Make = (at, random) => ({
  onset: oneOf(random, onsets),
  effects: [
    { channel: at('accelerometer1_rms'), level: 1, noise: between(random, 0, 0.4) },
    { channel: at('accelerometer2_rms'), level: between(random, 0.3, 1), noise: between(random, 0, 0.4) },
    { channel: at('current'), level: between(random, 0, 0.2) },
  ],
});

/** Bubbles: rough pressure and vibration, a little less flow. */
const cavitation: Make = (at, random) => ({
  onset: oneOf(random, ['step', 'ramp', 'slow', 'stages']),
  effects: [
    { channel: at('pressure'), noise: 0.5, level: -between(random, 0, 0.3) },
    { channel: at('accelerometer1_rms'), noise: between(random, 0.2, 0.6), level: between(random, 0, 0.4) },
    { channel: at('accelerometer2_rms'), noise: between(random, 0.2, 0.6), level: between(random, 0, 0.4) },
    { channel: at('volume_flow_rate_rms'), level: -between(random, 0, 0.6), noise: between(random, 0, 0.4) },
  ],
});

/** Hot water: what lies in it warms first. */
const heat: Make = (at, random) => ({
  onset: oneOf(random, ['slow', 'lag', 'ramp']),
  effects: [
    { channel: at('thermocouple'), level: 1 },
    { channel: at('temperature'), level: between(random, 0.1, 0.7) },
  ],
});

/** One to four channels, each with something. */
const generic: Make = (_, random, channels) => {
  const affected = Array.from({ length: 1 + random.below(4) }, () => random.below(channels));
  const kinds: readonly Omit<Effect, 'channel'>[] = [
    { level: sign(random) * between(random, 0.3, 1) },
    { noise: between(random, 0.2, 0.8) },
    { reading: 'stuck' },
    { reading: 'elsewhere' },
  ];
  return {
    onset: oneOf(random, onsets),
    effects: [...new Set(affected)].map((channel) => ({ channel, ...oneOf(random, kinds) })),
  };
};

export const pumpFaults: Readonly<Record<string, Make>> = {
  valve,
  leak,
  imbalance,
  cavitation,
  heat,
  generic,
};

/** Standard deviations. */
const SIZE_MIN = 3;
const SIZE_MAX = 30;
const RAMP_ROWS = [3, 60] as const;
/** Time constants. */
const LAG_ROWS = [5, 60] as const;
const BURST_ROWS = [10, 40] as const;
/** A level comes back slowly after so many of the faults, with a time constant of so many rows: that is no fault any more. */
const AFTERMATH_SHARE = 0.2;
const AFTERMATH_ROWS = [5, 60] as const;

/**
 * Changes `values` [rows x channels] where `run` is, and after it where a level takes time to come back. `deviations`
 * [channels]: of ordinary rows. `elsewhere` [rows x channels]: other ordinary rows, as many.
 */
export function injectPumpFault(
  values: Float64Array,
  names: readonly string[],
  run: FaultyRun,
  make: Make,
  deviations: ArrayLike<number>,
  elsewhere: Float64Array,
  random: Random,
): void {
  const channels = names.length;
  const { onset, effects } = make((name) => names.indexOf(name), random, channels);
  const size = SIZE_MIN * (SIZE_MAX / SIZE_MIN) ** random.uniform();
  const profile = profileOf(onset, run, random);
  const lasting = random.uniform() < AFTERMATH_SHARE ? between(random, ...AFTERMATH_ROWS) : 0;
  for (const { channel, level = 0, noise = 0, reading } of effects.filter((one) => one.channel >= 0)) {
    const unit = size * deviations[channel]!;
    const first = values[run.from * channels + channel]!;
    for (let row = run.from; row < run.to; row++) {
      const at = row * channels + channel;
      if (reading === 'stuck') values[at] = first;
      if (reading === 'elsewhere') values[at] = elsewhere[at]!;
      values[at]! += unit * profile[row - run.from]! * (level + noise * random.normal());
    }
    const left = unit * level * profile.at(-1)!;
    for (let at = run.to * channels + channel, age = 1; lasting > 0 && at < values.length; at += channels) {
      values[at]! += left * Math.exp(-age++ / lasting);
    }
  }
}

/** How much of the fault there is at each of its rows, 0 to 1. */
function profileOf(onset: Onset, { from, to }: FaultyRun, random: Random): Float64Array {
  const ramp = Math.min(between(random, ...RAMP_ROWS), (to - from) / 2);
  const lag = between(random, ...LAG_ROWS);
  const burst = between(random, ...BURST_ROWS);
  const stay = between(random, 0.3, 0.8);
  const stages = Array.from({ length: 3 }, () => between(random, 0.2, 1));
  return Float64Array.from({ length: to - from }, (_, row) => {
    if (onset === 'step') return 1;
    if (onset === 'ramp') return Math.min(1, (row + 1) / ramp, (to - from - row) / ramp);
    if (onset === 'slow') return Math.min(1, (2 * (row + 1)) / (to - from));
    if (onset === 'lag') return 1 - Math.exp(-(row + 1) / lag);
    if (onset === 'overshoot') return stay + (1 - stay) * Math.exp(-row / lag);
    if (onset === 'stages') return stages[Math.floor((3 * row) / (to - from))]!;
    return Math.floor(row / burst) % 2 === 0 ? 1 : 0.2;
  });
}
