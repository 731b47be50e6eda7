/**
 * Shelly, second generation and later. `<device>/events/rpc` brings NotifyStatus with what has changed, laid over what
 * was known before, and NotifyFullStatus; a Shelly.GetStatus on `<device>/rpc` is answered with everything; `<device>/status/<component>` brings one component whole, if switched on.
 */
import { describe } from '../config/checker.ts';
import { type BindRequest, deviceOf, type Preset, pathOf, topicOf } from './preset.ts';
import type { PathRule } from './rule.ts';

const example = 'switch:0.apower';

/** `value` is `<component>.<attribute>`, such as `switch:0.apower` or `temperature:100.tC`. */
export const shelly: Preset = {
  keys: [],
  device: 'the MQTT prefix, mostly the device id',
  bind(request) {
    if (request.device === undefined) {
      const filter = topicOf(request);
      return [{ filter, rule: ruleOf(request, filter) }];
    }
    const device = deviceOf(request, 'a device');
    const rule = ruleOf(request, 'events/rpc');
    return [
      { filter: `${device}/events/rpc`, rule },
      { filter: `${replySource(request.topicPrefix, device)}/rpc`, rule, isTimeless: true },
      { filter: onlineTopic(device), rule: { kind: 'availability' }, isTimeless: true },
    ];
  },
};

/** Who asks, for the device; its reply comes on this and `/rpc`. */
export function replySource(topicPrefix: string, device: string): string {
  return `${topicPrefix}/shelly/${device}`;
}

/** The device whose replies a filter takes; undefined for another filter. */
export function repliesOf(topicPrefix: string, filter: string): string | undefined {
  const start = replySource(topicPrefix, '');
  return filter.startsWith(start) && filter.endsWith('/rpc')
    ? filter.slice(start.length, -'/rpc'.length)
    : undefined;
}

export function onlineTopic(device: string): string {
  return `${device}/online`;
}

function ruleOf(request: BindRequest, topic: string): PathRule {
  const path = pathOf(request, example);
  const text = request.value ?? request.channel;
  const component = /\/status\/([^/]+)$/.exec(topic)?.[1];
  if (component !== undefined) {
    const own = path[0] === component ? path.slice(1) : path;
    return { kind: 'path', path: own, text };
  }
  if (path.length < 2 && path.length > 0)
    request.section.add('value', `a path such as ${example}`, describe(text));
  return { kind: 'path', path, text, wrappers: ['params', 'result'], partial: true };
}
