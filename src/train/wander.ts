/** Series whose levels wander slowly, as in another week: what is learned must hold for them, too. */
import type { Channel } from '../engine/model.ts';
import type { Series } from '../recording/recording.ts';
import type { Random } from './random.ts';

/** Periods in intervals, far apart and of a minute's interval in step with no day. */
const PERIODS = [1000, 2000, 4000] as const;

/**
 * A copy in which each channel has a slow wave added: as many sines as there are periods, of random phases; its root
 * mean square is a normal number times `deviations` of the channel's scales.
 */
export function wander(
  series: Series,
  channels: readonly Channel[],
  intervalMs: number,
  deviations: number,
  random: Random,
): Series {
  const values = series.values.slice();
  channels.forEach(({ scale }, channel) => {
    const amplitude = (random.normal() * deviations * scale) / Math.sqrt(PERIODS.length / 2);
    const phases = PERIODS.map(() => 2 * Math.PI * random.uniform());
    for (let row = 0; row < series.rows; row++) {
      const intervals = (series.timeMs[row]! - series.timeMs[0]!) / intervalMs;
      const wave = PERIODS.reduce(
        (sum, period, i) => sum + Math.sin((2 * Math.PI * intervals) / period + phases[i]!),
        0,
      );
      values[row * channels.length + channel]! += amplitude * wave;
    }
  });
  return { ...series, values };
}
