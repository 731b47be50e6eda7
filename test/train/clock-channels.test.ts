/** A channel that only counts rows is refused; what merely rises a lot is not. */
import { describe, expect, it } from 'vitest';
import { refuseClockChannels } from '../../src/train/clock-channels.ts';
import { makeRecording, makeSeries } from '../eval/helpers.ts';

const recording = makeRecording({});
const rows = (count: number, second: (row: number) => number) =>
  Array.from({ length: count }, (_, row) => [Math.sin(row), second(row)]);
const seriesOf = (count: number, second: (row: number) => number) =>
  makeSeries('train.csv', rows(count, second), null);

describe('refuseClockChannels', () => {
  it.each([
    ['a row number', 'rises', (row: number) => row],
    ['a clock with gaps', 'rises', (row: number) => (row % 7 === 3 ? Number.NaN : row ** 1.5)],
    ['rows that are left', 'falls', (row: number) => 100 - row],
  ])('refuses %s', (_, way, second) => {
    expect(() => refuseClockChannels(recording, [seriesOf(50, second), seriesOf(20, second)])).toThrow(
      `channel 'b': expected readings that a sensor could repeat, got a value that ${way} with every row`,
    );
  });

  it.each([
    ['a counter that sometimes stands', (row: number) => Math.floor(row / 2)],
    ['a value that falls once', (row: number) => (row === 30 ? 0 : row)],
    ['a channel without values', () => Number.NaN],
  ])('accepts %s', (_, second) => {
    expect(() => refuseClockChannels(recording, [seriesOf(50, second)])).not.toThrow();
  });

  it('accepts what rises in one series and not in another, and what is too short to tell', () => {
    const mixed = [seriesOf(50, (row) => row), seriesOf(50, (row) => row % 9)];
    expect(() => refuseClockChannels(recording, mixed)).not.toThrow();
    expect(() => refuseClockChannels(recording, [seriesOf(15, (row) => row)])).not.toThrow();
  });
});
