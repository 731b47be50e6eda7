/**
 * Four plants, defined by what happens in them and how often; what that means for a gateway is not among the numbers.
 *
 * Times are in ticks of the plant's own interval. Amplitudes are in excursions: 1 is the step from idle to working.
 */
import type { FaultKind } from './faults.ts';

export const workloadNames = ['streaming', 'interactive', 'continuous', 'safety-critical'] as const;
export type WorkloadName = (typeof workloadNames)[number];

export interface Physics {
  readonly name: WorkloadName;
  /** What it could be, for people. */
  readonly plant: string;
  readonly channels: number;
  /** Channels are spread over so many common factors. */
  readonly factors: number;
  readonly intervalMs: number;
  /** Mean ticks for which the plant stays in one regime, outside bursts. */
  readonly regimeTicks: number;
  /** Mean ticks between two disturbances (a door, a gust, a passing load) outside bursts, and how fast one decays. */
  readonly pulseTicks: number;
  readonly pulseDecayTicks: number;
  /** A burst multiplies both rates by `factor`, comes once in `everyTicks` on average and lasts `ticks`. */
  readonly burst: { readonly factor: number; readonly everyTicks: number; readonly ticks: number };
  /** Time constant with which a sensor follows its plant: sensors differ from half to twice of it. */
  readonly lagTicks: number;
  /** Slow AR(1) of each common factor, and of each sensor by itself: deviation and time constant. */
  readonly wander: { readonly deviation: number; readonly ticks: number };
  readonly ownWander: { readonly deviation: number; readonly ticks: number };
  /** The daily (or other) rhythm. */
  readonly season: { readonly amplitude: number; readonly ticks: number };
  /** White noise of a reading, and the step of what a sensor can tell. */
  readonly noise: number;
  readonly resolution: number;
  /** Mean ticks between the end of a fault and the next; mean length of one. */
  readonly faultEveryTicks: number;
  readonly faultTicks: number;
  readonly faults: readonly FaultKind[];
}

/** The regimes of every plant; a tick at which any sensor is faulty is labelled `fault` instead. */
export const regimes = ['idle', 'working', 'peak'] as const;
export const classes = [...regimes, 'fault'] as const;
export const FAULT_CLASS = regimes.length;

const allFaults: readonly FaultKind[] = ['stuck', 'drift', 'decoupling', 'noise', 'shift', 'dropout'];

export const workloads: Readonly<Record<WorkloadName, Physics>> = Object.freeze({
  streaming: {
    name: 'streaming',
    plant: 'cold store: slow sensors read every 10 s, a change about every hour and a half',
    channels: 8,
    factors: 2,
    intervalMs: 10_000,
    regimeTicks: 600,
    pulseTicks: 1200,
    pulseDecayTicks: 12,
    burst: { factor: 6, everyTicks: 8640, ticks: 120 },
    lagTicks: 6,
    wander: { deviation: 0.08, ticks: 1500 },
    ownWander: { deviation: 0.04, ticks: 3000 },
    season: { amplitude: 0.2, ticks: 8640 },
    noise: 0.008,
    resolution: 0.01,
    faultEveryTicks: 3000,
    faultTicks: 300,
    faults: allFaults,
  },
  interactive: {
    name: 'interactive',
    plant: 'room with people: sensors read every 5 s, busy hours and quiet ones',
    channels: 6,
    factors: 2,
    intervalMs: 5_000,
    regimeTicks: 240,
    pulseTicks: 240,
    pulseDecayTicks: 8,
    burst: { factor: 8, everyTicks: 2400, ticks: 120 },
    lagTicks: 4,
    wander: { deviation: 0.1, ticks: 600 },
    ownWander: { deviation: 0.05, ticks: 1200 },
    season: { amplitude: 0.2, ticks: 17_280 },
    noise: 0.015,
    resolution: 0.01,
    faultEveryTicks: 3000,
    faultTicks: 200,
    faults: allFaults,
  },
  continuous: {
    name: 'continuous',
    plant: 'pump train under changing load: 1 Hz',
    channels: 12,
    factors: 3,
    intervalMs: 1000,
    regimeTicks: 120,
    pulseTicks: 80,
    pulseDecayTicks: 5,
    burst: { factor: 3, everyTicks: 1200, ticks: 120 },
    lagTicks: 4,
    wander: { deviation: 0.15, ticks: 150 },
    ownWander: { deviation: 0.06, ticks: 200 },
    season: { amplitude: 0.1, ticks: 3600 },
    noise: 0.03,
    resolution: 0.01,
    faultEveryTicks: 2000,
    faultTicks: 150,
    faults: allFaults,
  },
  'safety-critical': {
    name: 'safety-critical',
    plant: 'press with guards: 10 Hz, work in cycles, faults looked for',
    channels: 16,
    factors: 4,
    intervalMs: 100,
    regimeTicks: 60,
    pulseTicks: 40,
    pulseDecayTicks: 4,
    burst: { factor: 3, everyTicks: 600, ticks: 120 },
    lagTicks: 3,
    wander: { deviation: 0.2, ticks: 60 },
    ownWander: { deviation: 0.08, ticks: 80 },
    season: { amplitude: 0.1, ticks: 6000 },
    noise: 0.05,
    resolution: 0.01,
    faultEveryTicks: 700,
    faultTicks: 120,
    faults: allFaults,
  },
});
