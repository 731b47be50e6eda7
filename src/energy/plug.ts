/**
 * A smart plug before the gateway's power supply, heard over MQTT: the whole truth, power supply included, but a coarse
 * one. Most plugs say 0 W below one to three watts, which for a machine that runs means: less than I can measure.
 */
import { type Meter, MeterProblem, type MeterReading } from './meter.ts';
import type { PlugKind } from './meter-settings.ts';
import { PowerIntegrator } from './power-integrator.ts';

/** What one message tells: power of this moment, and energy since the plug was made. Either may be absent. */
export interface PlugReading {
  readonly watts?: number;
  readonly totalWh?: number;
}

/** Steps as the plugs print them, watts. Accuracies are assumptions: what their makers promise, uncalibrated. */
const traits: Readonly<Record<PlugKind, { resolutionWatts: number; accuracyShare: number }>> = {
  tasmota: { resolutionWatts: 1, accuracyShare: 0.03 },
  shelly: { resolutionWatts: 0.1, accuracyShare: 0.02 },
  zigbee2mqtt: { resolutionWatts: 1, accuracyShare: 0.05 },
};
/** Three times the slowest usual reporting interval, Tasmota's 300 seconds. */
const holdMaxMs = 900_000;
const wattsMax = 10_000;
const totalWhMax = 1e9;

/**
 * What a payload of that kind of plug tells; neither power nor energy where it is about something else. Throws
 * MeterProblem where it is no JSON object, or a value is no possible power or energy.
 */
export function parsePlug(kind: PlugKind, payload: string): PlugReading {
  const message = parseObject(kind, payload);
  if (kind === 'tasmota') return tasmota(message);
  if (kind === 'shelly') return shelly(message);
  return reading(kind, message.power, 1, message.energy, 1000);
}

/** `tele/<t>/SENSOR`, or the same within StatusSNS. kWh; a list where there are several phases. */
function tasmota(message: Fields): PlugReading {
  const sensors = fieldsOf(message.StatusSNS) ?? message;
  const energy = fieldsOf(sensors.ENERGY) ?? {};
  return reading('tasmota', sumOf(energy.Power), 1, sumOf(energy.Total), 1000);
}

/** `status/switch:0`, or a NotifyStatus of `events/rpc`, which carries only what has changed. Wh. */
function shelly(message: Fields): PlugReading {
  const params = fieldsOf(message.params) ?? {};
  const key = Object.keys(params).find((name) => /^(switch|pm1|em1):\d+$/.test(name));
  const status = key === undefined ? message : (fieldsOf(params[key]) ?? {});
  const energy = fieldsOf(status.aenergy) ?? {};
  return reading('shelly', status.apower ?? status.act_power, 1, energy.total, 1);
}

type Fields = Readonly<Record<string, unknown>>;

function parseObject(kind: PlugKind, payload: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(payload);
  } catch {
    value = undefined;
  }
  const fields = fieldsOf(value);
  if (fields !== undefined) return fields;
  throw new MeterProblem(`${kind} plug: expected a JSON object, got ${JSON.stringify(payload.slice(0, 80))}`);
}

function fieldsOf(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

function sumOf(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  return value.every((each) => typeof each === 'number') ? value.reduce((sum, each) => sum + each, 0) : value;
}

function reading(
  kind: PlugKind,
  power: unknown,
  wattsPerUnit: number,
  energy: unknown,
  wattHoursPerUnit: number,
): PlugReading {
  const watts = quantity(`${kind} plug: power`, power, wattsPerUnit, wattsMax);
  const totalWh = quantity(`${kind} plug: energy`, energy, wattHoursPerUnit, totalWhMax);
  return { ...(watts === undefined ? {} : { watts }), ...(totalWh === undefined ? {} : { totalWh }) };
}

/** Absent and null both mean: not told this time. */
function quantity(what: string, value: unknown, factor: number, max: number): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number' && value >= 0 && value * factor <= max) return value * factor;
  throw new MeterProblem(
    `${what}: expected a number from 0 to ${max / factor}, got ${JSON.stringify(value)}`,
  );
}

export class PlugMeter implements Meter {
  readonly source = 'plug';
  readonly scope = 'plug';
  readonly title: string;
  readonly topic: string;
  failures = 0;
  lastFailure = '';
  /** Messages that told a power. */
  readings = 0;
  readonly #kind: PlugKind;
  readonly #integrator: PowerIntegrator;
  readonly #monotonicMs: () => number;

  constructor(kind: PlugKind, topic: string, monotonicMs: () => number = () => performance.now()) {
    this.#kind = kind;
    this.topic = topic;
    this.title = `${kind} plug on ${topic}`;
    this.#monotonicMs = monotonicMs;
    this.#integrator = new PowerIntegrator({ ...traits[kind], holdMaxMs });
  }

  /** Watts as last told; NaN before the first message. */
  get watts(): number {
    return this.#integrator.watts;
  }

  resolutionJ(spanMs: number): number {
    return (traits[this.#kind].resolutionWatts * spanMs) / 1000;
  }

  /** A message of the plug. Never throws: what can't be used is counted. */
  onMessage(payload: string): void {
    try {
      const { watts } = parsePlug(this.#kind, payload);
      if (watts === undefined) return;
      if (watts === 0)
        throw new MeterProblem(
          `${this.title}: 0 W for a machine that runs: it draws less than the plug can measure`,
        );
      this.readings++;
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
