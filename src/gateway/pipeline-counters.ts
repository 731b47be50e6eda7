/** What a pipeline counts. */
import { carryFields, type StateCarrier } from '../gate/carrier.ts';

/** Sums since the start or the last reset. */
export interface PipelineCounters {
  /** Frames processed: tokens + skips. */
  frames: number;
  tokens: number;
  skips: number;
  /** Frames per tier; tier 3 are the skips. */
  readonly perTier: Float64Array;
  /** Multiply-accumulates executed. */
  macs: number;
  /** At most so many had tier 0 run on every frame, with its keys and values cached. */
  macsDense: number;
  /** Frames refused because their time was not later than that of the frame before. */
  stale: number;
  /** Channel values that were unknown, over all frames processed. */
  missing: number;
}

export function makePipelineCounters(): PipelineCounters {
  return {
    frames: 0,
    tokens: 0,
    skips: 0,
    perTier: new Float64Array(4),
    macs: 0,
    macsDense: 0,
    stale: 0,
    missing: 0,
  };
}

export function copyCounters(from: PipelineCounters, to: PipelineCounters): void {
  to.frames = from.frames;
  to.tokens = from.tokens;
  to.skips = from.skips;
  to.perTier.set(from.perTier);
  to.macs = from.macs;
  to.macsDense = from.macsDense;
  to.stale = from.stale;
  to.missing = from.missing;
}

export function carryCounters(state: StateCarrier, counters: PipelineCounters): void {
  carryFields(state, counters, ['frames', 'tokens', 'skips', 'macs', 'macsDense', 'stale', 'missing']);
  state.array(counters.perTier);
}
