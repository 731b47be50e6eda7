/** The part of the config that is about several gateways that share the devices of one config. */
import { hostname } from 'node:os';
import { topicMatches } from '../mqtt/topics.ts';
import { describe, type Section } from './checker.ts';
import type { GatewayConfig, ShareConfig } from './config.ts';
import { ownTopics } from './config.ts';

const keys = ['group', 'member', 'heartbeatS', 'leaseS', 'maxDevices'];
/** As gateways' names, of which devices' names are a part. */
export const sharedNamePattern = /^[A-Za-z0-9_-]{1,64}$/;
/** What stands for a device's name in a config that is about all of them. */
export const anyDevice = 'ANY-DEVICE';
const placeholder = '{device}';

/** The topic filter of all devices, from that of `anyDevice`. */
export function filterOfAll(filter: string): string {
  return filter
    .split('/')
    .map((level) => (level.includes(anyDevice) ? '+' : level))
    .join('/');
}

/** Everything in a parsed config that says `{device}` says that device's name; undefined: there is nothing shared. */
export function forDevice(value: unknown, device: string): unknown {
  if (typeof value === 'string') return value.replaceAll(placeholder, device);
  if (Array.isArray(value)) return value.map((entry) => forDevice(entry, device));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, forDevice(entry, device)]));
}

export function readShare(root: Section): ShareConfig | undefined {
  if (!root.has('share')) return undefined;
  const section = root.section('share', keys);
  const heartbeatS = section.number('heartbeatS', { min: 0.1, max: 600 }, 2);
  return {
    group: readName(section, 'group', undefined),
    member: readName(
      section,
      'member',
      hostname()
        .replaceAll(/[^A-Za-z0-9_-]/g, '-')
        .slice(0, 64) || 'gateway',
    ),
    heartbeatMs: 1000 * heartbeatS,
    leaseMs:
      1000 * section.number('leaseS', { min: 3 * heartbeatS, max: 3600 }, Math.max(10, 3 * heartbeatS)),
    maxDevices: section.whole('maxDevices', 1, 10_000, 256),
  };
}

function readName(section: Section, key: string, fallback: string | undefined): string {
  const expected = 'a name (at most 64 letters, digits, _ and -)';
  const name = section.text(key, fallback, expected);
  if (name !== '' && !sharedNamePattern.test(name)) section.add(key, expected, describe(name));
  return name;
}

/** What would let two devices, or two gateways, get in each other's way. For a config of `anyDevice`. */
export function noteShareProblems(root: Section, config: GatewayConfig): void {
  const mustName = (key: string, text: string) => {
    if (!text.includes(anyDevice))
      root.add(key, `${placeholder} in it, since each device has its own`, describe(text));
  };
  mustName('gateway', config.gateway);
  const { output } = ownTopics(config);
  if (config.gateway.includes(anyDevice)) {
    for (const [key, text] of [
      ['topicPrefix', config.topicPrefix],
      ['output.topic', output],
      ['mqtt.clientId', config.mqtt.clientId],
      ['witnessLog.directory', config.witnessLog?.directory ?? anyDevice],
    ] as const)
      mustName(key, text);
  }
  for (const filter of new Set(config.routes.map((route) => route.filter))) {
    for (const own of Object.values(ownTopics(config)))
      if (topicMatches(filterOfAll(filter), own))
        root.add(
          'channels',
          'topics that are not those of results',
          describe(filter.replaceAll(anyDevice, placeholder)),
        );
    if (filter.split('/').filter((level) => level === anyDevice).length === 1) continue;
    root.add(
      'channels',
      `topics with one level that is ${placeholder}`,
      describe(filter.replaceAll(anyDevice, placeholder)),
    );
  }
  if (config.mqtt.version === '3.1.1')
    root.add('mqtt.version', '5, which shared subscriptions need', "'3.1.1'");
  // What lies on the disk of a gateway that is gone, nobody else can work on; and all devices have one model.
  for (const key of ['storage', 'state', 'ledger', 'models'] as const)
    if (config[key] !== undefined) root.add(key, "nothing beside 'share'", 'a section');
}
