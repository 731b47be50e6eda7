/** What was computed, what was not, and what both cost: summed per interval, written in batches. */
import type { Tier } from '../engine/config.ts';
import type { LedgerFile } from './ledger-file.ts';
import { encodeRecord, type LedgerRecord } from './ledger-record.ts';
import { type Meter, makeMeterReading } from './meter.ts';
import { ModelMeter, type ProcessClock, processClock, wattsPerCore } from './model-meter.ts';
import type { Target } from './target.ts';

/** The fields of a witness that the ledger reads. */
export interface TickWitness {
  readonly tier: Tier;
  /** Multiply-accumulates that this tick executed. */
  readonly macs: number;
  /** Those that tier 0 would have executed on this tick. */
  readonly macsDense: number;
}

/** Sums over a span; see LedgerRecord for each. Energies are NaN where they are not known. */
export interface LedgerTotals {
  wallMs: number;
  cpuMs: number;
  ticks: number;
  tiers: [number, number, number, number];
  macs: number;
  macsDense: number;
  energyJ: number;
  energyAboveIdleJ: number;
  savedEstimateJ: number;
}

export interface LedgerOptions {
  /** Whose watts are used. */
  readonly target: Target;
  /** Default: the watt model of `target`. */
  readonly meter?: Meter;
  /** Where records go; without it they are only summed. */
  readonly file?: LedgerFile;
  /** Length of an interval when `start` keeps the time; default a minute. */
  readonly intervalMs?: number;
  /** Intervals per write; default 10, to spare the SD card. */
  readonly batch?: number;
  /** Records that wait at most while the disk refuses them; then the interval grows instead. Default a day of minutes. */
  readonly pendingMax?: number;
  /** CPU time of one MAC on this machine, nanoseconds, measured (`measureCpuNsPerMac`); without it nothing is called saved. */
  readonly cpuNsPerMac?: number;
  readonly clock?: ProcessClock;
  /** Wall clock, milliseconds since 1970. */
  readonly wallClockMs?: () => number;
}

/** Shorter intervals without a tick stay open. */
const emptyIntervalMinMs = 1000;
/** Places in the counters of one interval. */
const macsAt = 4;
const macsDenseAt = 5;
const countersLength = 6;

export class Ledger {
  readonly meter: Meter;
  readonly target: Target;
  /** Writes that the disk refused, and what it said last. The records wait for the next write. */
  writeFailures = 0;
  lastFailure = '';
  readonly #options: LedgerOptions;
  readonly #clock: ProcessClock;
  readonly #wallClockMs: () => number;
  /** Ticks per tier, MACs, dense MACs. A typed array: counting must not make heap numbers. */
  readonly #counters = new Float64Array(countersLength);
  readonly #closed = new Float64Array(countersLength);
  readonly #reading = makeMeterReading();
  readonly #savedJPerMac: number;
  readonly #start: { monotonicMs: number; cpuMs: number };
  #interval: IntervalStart;
  #pending: string[] = [];
  #writing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LedgerOptions) {
    this.#options = options;
    this.target = options.target;
    this.#clock = options.clock ?? processClock;
    this.#wallClockMs = options.wallClockMs ?? Date.now;
    this.meter = options.meter ?? new ModelMeter(options.target, this.#clock);
    this.#savedJPerMac = (options.cpuNsPerMac ?? Number.NaN) * 1e-9 * wattsPerCore(options.target);
    this.#interval = this.#mark();
    this.#start = this.#interval;
  }

  /** Records that wait to be written. */
  get pending(): number {
    return this.#pending.length;
  }

  /** Counts a tick. Allocates nothing, waits for nothing and never throws. */
  onTick(witness: TickWitness): void {
    this.#counters[witness.tier]! += 1;
    this.#counters[macsAt]! += witness.macs;
    this.#counters[macsDenseAt]! += witness.macsDense;
  }

  /** Everything since the ledger began, the open interval included. */
  totals(): LedgerTotals {
    const now = this.#mark();
    const sum = (at: number) => this.#closed[at]! + this.#counters[at]!;
    const tiers: LedgerTotals['tiers'] = [sum(0), sum(1), sum(2), sum(3)];
    return {
      wallMs: now.monotonicMs - this.#start.monotonicMs,
      cpuMs: now.cpuMs - this.#start.cpuMs,
      ticks: tiers[0] + tiers[1] + tiers[2] + tiers[3],
      tiers,
      macs: sum(macsAt),
      macsDense: sum(macsDenseAt),
      energyJ: now.totalJ,
      energyAboveIdleJ: now.aboveIdleJ,
      savedEstimateJ: (sum(macsDenseAt) - sum(macsAt)) * this.#savedJPerMac,
    };
  }

