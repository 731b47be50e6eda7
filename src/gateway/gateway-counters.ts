/** What a gateway counts, as it publishes it on its counters topic. */
import type { Json } from '../engine/model.ts';
import type { Intake } from './intake.ts';
import type { Outbox } from './outbox.ts';
import type { PipelineCounters } from './pipeline-counters.ts';

/** Of messages, from their arrival to the frames that they become. */
export function intakeCounters({ inbox, decoder, frames, ...intake }: Intake): { [key: string]: Json } {
  return {
    messages: {
      received: intake.received,
      retained: intake.retained,
      unrouted: intake.unrouted,
      dropped: inbox.ring.dropped,
      coalesced: inbox.ring.coalesced,
      refused: inbox.refused,
      duplicates: inbox.duplicates,
      acknowledgedEarly: inbox.acknowledgedEarly,
      unacknowledged: inbox.unacknowledged,
      waiting: inbox.waiting,
    },
    payloads: { ...decoder.counts, converted: decoder.converted },
    frames: {
      stale: frames.stale,
      ahead: frames.ahead,
      restarts: frames.restarts,
      duplicates: frames.duplicates,
      merged: frames.merged,
      skippedTicks: frames.skippedTicks,
    },
  };
}

export function pipelineCounters({ perTier, ...counters }: PipelineCounters): { [key: string]: Json } {
  return { pipeline: { ...counters, perTier: [...perTier] } };
}

export function outboxCounters(outbox: Outbox): { [key: string]: Json } {
  return {
    outbox: {
      acknowledged: outbox.acknowledged,
      waiting: outbox.count,
      dropped: outbox.dropped,
      resent: outbox.resent,
      refused: outbox.refused,
      late: outbox.late,
    },
  };
}
