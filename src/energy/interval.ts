/** From what was counted and metered between two moments to one record of the ledger. */
import type { LedgerRecord, PerTier, RecordedWatts } from './ledger-record.ts';
import { deviationsOf95, type MeterReading, type MeterScope, type MeterSource } from './meter.ts';
import type { TierCosts } from './tier-cost.ts';
import type { WattModel } from './watt-model.ts';

/** All clocks and meters at one moment. */
export interface Mark {
  readonly wallClockMs: number;
  readonly monotonicMs: number;
  readonly cpuMs: number;
  /** NaN where nobody tells. */
  readonly busyMs: number;
  readonly meter: MeterReading;
  readonly model: MeterReading;
}

/** What the ticks of an interval were. */
export interface IntervalCounts {
  readonly tiers: PerTier;
  readonly macs: number;
  readonly macsDense: number;
}

/** What does not change from one interval to the next. */
export interface IntervalContext {
  readonly source: MeterSource;
  readonly scope: MeterScope;
  readonly target: string;
  readonly watts: WattModel;
  /** Whether `watts.idleWatts` is what the source shows at idle. */
  readonly knowsIdle: boolean;
  /** Undefined: not measured. */
  readonly costs: TierCosts | undefined;
}

/** What was read at the end of this interval alone. */
export interface IntervalEnd {
  readonly resolutionJ: number;
  /** NaN where nobody tells. */
  readonly clockMHz: number;
  /** What a core's time counts at that clock, 0 to 1. */
  readonly speed: number;
  readonly throttled: number | null;
}

/** Less than that of an interval covered by readings: its joules are not known. */
const coverageMin = 0.9;

export function makeRecord(
  begin: Mark,
  end: Mark,
  counts: IntervalCounts,
  context: IntervalContext,
  last: IntervalEnd,
): LedgerRecord {
  const { watts, source, scope, target } = context;
  const { tiers } = counts;
  const wallMs = end.monotonicMs - begin.monotonicMs;
  const cpuMs = end.cpuMs - begin.cpuMs;
  const busyMs = end.busyMs - begin.busyMs;
  const energy = energyOf(begin.meter, end.meter, wallMs, last.resolutionJ);
  const jPerMs = (watts.coreWatts * last.speed) / 1000;
  const engineNs = engineTimes(tiers, context.costs);
  return {
    version: 2,
    startMs: begin.wallClockMs,
    wallMs: round(wallMs),
    cpuMs: round(cpuMs),
    busyMs: known(busyMs),
    engineCpuMs: known(context.costs === undefined ? Number.NaN : sum(engineNs) / 1e6),
    clockMHz: known(Math.round(last.clockMHz)),
    ticks: sum(tiers),
    skips: tiers[3],
    tiers,
    macs: counts.macs,
    macsDense: counts.macsDense,
    bytes: known(bytesOf(tiers, context.costs)),
    bytesDense: known(bytesOf([sum(tiers), 0, 0, 0], context.costs)),
    energyJ: known(energy.J),
    errorJ: known(energy.errorJ),
    noiseJ: known(energy.noiseJ),
    energyAboveIdleJ: known(context.knowsIdle ? energy.J - (watts.idleWatts * wallMs) / 1000 : Number.NaN),
    tiersJ: splitCpu(cpuMs, tiers, engineNs).map((ms) => round(ms * jPerMs)) as unknown as PerTier,
    othersJ: known((busyMs - cpuMs) * jPerMs),
    modelJ: round(end.model.totalJ - begin.model.totalJ),
    savedEstimateJ: known(savedMs(tiers, context.costs) * jPerMs),
    throttled: last.throttled,
    source,
    scope,
    resolutionJ: round(last.resolutionJ),
    watts: recorded(watts),
    target,
  };
}

function recorded(watts: WattModel): RecordedWatts {
  return {
    idle: round(watts.idleWatts),
    idleError: round(watts.idleErrorWatts),
    core: round(watts.coreWatts),
    coreError: round(watts.coreErrorWatts),
    basis: watts.basis,
  };
}

/** Joules of the whole interval and their error. What was not covered drew as the rest did, give or take all of it. */
function energyOf(begin: MeterReading, end: MeterReading, wallMs: number, resolutionJ: number) {
  const coveredMs = end.coveredMs - begin.coveredMs;
  const isKnown = wallMs === 0 || coveredMs >= coverageMin * wallMs;
  const factor = !isKnown ? Number.NaN : coveredMs > 0 ? wallMs / coveredMs : 1;
  const J = (end.totalJ - begin.totalJ) * factor;
  const scatterJ = deviationsOf95 * Math.sqrt(Math.max(0, end.varianceJ2 - begin.varianceJ2)) * factor;
  const sharedJ = (end.systematicJ - begin.systematicJ) * factor;
  const guessedJ = J * Math.max(0, 1 - 1 / factor);
  const noiseJ = Math.hypot(scatterJ, resolutionJ);
  return { J, noiseJ, errorJ: noiseJ + sharedJ + guessedJ };
}

/** CPU time of the engine per tier, nanoseconds. */
function engineTimes(tiers: PerTier, costs: TierCosts | undefined): PerTier {
  const at = (tier: 0 | 1 | 2) => tiers[tier] * (costs?.[tier].cpuNs ?? 0);
  return [at(0), at(1), at(2), 0];
}

/**
 * This process's CPU time by tier: the engine's to those who ran it (as much of it as there was), the rest to all ticks
 * alike, for each message is received, decoded and decided on. Without a tick all of it was spent on waiting.
 */
function splitCpu(cpuMs: number, tiers: PerTier, engineNs: PerTier): PerTier {
  const ticks = sum(tiers);
  if (ticks === 0) return [0, 0, 0, cpuMs];
  const engineMs = sum(engineNs) / 1e6;
  const scale = engineMs > cpuMs ? cpuMs / engineMs : 1;
  const restMs = cpuMs - engineMs * scale;
  return engineNs.map(
    (ns, tier) => (ns / 1e6) * scale + (restMs * tiers[tier]!) / ticks,
  ) as unknown as PerTier;
}

function savedMs(tiers: PerTier, costs: TierCosts | undefined): number {
  if (costs === undefined) return Number.NaN;
  return (sum(tiers) * costs[0].cpuNs - sum(engineTimes(tiers, costs))) / 1e6;
}

function bytesOf(tiers: PerTier, costs: TierCosts | undefined): number {
  if (costs === undefined) return Number.NaN;
  return tiers[0] * costs[0].bytes + tiers[1] * costs[1].bytes + tiers[2] * costs[2].bytes;
}

function sum(values: PerTier): number {
  return values[0] + values[1] + values[2] + values[3];
}

/** To a microsecond, or a microjoule: what lies below is noise and only lengthens the file. */
function round(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}

function known(value: number): number | null {
  return Number.isFinite(value) ? round(value) : null;
}
