/** Channels that only say how late it is: what a model learns of them is the order of the rows. */
import { type Recording, RecordingError, type Series } from '../recording/recording.ts';

/** Shorter series rise by chance. */
const ROWS_MIN = 16;

/** Throws RecordingError if a channel strictly rises, or strictly falls, from row to row through every series. */
export function refuseClockChannels(recording: Recording, series: readonly Series[]): void {
  for (const [index, { name }] of recording.channels.entries()) {
    for (const sign of [1, -1]) {
      if (!isClock(series, index, recording.channels.length, sign)) continue;
      throw new RecordingError(
        recording.name,
        {},
        `channel '${name}': expected readings that a sensor could repeat, got a value that ${sign > 0 ? 'rises' : 'falls'} ` +
          'with every row, like a row number or a clock; a model would learn the order of these rows and not what ' +
          `happens in them. Leave it out (--without ${name}), or take it all the same with --force`,
      );
    }
  }
}

function isClock(series: readonly Series[], channel: number, channels: number, sign: number): boolean {
  const long = series.filter(({ rows }) => rows >= ROWS_MIN);
  return long.length > 0 && long.every((one) => isStrict(one, channel, channels, sign));
}

/** Over the known values; fewer than ROWS_MIN of them show nothing. */
function isStrict({ values, rows }: Series, channel: number, channels: number, sign: number): boolean {
  let last = Number.NEGATIVE_INFINITY;
  let known = 0;
  for (let row = 0; row < rows; row++) {
    const value = sign * values[row * channels + channel]!;
    if (Number.isNaN(value)) continue;
    if (value <= last) return false;
    last = value;
    known++;
  }
  return known >= ROWS_MIN;
}
