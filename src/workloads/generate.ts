/** A workload as a series with labels: the plant's readings, then faults injected, every tick labelled. */
import type { Series } from '../recording/recording.ts';
import { Random } from '../train/random.ts';
import { type Fault, injectFault } from './faults.ts';
import { FAULT_CLASS, type Physics } from './physics.ts';
import { Plant, sensorsOf } from './plant.ts';

export interface Generated {
  /** Labels are indices of `classes`. */
  readonly series: Series;
  /** In the order of their start; they never overlap. */
  readonly faults: readonly Fault[];
}

/** Six digits after the point, as they are written to files: a series that was read back is the same. */
const DIGITS = 1e6;
const FAULT_KEY = 0x4641;
/** A fault moves a reading by this many excursions at least and at most. */
const FAULT_SIZE_MIN = 0.4;
const FAULT_SIZE_MAX = 1;
/** Ticks that the plant runs before the first row, so that nothing starts from nowhere. */
const SETTLING_TICKS = 500;

/** `rows` ticks of a workload; the same seed gives the same series. */
export function generate(physics: Physics, seed: number, rows: number): Generated {
  const { channels, intervalMs, name } = physics;
  const sensors = sensorsOf(physics);
  const plant = new Plant(physics, seed);
  const values = new Float64Array(rows * channels);
  const labels = new Int8Array(rows);
  const reading = new Float64Array(channels);
  for (let tick = 0; tick < SETTLING_TICKS; tick++) plant.step(reading);
  for (let row = 0; row < rows; row++) {
    plant.step(reading);
    labels[row] = plant.regime;
    for (let channel = 0; channel < channels; channel++) {
      const { offset, gain } = sensors[channel]!;
      values[row * channels + channel] = offset + gain * reading[channel]!;
    }
  }
  const faults = breakSensors(physics, seed, values, labels);
  for (let i = 0; i < values.length; i++) values[i] = Math.round(values[i]! * DIGITS) / DIGITS;
  const timeMs = Float64Array.from({ length: rows }, (_, row) => row * intervalMs);
  return { series: { name, rows, timeMs, values, labels }, faults };
}

/** Injects the workload's faults and labels their ticks. */
function breakSensors(physics: Physics, seed: number, values: Float64Array, labels: Int8Array): Fault[] {
  const random = new Random(FAULT_KEY, seed);
  const faults = drawFaults(physics, labels.length, random);
  const healthy = values.slice();
  for (const fault of faults) {
    injectFault(values, healthy, physics.channels, fault, random);
    labels.fill(FAULT_CLASS, fault.from, fault.to);
  }
  return faults;
}

function drawFaults(physics: Physics, rows: number, random: Random): Fault[] {
  const { channels, faultEveryTicks, faultTicks, faults: kinds } = physics;
  const gains = sensorsOf(physics).map(({ gain }) => gain);
  const faults: Fault[] = [];
  // In turn, so that a short series has no kind by luck.
  const first = random.below(kinds.length);
  for (let row = 0; row < rows; row++) {
    if (random.uniform() * faultEveryTicks >= 1) continue;
    const length = Math.round(faultTicks * (0.5 + random.uniform()));
    const channel = random.below(channels);
    const strength = FAULT_SIZE_MIN + (FAULT_SIZE_MAX - FAULT_SIZE_MIN) * random.uniform();
    const direction = random.below(2) === 0 ? -1 : 1;
    const to = Math.min(rows, row + length);
    const size = direction * strength * gains[channel]!;
    const kind = kinds[(first + faults.length) % kinds.length]!;
    faults.push({ kind, channel, from: row, to, size });
    row = to;
  }
  return faults;
}
