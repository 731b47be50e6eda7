/** All payload formats by the names that the config uses. */
import { binary } from './binary.ts';
import { cbor } from './cbor.ts';
import { csv } from './csv.ts';
import { esphome } from './esphome.ts';
import { json } from './json.ts';
import type { Preset } from './preset.ts';
import { shelly } from './shelly.ts';
import { sparkplug } from './sparkplug.ts';
import { tasmota } from './tasmota.ts';
import { thingsStack } from './things-stack.ts';
import { zigbee2mqtt } from './zigbee2mqtt.ts';

export const presets = {
  json,
  zigbee2mqtt,
  tasmota,
  esphome,
  shelly,
  sparkplug,
  'things-stack': thingsStack,
  csv,
  binary,
  cbor,
} as const satisfies Record<string, Preset>;

export type PresetName = keyof typeof presets;
export const presetNames = Object.keys(presets) as PresetName[];
