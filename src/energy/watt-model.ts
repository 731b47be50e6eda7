/** What a board draws, as two numbers with their errors: at idle, and more for each core that is busy. */
import type { Target } from './target.ts';

export interface WattModel {
  readonly idleWatts: number;
  /** What one busy core adds. */
  readonly coreWatts: number;
  /** Half widths: of 95 % where it was calibrated, else how far the sources lie apart. */
  readonly idleErrorWatts: number;
  readonly coreErrorWatts: number;
  /** Clock that `coreWatts` is meant for; slower cores draw less in proportion. NaN: as it is. */
  readonly clockMHz: number;
  /** `calibrated`: on this machine, against a meter. Otherwise as the target's watts. */
  readonly basis: 'calibrated' | 'published' | 'assumed';
}

/** Watts that one busy core adds above idle, by the linear model. */
export function wattsPerCore(target: Target): number {
  return (target.watts.allCores - target.watts.idle) / target.cpu.cores;
}

/** The target's watts; their errors reach as far as its sources do. */
export function wattModelOf(target: Target): WattModel {
  const { idle, allCores, idleRange, allCoresRange, basis } = target.watts;
  const span = (value: number, ends: readonly number[]) =>
    Math.max(...ends.map((end) => Math.abs(end - value)));
  const added = [allCoresRange[0] - idleRange[0], allCoresRange[1] - idleRange[1]];
  return {
    idleWatts: idle,
    coreWatts: wattsPerCore(target),
    idleErrorWatts: span(idle, idleRange),
    coreErrorWatts: span(allCores - idle, added) / target.cpu.cores,
    clockMHz: target.cpu.clockMHz,
    basis,
  };
}
