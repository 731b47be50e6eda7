/** Checks when a channel fires, wherever that was said. */
import { type SpikeSettings, spikeRules } from '../engine/model.ts';

/** Checks that every list has one number >= 0 per channel. Throws RangeError naming the field. */
export function validateSpikeSettings(settings: SpikeSettings, channels: number): void {
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
