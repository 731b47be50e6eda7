/**
 * An office for two, simulated from first principles: one zone of well-mixed air with a heavy shell.
 *
 * Every balance is a linear relaxation towards an equilibrium over one minute and is stepped exactly, so no step
 * size makes it unstable. The figures are those of an ordinary room, not fitted to any recording.
 */
import { People } from './people.ts';
import { Random } from './random.ts';
import { Sensors } from './sensors.ts';
import { clamp, Outside, type Weather } from './weather.ts';

/** The channels in the order of `RoomTick.values`. */
export const roomChannels = [
  { name: 'temperature', unit: 'Celsius' },
  { name: 'humidity', unit: '%' },
  { name: 'light', unit: 'lux' },
  { name: 'co2', unit: 'ppm' },
  { name: 'humidity_ratio', unit: 'kg/kg' },
] as const;

/** One minute of the room. Refilled by every step. */
export interface RoomTick {
  /** Milliseconds since 1970, simulated. */
  timeMs: number;
  /** [5], as the sensors tell them. */
  readonly values: Float64Array;
  /** The truth, which no sensor tells: whether anybody is in. */
  occupied: boolean;
}

/** What the air and the lamps truly are. */
export interface RoomState {
  temperature: number;
  humidityRatio: number;
  co2: number;
  light: number;
  lampsOn: boolean;
  windowOpen: boolean;
}

export const minuteMs = 60_000;
/** A Monday's midnight. */
const mondayMs = Date.UTC(2024, 0, 15);
const startMinute = 5 * 60;

const peopleCount = 2;
const volumeM3 = 70;
const airKg = volumeM3 * 1.2;
/** City air in winter. */
const outdoorCo2Ppm = 435;
/** A person at a desk: litres of CO2 per hour, grams of water per hour, watts of heat. */
const personCo2LitresPerHour = 18;
const personWaterGramsPerHour = 50;
const personWatts = 80;
/** Air changes per hour: leaks alone, with the ventilation of working hours, with the window open. */
const leakChanges = 0.35;
const ventilatedChanges = 0.8;
const openChanges = 5;
/** Paper, plaster and carpet take up moisture: they weigh as much as so many rooms full of air. */
const moistureBuffer = 2;
/** Heat that walls and window lose, and that the room holds. */
const lossWattsPerKelvin = 45;
const airWattsPerKelvinPerChange = (airKg * 1005) / 3600;
const heatJoulesPerKelvin = 3e6;
const heaterWattsMax = 1800;
const heaterWattsPerKelvin = 2000;
const lampWatts = 140;
const lampLux = 425;
const skyLux = 260;
const sunPatchLux = 900;
const sunWatts = 350;

export class OfficeRoom {
  readonly tick: RoomTick = { timeMs: 0, values: new Float64Array(roomChannels.length), occupied: false };
  readonly state: RoomState = {
    temperature: 20.4,
    humidityRatio: 0.0038,
    co2: 460,
    light: 0,
    lampsOn: false,
    windowOpen: false,
  };
  readonly #random: Random;
  readonly #people: People;
  readonly #outside: Outside;
  readonly #sensors: Sensors;
  #minute = startMinute;
  #present = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#people = new People(this.#random.fork(), peopleCount);
    this.#outside = new Outside(this.#random.fork());
    this.#sensors = new Sensors(this.#random.fork());
  }

  /** The next minute. The same object every time. */
  step(): RoomTick {
    const weather = this.#outside.step(this.#minute);
    const present = this.#people.presentAt(this.#minute);
    this.#actOnLamps(present);
    this.#actOnWindow(present);
    this.#present = present;
    this.#stepAir(weather);
    this.#stepHeat(weather);
    this.state.light = daylight(weather, this.#minute) + (this.state.lampsOn ? lampLux : 0);
    this.tick.timeMs = mondayMs + this.#minute * minuteMs;
    this.tick.occupied = present > 0;
    this.#sensors.read(this.state, this.tick.values);
    this.#minute++;
    return this.tick;
  }

  /** The first to come switches the lamps on, the last to go mostly off; who forgot is made good for at night. */
  #actOnLamps(present: number): void {
    const { state } = this;
    if (present > 0 && this.#present === 0) state.lampsOn = true;
    if (present === 0 && this.#present > 0) state.lampsOn = this.#random.chance(0.08);
    if (present === 0 && state.lampsOn && this.#random.chance(1 / 15)) state.lampsOn = false;
  }

  /** Stale air gets a window opened now and then, and cold closes it. */
  #actOnWindow(present: number): void {
    const { state } = this;
    if (!state.windowOpen) state.windowOpen = present > 0 && state.co2 > 1200 && this.#random.chance(1 / 60);
    else state.windowOpen = present > 0 && state.temperature > 19.5 && !this.#random.chance(1 / 8);
  }

  #airChanges(): number {
    if (this.state.windowOpen) return openChanges;
    const minuteOfDay = this.#minute % 1440;
    return minuteOfDay >= 7 * 60 && minuteOfDay < 19 * 60 ? ventilatedChanges : leakChanges;
  }

  #stepAir({ humidityRatio }: Weather): void {
    const { state } = this;
    const changes = this.#airChanges();
    const co2PpmPerHour = (this.#present * personCo2LitresPerHour * 1000) / volumeM3;
    state.co2 = relax(state.co2, outdoorCo2Ppm + co2PpmPerHour / changes, changes);
    const waterPerHour = (this.#present * personWaterGramsPerHour) / 1000 / airKg;
    state.humidityRatio = relax(
      state.humidityRatio,
      humidityRatio + waterPerHour / changes,
      changes / moistureBuffer,
    );
  }

  #stepHeat(weather: Weather): void {
    const { state } = this;
    const watts =
      this.#heaterWatts() +
      this.#present * personWatts +
      (state.lampsOn ? lampWatts : 0) +
      Math.max(0, weather.sunHeight) * weather.clearness * sunWatts;
    const lossPerKelvin = lossWattsPerKelvin + this.#airChanges() * airWattsPerKelvinPerChange;
    const equilibrium = weather.temperature + watts / lossPerKelvin;
    state.temperature = relax(state.temperature, equilibrium, (lossPerKelvin * 3600) / heatJoulesPerKelvin);
  }

  /** A radiator valve: proportional to what is missing, set back at night and on weekends. */
  #heaterWatts(): number {
    const day = Math.floor(this.#minute / 1440) % 7;
    const hour = (this.#minute % 1440) / 60;
    const target = day < 5 && hour >= 6 && hour < 18 ? 22.6 : 20.6;
    return clamp((target - this.state.temperature) * heaterWattsPerKelvin, 0, heaterWattsMax);
  }
}

/** One minute of `d value / d hour = rate (equilibrium - value)`. */
function relax(value: number, equilibrium: number, ratePerHour: number): number {
  return equilibrium + (value - equilibrium) * Math.exp(-ratePerHour / 60);
}

/** Sky light all day, and a patch of sun on the sensor in the later morning when it is clear. */
function daylight({ sunHeight, clearness }: Weather, minute: number): number {
  if (sunHeight <= 0) return 0;
  const hour = (minute % 1440) / 60;
  const patch = Math.max(0, 1 - ((hour - 10.5) / 0.7) ** 2) * Math.max(0, clearness - 0.6);
  return sunHeight * (0.35 + 0.65 * clearness) * skyLux + patch * sunPatchLux;
}
