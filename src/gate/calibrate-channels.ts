/** A device's own normaliser: what its channels' middles and swings are, from rows that it has seen. */
import type { Channel } from '../engine/model.ts';

/** A channel that hardly moved keeps this share of the scale that was given. */
const SCALE_FLOOR = 0.01;

/**
 * `channels` with the mean and the standard deviation of the known ones among `values` [rows x channels], NaN where
 * unknown. A channel of which nothing is known stays as it is.
 */
export function calibrateChannels(channels: readonly Channel[], values: Float64Array): Channel[] {
  return channels.map((channel, index) => {
    const known = values.filter((value, i) => i % channels.length === index && Number.isFinite(value));
    if (known.length === 0) return channel;
    const center = known.reduce((sum, value) => sum + value, 0) / known.length;
    const variance = known.reduce((sum, value) => sum + (value - center) ** 2, 0) / known.length;
    return { ...channel, center, scale: Math.max(Math.sqrt(variance), SCALE_FLOOR * channel.scale) };
  });
}
