/** What is outside the window: temperature, moisture, sun and clouds of a central European winter. */
import { minutesPerDay } from './people.ts';
import { type Random, Wandering } from './random.ts';

const latitude = (50 * Math.PI) / 180;
/** The sun's declination in the middle of February. */
const declination = (-13 * Math.PI) / 180;

export interface Weather {
  /** Celsius. */
  temperature: number;
  /** Kilograms of water per kilogram of dry air. */
  humidityRatio: number;
  /** Sine of the sun's height over the horizon; at most 0 at night. */
  sunHeight: number;
  /** 0 overcast to 1 clear. */
  clearness: number;
}

export class Outside {
  readonly weather: Weather = { temperature: 0, humidityRatio: 0, sunHeight: 0, clearness: 0 };
  readonly #temperature: Wandering;
  readonly #moisture: Wandering;
  readonly #clearness: Wandering;

  constructor(random: Random) {
    this.#temperature = new Wandering(random.fork(), 4, 3, minutesPerDay);
    this.#moisture = new Wandering(random.fork(), 0.0038, 0.0006, minutesPerDay / 4);
    this.#clearness = new Wandering(random.fork(), 0.5, 0.35, 45);
  }

  /** The weather one minute later, at `minute` since a midnight. */
  step(minute: number): Weather {
    const { weather } = this;
    const day = (minute % minutesPerDay) / minutesPerDay;
    weather.sunHeight = sunHeight(day);
    weather.clearness = clamp(this.#clearness.step(), 0, 1);
    // Warmest two hours after noon.
    weather.temperature = this.#temperature.step() + 3 * Math.cos(2 * Math.PI * (day - 14 / 24));
    weather.humidityRatio = clamp(this.#moisture.step(), 0.0025, 0.006);
    return weather;
  }
}

/** `day`: 0 midnight, 0.5 noon. */
function sunHeight(day: number): number {
  const hourAngle = 2 * Math.PI * (day - 0.5);
  return (
    Math.sin(latitude) * Math.sin(declination) +
    Math.cos(latitude) * Math.cos(declination) * Math.cos(hourAngle)
  );
}

export function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}
