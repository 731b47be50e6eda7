/** When a channel fires: what a model file says of it, and what else the encoder can do. */
import type { SpikeSettings } from '../engine/model.ts';

/**
 * What a reading is compared with: what the last token carried (send-on-delta), that value moved on by its own damped
 * trend, or the model's last forecast (both send-on-prediction; for the last, a model that predicts readings).
 */
export type SpikeRule = 'delta' | 'trend' | 'forecast';
export const spikeRules: readonly SpikeRule[] = ['delta', 'trend', 'forecast'];

export interface SpikeRules extends SpikeSettings {
  /** Default `delta`. */
  readonly rule?: SpikeRule;
  /**
   * Intervals after a change until the first heartbeat, at least 1; each that finds nothing new waits twice as long,
   * up to the channel's `heartbeat`. So the model looks again soon when a change has settled below a threshold.
   * Default: `heartbeat` from the start.
   */
  readonly firstHeartbeat?: readonly number[];
}

/** Checks that every list has one number >= 0 per channel. Throws RangeError naming the field. */
export function validateSpikeRules(settings: SpikeRules, channels: number): void {
  for (const field of ['delta', 'heartbeat', 'refractory'] as const)
    requireList(settings[field], field, channels);
  const { rule, firstHeartbeat } = settings;
  if (firstHeartbeat !== undefined) {
    requireList(firstHeartbeat, 'firstHeartbeat', channels);
    const early = firstHeartbeat.findIndex((intervals) => intervals < 1);
    if (early >= 0) {
      throw new RangeError(
        `spikes.firstHeartbeat[${early}]: expected a number >= 1, got ${firstHeartbeat[early]}`,
      );
    }
  }
  if (rule !== undefined && !spikeRules.includes(rule)) {
    throw new RangeError(
      `spikes.rule: expected one of ${spikeRules.join(', ')}, got ${JSON.stringify(rule)}`,
    );
  }
}

function requireList(list: readonly number[], field: string, channels: number): void {
  if (list.length !== channels) {
    throw new RangeError(
      `spikes.${field}: expected ${channels} numbers, one per channel, got ${list.length}`,
    );
  }
  const wrong = list.findIndex((value) => !(value >= 0));
  if (wrong >= 0) {
    throw new RangeError(`spikes.${field}[${wrong}]: expected a number >= 0, got ${list[wrong]}`);
  }
}
