/** Sensor faults, injected into any series: what a broken sensor says instead of the truth. */
import type { Random } from '../train/random.ts';

/**
 * stuck: the last value, for good. drift: a ramp away. decoupling: the sensor's own values of another time, so that
 * it looks like itself and follows nothing. noise: white noise on top. shift: an offset. dropout: nothing at all.
 */
export type FaultKind = 'stuck' | 'drift' | 'decoupling' | 'noise' | 'shift' | 'dropout';
export const faultKinds: readonly FaultKind[] = ['stuck', 'drift', 'decoupling', 'noise', 'shift', 'dropout'];

export interface Fault {
  readonly kind: FaultKind;
  readonly channel: number;
  /** Rows `from` to `to` (excluded). */
  readonly from: number;
  readonly to: number;
  /** Physical units: how far it drifts until its end or shifts, or the noise's deviation; its sign is the direction. */
  readonly size: number;
}

/**
 * Breaks a sensor in `values` [rows x channels], in place. Decoupled rows are read from `healthy`, the same rows
 * before any fault, half a series away.
 */
export function injectFault(
  values: Float64Array,
  healthy: Float64Array,
  channels: number,
  fault: Fault,
  random: Random,
): void {
  const rows = values.length / channels;
  const { channel, from, to } = fault;
  const at = (row: number) => row * channels + channel;
  const last = values[at(Math.max(0, from - 1))]!;
  for (let row = from; row < Math.min(to, rows); row++) {
    values[at(row)] = faultyValue(fault, row, values[at(row)]!, {
      last,
      elsewhere: healthy[at((row + Math.floor(rows / 2)) % rows)]!,
      normal: random.normal(),
    });
  }
}

function faultyValue(
  { kind, from, to, size }: Fault,
  row: number,
  truth: number,
  { last, elsewhere, normal }: { last: number; elsewhere: number; normal: number },
): number {
  switch (kind) {
    case 'stuck':
      return last;
    case 'drift':
      return truth + (size * (row - from + 1)) / (to - from);
    case 'decoupling':
      return elsewhere;
    case 'noise':
      return truth + size * normal;
    case 'shift':
      return truth + size;
    case 'dropout':
      return Number.NaN;
  }
}
