/**
 * The Things Stack v3: uplinks on `v3/<application>@<tenant>/devices/<device>/up`, QoS 0 only. Outside of
 * `decoded_payload`, fields that are 0, false or empty are left out.
 */
import { type BindRequest, deviceOf, type Preset, pathOf, topicOf } from './preset.ts';
import type { PathRule } from './rule.ts';

/** One uplink, whichever way it comes: device, session and frame counter. */
const identity = [
  ['end_device_ids', 'dev_eui'],
  ['uplink_message', 'session_key_id'],
  ['uplink_message', 'f_cnt'],
] as const;

/** `value` is a path in `decoded_payload`, or from the root: `$.uplink_message.rx_metadata[0].rssi`. */
export const thingsStack: Preset = {
  keys: [],
  device: 'the device id, or <application>@<tenant>/<device id>',
  bind(request) {
    return [{ filter: filterOf(request), rule: ruleOf(request), identity }];
  },
};

function filterOf(request: BindRequest): string {
  if (request.device === undefined) return topicOf(request);
  const [device = '', application = '+'] = deviceOf(request, 'a device id').split('/').reverse();
  return `v3/${application}/devices/${device}/up`;
}

function ruleOf(request: BindRequest): PathRule {
  const path = pathOf(request, 'temperature');
  const text = request.value ?? request.channel;
  if (text.startsWith('$')) return { kind: 'path', path, text, zeroWhenAbsent: true };
  return { kind: 'path', path: ['uplink_message', 'decoded_payload', ...path], text };
}
