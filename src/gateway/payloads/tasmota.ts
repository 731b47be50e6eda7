/**
 * Tasmota: `tele/<device>/SENSOR` each TelePeriod; the same inside `StatusSNS` on `stat/<device>/STATUS8` or `10`.
 * `Time` is local time without a zone, so it is no timestamp.
 */
import type { JsonPath } from '../json-path.ts';
import { type Binding, type BindRequest, deviceOf, type Preset, pathOf, topicOf } from './preset.ts';
import type { PathRule } from './rule.ts';
import { conversionBetween } from './units.ts';

/** `value` is a path such as `ENERGY.Power`, `BME280.Temperature` or `POWER1`. */
export const tasmota: Preset = {
  keys: [],
  device: "the topic that Tasmota's MQTT settings name",
  bind(request) {
    const rule = ruleOf(request);
    if (request.device === undefined) return [{ filter: topicOf(request), rule }];
    const device = deviceOf(request, 'a device');
    return [
      ...filtersOf(device, rule),
      { filter: `tele/${device}/LWT`, rule: { kind: 'availability' }, isTimeless: true },
    ];
  },
};

/** Switches are told when they change and with the state, sensors on a topic of their own. */
function filtersOf(device: string, rule: PathRule): Binding[] {
  const isState = rule.path.length === 1 || rule.path[0] === 'Wifi';
  if (!isState) return [{ filter: `tele/${device}/SENSOR`, rule }];
  return [
    { filter: `tele/${device}/STATE`, rule },
    { filter: `stat/${device}/RESULT`, rule: { ...rule, partial: true } },
  ];
}

function ruleOf(request: BindRequest): PathRule {
  const path = pathOf(request, 'ENERGY.Power');
  const text = request.value ?? request.channel;
  const unit = request.section.has('unit') ? undefined : unitToldFor(path, request.unit);
  return { kind: 'path', path, text, wrappers: ['StatusSNS'], ...(unit === undefined ? {} : { unit }) };
}

/** Tasmota says which units its user has chosen, beside the readings. */
const toldUnits: readonly (readonly [readings: RegExp, key: string, typical: string])[] = [
  [/^(Temperature|DewPoint)$/, 'TempUnit', 'C'],
  [/^(Pressure|SeaPressure)$/, 'PressureUnit', 'hPa'],
];

function unitToldFor(path: JsonPath, to: string): PathRule['unit'] {
  const reading = String(path.at(-1));
  const told = toldUnits.find(([readings]) => readings.test(reading));
  if (told === undefined || conversionBetween(told[2], to) === undefined) return undefined;
  return { path: [told[1]], to };
}
