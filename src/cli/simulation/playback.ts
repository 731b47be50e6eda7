/** What the demo plays: the simulated room, or a recording; both as ticks with the truth beside them. */
import { openRecording, readSeries, resolveRange } from '../../recording/recording.ts';
import { OfficeRoom, roomChannels } from './room.ts';

export interface PlayedTick {
  readonly timeMs: number;
  /** [channels], NaN where nothing is known. Not reused. */
  readonly values: Float64Array;
  /** Index of the class, or 1 for an anomaly; -1 where nobody knows. */
  readonly label: number;
}

export interface Playback {
  /** For the title line. */
  readonly name: string;
  /** Where the truth comes from, for the summary. */
  readonly truth: string;
  readonly channels: readonly string[];
  /** The next tick; undefined when it is over. */
  next(): PlayedTick | undefined;
}

/** An office for two that never ends. */
export function simulatedRoom(seed: number): Playback {
  const room = new OfficeRoom(seed);
  return {
    name: `simulated office room, seed ${seed}`,
    truth: 'the simulated truth',
    channels: roomChannels.map(({ name }) => name),
    next() {
      const { timeMs, values, occupied } = room.step();
      return { timeMs, values: values.slice(), label: occupied ? 1 : 0 };
    },
  };
}

/** The test rows of a recording, one file after another. Throws RecordingError. */
export function playRecording(path: string): Playback {
  const recording = openRecording(path);
  const ticks = recordedTicks(recording);
  return {
    name: `recording ${recording.name}`,
    truth: 'the labels of the recording',
    channels: recording.channels.map(({ name }) => name),
    next: () => ticks.next().value ?? undefined,
  };
}

function* recordedTicks(recording: ReturnType<typeof openRecording>): Generator<PlayedTick, undefined> {
  const channels = recording.channels.length;
  let lastMs = Number.NEGATIVE_INFINITY;
  for (const listed of recording.test) {
    const series = readSeries(recording, listed.file);
    const { from, to } = resolveRange(listed, series);
    // Time never goes back: a file from before is played as if it came next.
    const shiftMs = Math.max(0, lastMs + recording.intervalMs - series.timeMs[from]!);
    for (let row = from; row < to; row++) {
      lastMs = series.timeMs[row]! + shiftMs;
      const values = series.values.slice(row * channels, (row + 1) * channels);
      yield { timeMs: lastMs, values, label: series.labels?.[row] ?? -1 };
    }
  }
}
