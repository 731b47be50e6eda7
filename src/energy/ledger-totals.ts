/** Sums over records, in the order in which they come. */
import type { LedgerRecord, PerTier } from './ledger-record.ts';

type Mutable<T> = { -readonly [key in keyof T]: T[key] };

/** See LedgerRecord for each. A sum over intervals of which one is not known leaves that one out and counts it. */
export class LedgerTotals {
  intervals = 0;
  wallMs = 0;
  cpuMs = 0;
  engineCpuMs = 0;
  ticks = 0;
  tiers: Mutable<PerTier> = [0, 0, 0, 0];
  macs = 0;
  macsDense = 0;
  bytes = 0;
  bytesDense = 0;
  /** NaN: no interval has it. */
  energyJ = Number.NaN;
  energyAboveIdleJ = Number.NaN;
  savedEstimateJ = Number.NaN;
  othersJ = Number.NaN;
  /** Half width of 95 % of `energyJ`: what is independent adds in squares, what intervals share adds up. */
  errorJ = 0;
  noiseJ = 0;
  tiersJ: Mutable<PerTier> = [0, 0, 0, 0];
  /** Of the intervals whose `energyJ` is known: their length, what the watt model makes of them, and its idle part. */
  knownMs = 0;
  modelJ = 0;
  idleJ = 0;
  /** Half width of that idle part. */
  idleErrorJ = 0;
  /** Of those intervals, above idle: this process, and others as far as told. */
  ownJ = 0;
  resolutionJ = 0;
  /** Bits that held in any interval; null where no interval tells. */
  throttled: number | null = null;
  /** Intervals in which one of the four first bits held. */
  throttledIntervals = 0;

  add(record: LedgerRecord): this {
    this.intervals++;
    this.wallMs += record.wallMs;
    this.cpuMs += record.cpuMs;
    this.engineCpuMs += record.engineCpuMs ?? 0;
    this.ticks += record.ticks;
    this.macs += record.macs;
    this.macsDense += record.macsDense;
    this.bytes += record.bytes ?? 0;
    this.bytesDense += record.bytesDense ?? 0;
    for (let tier = 0; tier < 4; tier++) {
      this.tiers[tier]! += record.tiers[tier]!;
      this.tiersJ[tier]! += record.tiersJ[tier]!;
    }
    this.savedEstimateJ = addKnown(this.savedEstimateJ, record.savedEstimateJ);
    this.energyAboveIdleJ = addKnown(this.energyAboveIdleJ, record.energyAboveIdleJ);
    this.#addEnergy(record);
    this.#addThrottling(record.throttled);
    return this;
  }

  #addEnergy(record: LedgerRecord): void {
    if (record.energyJ === null) return;
    this.energyJ = addKnown(this.energyJ, record.energyJ);
    this.othersJ = addKnown(this.othersJ, record.othersJ);
    const sharedJ = this.errorJ - this.noiseJ + record.errorJ! - record.noiseJ!;
    this.noiseJ = Math.hypot(this.noiseJ, record.noiseJ!);
    this.errorJ = this.noiseJ + sharedJ;
    this.knownMs += record.wallMs;
    this.modelJ += record.modelJ;
    this.idleJ += (record.watts.idle * record.wallMs) / 1000;
    this.idleErrorJ += (record.watts.idleError * record.wallMs) / 1000;
    this.ownJ += record.tiersJ.reduce((sum, each) => sum + each, 0);
    this.resolutionJ += record.resolutionJ;
  }

  #addThrottling(bits: number | null): void {
    if (bits === null) return;
    this.throttled = (this.throttled ?? 0) | bits;
    if ((bits & 0xf) !== 0) this.throttledIntervals++;
  }

  clone(): LedgerTotals {
    const copy = Object.assign(new LedgerTotals(), this);
    copy.tiers = [...this.tiers];
    copy.tiersJ = [...this.tiersJ];
    return copy;
  }
}

function addKnown(sum: number, value: number | null): number {
  if (value === null) return sum;
  return Number.isNaN(sum) ? value : sum + value;
}
