/** ESPHome: `<device>/<component>/<object id>/state` with the value as plain text. */
import { describe } from '../config/checker.ts';
import { type BindRequest, deviceOf, type Preset, topicOf } from './preset.ts';

/** `value` is an object id of a sensor, or `<component>/<object id>`, such as `binary_sensor/motion`. */
export const esphome: Preset = {
  keys: [],
  device: "the node's topic prefix, mostly its name",
  bind(request) {
    if (request.device === undefined) return [{ filter: topicOf(request), rule: { kind: 'plain' } }];
    const device = deviceOf(request, 'a device');
    return [
      { filter: `${device}/${objectOf(request)}/state`, rule: { kind: 'plain' } },
      { filter: `${device}/status`, rule: { kind: 'availability' }, isTimeless: true },
    ];
  },
};

function objectOf(request: BindRequest): string {
  const text = request.value ?? request.channel;
  if (/^[^/+#\0]+$/.test(text)) return `sensor/${text}`;
  if (/^[a-z_]+\/[^/+#\0]+$/.test(text)) return text;
  const key = request.value === undefined ? 'device' : 'value';
  request.section.add(key, 'an object id, or <component>/<object id>', describe(text));
  return 'sensor/none';
}