  /** Closes the interval every `intervalMs` and writes every `batch` of them, until `stop`. */
  start(): void {
    if (this.#timer !== undefined) return;
    const batch = this.#options.batch ?? 10;
    this.#timer = setInterval(() => {
      this.closeInterval();
      if (this.#pending.length >= batch) void this.#write();
    }, this.#options.intervalMs ?? 60_000);
    this.#timer.unref();
  }

  /** Stops the timer and writes what is left. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.flush();
  }

  /** Makes a record of what happened since the last one. While too many wait, the interval stays open instead. */
  closeInterval(): void {
    if (this.#pending.length >= (this.#options.pendingMax ?? 1440)) return;
    const end = this.#mark();
    if (!this.#isWorthRecording(end)) return;
    if (this.#options.file !== undefined) this.#pending.push(encodeRecord(this.#record(end)));
    for (let i = 0; i < countersLength; i++) this.#closed[i]! += this.#counters[i]!;
    this.#counters.fill(0);
    this.#interval = end;
  }

  /** Two flushes in a row, as when a gateway stops, make one record. */
  #isWorthRecording({ monotonicMs }: IntervalStart): boolean {
    const ticks = this.#counters[0]! + this.#counters[1]! + this.#counters[2]! + this.#counters[3]!;
    return ticks > 0 || monotonicMs - this.#interval.monotonicMs >= emptyIntervalMinMs;
  }

  /** Closes the interval and writes all that waits. Never rejects: a refusal is counted and the records stay. */
  async flush(): Promise<void> {
    await this.#writing;
    this.closeInterval();
    await this.#write();
  }

  #write(): Promise<void> {
    this.#writing ??= this.#writeOnce().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  async #writeOnce(): Promise<void> {
    const { file } = this.#options;
    const count = this.#pending.length;
    if (file === undefined || count === 0) return;
    try {
      await file.append(this.#pending.slice(0, count).join(''));
      this.#pending.splice(0, count);
    } catch (error) {
      this.writeFailures++;
      this.lastFailure = (error as Error).message;
    }
  }

  #mark(): IntervalStart {
    this.meter.read(this.#reading);
    return {
      wallClockMs: this.#wallClockMs(),
      monotonicMs: this.#clock.monotonicMs(),
      cpuMs: this.#clock.cpuMs(),
      ...this.#reading,
    };
  }

  #record(end: IntervalStart): LedgerRecord {
    const begin = this.#interval;
    const [full, reduced, safe, skips, macs, macsDense] = this.#counters as unknown as number[];
    return {
      version: 1,
      startMs: begin.wallClockMs,
      wallMs: round(end.monotonicMs - begin.monotonicMs),
      cpuMs: round(end.cpuMs - begin.cpuMs),
      ticks: full! + reduced! + safe! + skips!,
      skips: skips!,
      tiers: [full!, reduced!, safe!, skips!],
      macs: macs!,
      macsDense: macsDense!,
      energyJ: known(end.totalJ - begin.totalJ),
      energyAboveIdleJ: known(end.aboveIdleJ - begin.aboveIdleJ),
      savedEstimateJ: known((macsDense! - macs!) * this.#savedJPerMac),
      source: this.meter.source,
      resolutionJ: this.meter.resolutionJ,
      target: this.target.name,
    };
  }
}

interface IntervalStart {
  readonly wallClockMs: number;
  readonly monotonicMs: number;
  readonly cpuMs: number;
  readonly totalJ: number;
  readonly aboveIdleJ: number;
}

/** To a microsecond, or a microjoule: what lies below is noise and only lengthens the file. */
function round(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}

function known(value: number): number | null {
  return Number.isFinite(value) ? round(value) : null;
}

/**
 * CPU time of one MAC, nanoseconds: runs `step` (which returns the MACs it executed) until `minCpuMs` of CPU time
 * have passed, after a tenth of that to warm up. The step must execute something.
 */
export function measureCpuNsPerMac(
  step: () => number,
  clock: ProcessClock = processClock,
  minCpuMs = 50,
): number {
  runFor(step, clock, minCpuMs / 10);
  const { macs, cpuMs } = runFor(step, clock, minCpuMs);
  if (!(macs > 0)) throw new RangeError(`step: expected to execute MACs, got ${macs}`);
  return (cpuMs * 1e6) / macs;
}

function runFor(step: () => number, clock: ProcessClock, minCpuMs: number): { macs: number; cpuMs: number } {
  const startMs = clock.cpuMs();
  let macs = 0;
  let cpuMs = 0;
  for (let steps = 0; cpuMs < minCpuMs && steps < stepsMax; steps++) {
    macs += step();
    cpuMs = clock.cpuMs() - startMs;
  }
  return { macs, cpuMs };
}

/** A step that takes no time at all must end too. */
const stepsMax = 1_000_000;
