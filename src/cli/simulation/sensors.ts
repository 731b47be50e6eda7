/** What cheap sensors make of the air: noise, steps, and the mean of the readings of one minute. */
import type { Random } from './random.ts';
import type { RoomState } from './room.ts';
import { clamp } from './weather.ts';

const pressurePa = 101_325;
/** Molar mass of water over that of dry air. */
const massRatio = 0.62198;
const readingsPerMinute = 2;

/** One kind of sensor: standard deviation of its noise, and the step that it rounds to. */
interface Accuracy {
  readonly noise: number;
  readonly step: number;
}

const temperatureSensor: Accuracy = { noise: 0.02, step: 0.1 };
const humiditySensor: Accuracy = { noise: 0.03, step: 0.1 };
const co2Sensor: Accuracy = { noise: 3, step: 1 };

export class Sensors {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Fills `values`: temperature (Celsius), relative humidity (%), light (lux), CO2 (ppm), humidity ratio (kg/kg). */
  read(state: RoomState, values: Float64Array): void {
    const temperature = this.#mean(state.temperature, temperatureSensor);
    const humidity = this.#mean(relativeHumidity(state.humidityRatio, state.temperature), humiditySensor);
    values[0] = temperature;
    values[1] = clamp(humidity, 0, 100);
    values[2] = Math.max(0, this.#mean(state.light, { noise: 0.004 * state.light, step: 1 }));
    values[3] = this.#mean(state.co2, co2Sensor);
    // Not a sensor of its own: computed from the other two, as such loggers do.
    values[4] = humidityRatio(values[1]!, temperature);
  }

  #mean(value: number, { noise, step }: Accuracy): number {
    let sum = 0;
    for (let i = 0; i < readingsPerMinute; i++) {
      sum += Math.round(this.#random.normal(value, noise) / step);
    }
    return Number(((sum * step) / readingsPerMinute).toFixed(4));
  }
}

/** Saturation vapour pressure over water in pascal, by Magnus's formula (WMO coefficients). */
function saturationPa(temperature: number): number {
  return 611.2 * Math.exp((17.62 * temperature) / (243.12 + temperature));
}

/** Relative humidity in percent of air that holds `humidityRatio` kg/kg at `temperature` Celsius. */
export function relativeHumidity(humidityRatio: number, temperature: number): number {
  const vapourPa = (pressurePa * humidityRatio) / (massRatio + humidityRatio);
  return (100 * vapourPa) / saturationPa(temperature);
}

/** The inverse: kg/kg of air of `humidity` percent. */
export function humidityRatio(humidity: number, temperature: number): number {
  const vapourPa = (humidity / 100) * saturationPa(temperature);
  return (massRatio * vapourPa) / (pressurePa - vapourPa);
}
