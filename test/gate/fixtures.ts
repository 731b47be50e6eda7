import type { Channel, SpikeSettings } from '../../src/engine/model.ts';
import type { Frame } from '../../src/gate/packets.ts';

/** Seed of every property test of the gate; fast-check prints it with a failure. */
export const SEED = 20260101;

export function channelsOf(count: number, center = 0, scale = 1): Channel[] {
  return Array.from({ length: count }, (_, index) => ({ name: `channel${index}`, unit: '', center, scale }));
}

export function spikesOf(
  count: number,
  delta: number,
  heartbeat = Number.MAX_VALUE,
  refractory = 0,
): SpikeSettings {
  return {
    delta: Array(count).fill(delta),
    heartbeat: Array(count).fill(heartbeat),
    refractory: Array(count).fill(refractory),
  };
}

export function frameOf(values: number[], timeMs = 0): Frame {
  return { timeMs, values: Float64Array.from(values) };
}

export { randomNumbers as randomOf } from '../../src/statistics/random.ts';

/**
 * Fewer bytes a call than this are nothing: the smallest object takes 16, so one at every second call is 8. V8's own
 * doings, on a machine that others use too, have made two or three.
 */
export const NOTHING_BYTES = 6;
/** So little, and no further round could say more. */
const ENOUGH = 4;
const ROUNDS = 20;
/** V8's compilers need a moment of a machine that others use too, and more of them the busier it is. */
const PAUSE_MS = 20;
const PAUSE_MAX_MS = 200;
const pause = new Int32Array(new SharedArrayBuffer(4));

/**
 * Bytes of JS heap that one call costs in steady state: the least over the rounds, since in the earlier ones V8 still
 * compiles. A round is too short for the collector to hide what it allocates. Needs --expose-gc.
 */
export function heapBytesPerCall(call: (tick: number) => void, ticksPerRound = 10_000): number {
  const collect = globalThis.gc;
  if (collect === undefined) throw new Error('this test needs node --expose-gc');
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS && least > ENOUGH; round++) {
    Atomics.wait(pause, 0, 0, Math.min(PAUSE_MS * (round + 1), PAUSE_MAX_MS));
    collect();
    const before = process.memoryUsage().heapUsed;
    for (let tick = 0; tick < ticksPerRound; tick++) call(round * ticksPerRound + tick);
    const grown = process.memoryUsage().heapUsed - before;
    if (grown >= 0) least = Math.min(least, grown / ticksPerRound); // less only if a collection came between
  }
  return least;
}
