/** What a config may say about the meter. */

export const meterNames = ['auto', 'hwmon', 'pmic', 'plug', 'rapl', 'model'] as const;
type MeterName = (typeof meterNames)[number];

export const plugKinds = ['tasmota', 'shelly', 'zigbee2mqtt'] as const;
export type PlugKind = (typeof plugKinds)[number];

export interface PlugSettings {
  readonly kind: PlugKind;
  /** Where it tells its power, without wildcards. */
  readonly topic: string;
}

export interface MeterSettings {
  readonly meter: MeterName;
  /** Device of the power chip, such as `1-0040`; default: the first. */
  readonly chip?: string;
  readonly plug?: PlugSettings;
}
