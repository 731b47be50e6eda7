/** What one call of the engine really does. */

export interface StepStats {
  tokens: number;
  layers: number;
  /** Multiply-accumulates, padding not counted. */
  macs: number;
  /** Bytes of weights read, padding not counted: once for all tokens of the call. */
  weightBytes: number;
  /** Positions attended to, summed over tokens and layers. */
  positions: number;
  /**
   * Ring slots read (a token's own key and value are not read from the ring; where heads differ, their mean) and
   * written, over all layers; and the bytes of that, padding not counted.
   */
  kvReads: number;
  kvWrites: number;
  kvReadBytes: number;
  kvWriteBytes: number;
}

export function makeStepStats(): StepStats {
  const stats = {} as StepStats;
  openStepStats(stats, 0, 0);
  return stats;
}

/** Opens the account of another call. */
export function openStepStats(stats: StepStats, tokens: number, layers: number): void {
  stats.tokens = tokens;
  stats.layers = layers;
  stats.macs = stats.weightBytes = stats.positions = 0;
  stats.kvReads = stats.kvWrites = stats.kvReadBytes = stats.kvWriteBytes = 0;
}
