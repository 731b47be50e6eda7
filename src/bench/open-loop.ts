/**
 * Latency when ticks come by their own clock and not when the last one is done (no coordinated omission): a queue of
 * one server, computed from measured service times by Lindley's recursion, so that no core has to spin for it.
 */
import { Random } from '../train/random.ts';

/**
 * Microseconds from the scheduled time of each tick to its end, for Poisson arrivals `meanGapUs` apart on average; the
 * same seed gives the same arrivals. Writes to `latencyUs`, as long as `serviceUs`.
 */
export function openLoopLatencies(
  serviceUs: Float64Array,
  meanGapUs: number,
  seed: number,
  latencyUs: Float64Array,
): void {
  const random = new Random(ARRIVAL_KEY, seed);
  let waitUs = 0;
  for (let tick = 0; tick < serviceUs.length; tick++) {
    latencyUs[tick] = waitUs + serviceUs[tick]!;
    const gapUs = -meanGapUs * Math.log(1 - random.uniform());
    waitUs = Math.max(0, latencyUs[tick]! - gapUs);
  }
}

const ARRIVAL_KEY = 0x4152;
