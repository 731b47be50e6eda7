/**
 * Series as a leakier place would have given them. What a place holds (heat, moisture, what people breathe out) fills
 * from sources and leaks away; an open door changes the leak and not the sources. So the sources are read off the
 * series, by how fast the place is known to come to rest, and fill a copy of it that leaks faster.
 */
import type { Channel } from '../engine/model.ts';
import type { Series } from '../recording/recording.ts';
import type { Random } from './random.ts';

export interface LeakSettings {
  /** Up to so many times as fast, log-uniform from 1 on; 1: as it was. */
  readonly leak: number;
  /** Intervals in which a channel came half of the way back to rest when nothing held it up. */
  readonly leakHalfLife: number;
}

/** The leak stays the same for a while: so many half-lives on the mean. */
const STRETCH_HALF_LIVES = 5;

/**
 * A copy in which every channel leaks up to `leak` times as fast, all at once, in stretches of random lengths.
 * `restingLevel` [channels], normalised: where each comes to rest. Unknown values (NaN) stay unknown.
 */
export function leakFaster(
  series: Series,
  channels: readonly Channel[],
  restingLevel: readonly number[],
  intervalMs: number,
  { leak: most, leakHalfLife }: LeakSettings,
  random: Random,
): Series {
  const halves = Float64Array.from(
    series.timeMs,
    (timeMs, row) => (row === 0 ? 0 : timeMs - series.timeMs[row - 1]!) / intervalMs / leakHalfLife,
  );
  const faster = drawFaster(halves, most, random);
  const values = series.values.slice();
  channels.forEach(({ center, scale }, channel) => {
    leakChannel(values, channel, channels.length, center + scale * restingLevel[channel]!, halves, faster);
  });
  return { ...series, values };
}

/** [rows]: how many times as fast it leaks. */
function drawFaster(halves: Float64Array, most: number, random: Random): Float64Array {
  const draw = () => ({
    left: -STRETCH_HALF_LIVES * Math.log(1 - random.uniform()),
    factor: most ** random.uniform(),
  });
  let stretch = draw();
  return halves.map((passed) => {
    stretch.left -= passed;
    if (stretch.left < 0) stretch = draw();
    return stretch.factor;
  });
}

/** `halves` and `faster` [rows]: half-lives since the row before, and how many times as many of them pass. */
export function leakChannel(
  values: Float64Array,
  channel: number,
  channels: number,
  rest: number,
  halves: Float64Array,
  faster: Float64Array,
): void {
  let before = Number.NaN;
  let held = Number.NaN;
  let passed = 0;
  let passedFaster = 0;
  for (let row = 0; row < halves.length; row++) {
    passed += halves[row]!;
    passedFaster += halves[row]! * faster[row]!;
    const at = row * channels + channel;
    const height = values[at]! - rest;
    if (Number.isNaN(height)) continue;
    // What came by sources since then. At first it is as if it had been so for ever.
    held = Number.isNaN(held)
      ? height / faster[row]!
      : height - before * 2 ** -passed + held * 2 ** -passedFaster;
    before = height;
    passed = 0;
    passedFaster = 0;
    values[at] = rest + held;
  }
}
