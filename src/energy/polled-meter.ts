/** A meter that asks a sensor for its power now and then. */
import { type Meter, MeterProblem, type MeterReading, type MeterScope, type MeterSource } from './meter.ts';
import { PowerIntegrator } from './power-integrator.ts';

/** Something that tells the power of this moment. */
export interface PowerSensor {
  readonly source: MeterSource;
  readonly scope: MeterScope;
  readonly title: string;
  /** Steps of its readings, watts. */
  readonly resolutionWatts: number;
  /** Error that all its readings share, as a share of them. */
  readonly accuracyShare: number;
  /** How often it should be asked. */
  readonly intervalMs: number;
  /** Watts. Throws (or rejects with) MeterProblem when it can't tell. */
  sample(): number | Promise<number>;
  /** What the last sample was made of, for people. */
  readonly lastText?: string;
}

/** So many samples may be missing before the power is unknown. */
const missingMax = 5;

export class PolledMeter implements Meter {
  readonly source: MeterSource;
  readonly scope: MeterScope;
  readonly title: string;
  failures = 0;
  lastFailure = '';
  readonly sensor: PowerSensor;
  readonly #monotonicMs: () => number;
  readonly #integrator: PowerIntegrator;
  #timer: NodeJS.Timeout | undefined;
  #asking: Promise<void> | undefined;

  constructor(sensor: PowerSensor, monotonicMs: () => number = () => performance.now()) {
    this.sensor = sensor;
    this.source = sensor.source;
    this.scope = sensor.scope;
    this.title = sensor.title;
    this.#monotonicMs = monotonicMs;
    this.#integrator = new PowerIntegrator({ ...sensor, holdMaxMs: missingMax * sensor.intervalMs });
  }

  get lastText(): string | undefined {
    return this.sensor.lastText;
  }

  /** Watts as last told; NaN before the first answer. */
  get watts(): number {
    return this.#integrator.watts;
  }

  resolutionJ(spanMs: number): number {
    return (this.sensor.resolutionWatts * spanMs) / 1000;
  }

  start(): void {
    if (this.#timer !== undefined) return;
    void this.poll();
    this.#timer = setInterval(() => void this.poll(), this.sensor.intervalMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Asks once, unless an answer is still awaited. Never rejects. */
  poll(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(): Promise<void> {
    try {
      const watts = await this.sensor.sample();
      if (!Number.isFinite(watts)) throw new MeterProblem(`${this.title}: expected watts, got ${watts}`);
      this.#integrator.add(this.#monotonicMs(), watts);
    } catch (error) {
      this.failures++;
      this.lastFailure = (error as Error).message;
    }
  }

  read(reading: MeterReading): void {
    this.#integrator.read(this.#monotonicMs(), reading);
  }
}
