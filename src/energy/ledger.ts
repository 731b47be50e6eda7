/** What was computed, what was not, and what both cost: summed per interval, written in batches. */
import type { Tier } from '../engine/config.ts';
import { makeProcessClock, type ProcessClock } from './cpu-time.ts';
import { type IntervalContext, type IntervalCounts, type Mark, makeRecord } from './interval.ts';
import type { LedgerFile } from './ledger-file.ts';
import { encodeRecord, type LedgerRecord } from './ledger-record.ts';
import { LedgerTotals } from './ledger-totals.ts';
import { type Meter, makeMeterReading } from './meter.ts';
import { ModelMeter } from './model-meter.ts';
import type { Target } from './target.ts';
import type { ThrottleWatch } from './throttling.ts';
import type { TierCosts } from './tier-cost.ts';
import { type WattModel, wattModelOf } from './watt-model.ts';

/** The fields of a witness that the ledger reads. */
export interface TickWitness {
  readonly tier: Tier;
  /** Multiply-accumulates that this tick executed. */
  readonly macs: number;
  /** Those that tier 0 would have executed on this tick. */
  readonly macsDense: number;
}

export interface LedgerOptions {
  /** Which device this is. */
  readonly target: Target;
  /** What it draws; default: as the target says. */
  readonly watts?: WattModel;
  /** Default: the watt model. */
  readonly meter?: Meter;
  /** Whether `watts` was calibrated against this very meter, so that its idle is the meter's. Default false. */
  readonly isCalibrated?: boolean;
  /** Where records go; without it they are only summed. */
  readonly file?: LedgerFile;
  /** Length of an interval once started; default a minute. */
  readonly intervalMs?: number;
  /** Intervals per write; default 10, to spare the SD card. */
  readonly batch?: number;
  /** Records that wait at most while the disk refuses them; then the interval grows instead. Default a day of minutes. */
  readonly pendingMax?: number;
  /** Measured on this machine (`measureTierCosts`); without it nothing is called saved. */
  readonly costs?: TierCosts;
  readonly throttling?: ThrottleWatch;
  readonly clock?: ProcessClock;
  /** Wall clock, milliseconds since 1970. */
  readonly wallClockMs?: () => number;
  /** Told of each record when its interval is over. */
  readonly onRecord?: (record: LedgerRecord) => void;
}

const defaultIntervalMs = 60_000;
const defaultBatch = 10;
/** Shorter intervals without a tick stay open. */
const emptyIntervalMinMs = 1000;
/** Places in the counters of one interval. */
const macsAt = 4;
const macsDenseAt = 5;
const countersLength = 6;

export class Ledger {
  readonly meter: Meter;
  readonly target: Target;
  readonly watts: WattModel;
  /** Writes that the disk refused, and what it said last. The records wait for the next write. */
  writeFailures = 0;
  lastFailure = '';
  /** Records that lie on the disk, of this run. */
  written = 0;
  readonly #options: LedgerOptions;
  readonly #model: ModelMeter;
  #context: IntervalContext;
  readonly #clock: ProcessClock;
  readonly #wallClockMs: () => number;
  /** Ticks per tier, MACs, dense MACs. A typed array: counting must not make heap numbers. */
  readonly #counters = new Float64Array(countersLength);
  readonly #closed = new LedgerTotals();
  #interval: Mark;
  #pending: string[] = [];
  #writing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LedgerOptions) {
    this.#options = options;
    this.target = options.target;
    this.watts = options.watts ?? wattModelOf(options.target);
    this.#clock = options.clock ?? makeProcessClock();
    this.#wallClockMs = options.wallClockMs ?? Date.now;
    this.#model = new ModelMeter(this.watts, this.#clock);
    this.meter = options.meter ?? this.#model;
    this.#context = {
      source: this.meter.source,
      scope: this.meter.scope,
      target: options.target.name,
      watts: this.watts,
      knowsIdle: this.meter === this.#model || options.isCalibrated === true,
      costs: options.costs,
    };
    this.#interval = this.#mark();
  }

  /** Records that wait to be written. */
  get pending(): number {
    return this.#pending.length;
  }

  /** Bytes written by this run. */
  get writtenBytes(): number {
    return this.#options.file?.writtenBytes ?? 0;
  }

  /** Counts a tick. Allocates nothing, waits for nothing and never throws. */
  onTick(witness: TickWitness): void {
    this.#counters[witness.tier]! += 1;
    this.#counters[macsAt]! += witness.macs;
    this.#counters[macsDenseAt]! += witness.macsDense;
  }

  /** From here on steps cost this: of another model. The interval before it is closed, so that no record mixes two. */
  useCosts(costs: TierCosts | undefined): void {
    this.closeInterval();
    this.#context = { ...this.#context, costs };
  }

  /** Everything since the ledger began, the open interval included. A copy. */
  totals(): LedgerTotals {
    return this.#closed.clone().add(this.#record(this.#mark(), null));
  }

  /** Starts the meter, and closes an interval each `intervalMs` and writes each `batch` of them until `stop`. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.meter.start?.();
    this.#timer = setInterval(() => void this.#onInterval(), this.#options.intervalMs ?? defaultIntervalMs);
    this.#timer.unref();
  }

  async #onInterval(): Promise<void> {
    await this.#options.throttling?.look();
    this.closeInterval();
    if (this.#pending.length >= (this.#options.batch ?? defaultBatch)) await this.#write();
  }

  /** Stops the timer and the meter, and writes what is left. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.flush();
    this.meter.stop?.();
  }

  /** Makes a record of what happened since the last one. While too many wait, the interval stays open instead. */
  closeInterval(): void {
    if (this.#pending.length >= (this.#options.pendingMax ?? 1440)) return;
    const end = this.#mark();
    if (!this.#isWorthRecording(end)) return;
    const record = this.#record(end, this.#options.throttling?.take() ?? null);
    if (this.#options.file !== undefined) this.#pending.push(encodeRecord(record));
    this.#closed.add(record);
    this.#counters.fill(0);
    this.#interval = end;
    this.#options.onRecord?.(record);
  }

  /** Two flushes in a row, as when a gateway stops, make one record. */
  #isWorthRecording({ monotonicMs }: Mark): boolean {
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
      this.written += count;
    } catch (error) {
      this.writeFailures++;
      this.lastFailure = (error as Error).message;
    }
  }

  #mark(): Mark {
    const model = makeMeterReading();
    this.#model.read(model);
    const meter = this.meter === this.#model ? model : makeMeterReading();
    if (meter !== model) this.meter.read(meter);
    return {
      wallClockMs: this.#wallClockMs(),
      monotonicMs: this.#clock.monotonicMs(),
      cpuMs: this.#clock.cpuMs(),
      busyMs: this.#model.seesMachine ? this.#model.busyMs : Number.NaN,
      meter,
      model,
    };
  }

  #record(end: Mark, throttled: number | null): LedgerRecord {
    const { clockMHz, speed } = this.#model;
    const resolutionJ = this.meter.resolutionJ(end.monotonicMs - this.#interval.monotonicMs);
    return makeRecord(this.#interval, end, this.#counts(), this.#context, {
      resolutionJ,
      clockMHz,
      speed,
      throttled,
    });
  }

  #counts(): IntervalCounts {
    const [full, reduced, safe, skips, macs, macsDense] = this.#counters as unknown as number[];
    return { tiers: [full!, reduced!, safe!, skips!], macs: macs!, macsDense: macsDense! };
  }
}
