/** Sums over the several calls that one token may take. */
import type { StepStats } from '../engine/engine.ts';

export function emptyStats(): StepStats {
  return {
    tokens: 0,
    layers: 0,
    macs: 0,
    weightBytes: 0,
    positions: 0,
    kvReads: 0,
    kvWrites: 0,
    kvReadBytes: 0,
    kvWriteBytes: 0,
  };
}

/** `stats` becomes the account of a token's first call. */
export function openAccount(stats: StepStats, first: StepStats): void {
  Object.assign(stats, first);
}

/** Adds a further call for the same token, which may have gone through more layers by now. */
export function addToAccount(stats: StepStats, further: StepStats): void {
  stats.layers = Math.max(stats.layers, further.layers);
  stats.macs += further.macs;
  stats.weightBytes += further.weightBytes;
  stats.positions += further.positions;
  stats.kvReads += further.kvReads;
  stats.kvWrites += further.kvWrites;
  stats.kvReadBytes += further.kvReadBytes;
  stats.kvWriteBytes += further.kvWriteBytes;
}
