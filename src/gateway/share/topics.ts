/** The topics of a group of gateways, and what a topic says of a device. */

import { type GatewayConfig, ownTopics } from '../config/config.ts';
import { anyDevice, filterOfAll } from '../config/share.ts';
import { topicMatches } from '../mqtt/topics.ts';

/** A filter of all devices, the level that names them, and what stands there around the name. */
interface DeviceFilter {
  readonly filter: string;
  readonly level: number;
  readonly before: string;
  readonly after: string;
}

export class ShareTopics {
  /** Where members say that they are there, and where devices that are known are kept. */
  readonly members: string;
  readonly devices: string;
  /** What the broker is asked for: every message of every device goes to one of the group. */
  readonly subscriptions: readonly string[];
  readonly #inputs: readonly DeviceFilter[];
  readonly #output: DeviceFilter;

  /** `config`: that of any device. */
  constructor(config: GatewayConfig) {
    const { group } = config.share!;
    const prefix = `dormouse/share/${group}`;
    this.members = `${prefix}/member/`;
    this.devices = `${prefix}/device/`;
    this.#inputs = [...new Set(config.routes.map(({ filter }) => filter))].map(deviceFilter);
    this.#output = deviceFilter(ownTopics(config).output);
    this.subscriptions = [
      `${this.members}+`,
      `${this.devices}+`,
      this.#output.filter,
      ...this.#inputs.map(({ filter }) => `$share/${group}/${filter}`),
    ];
  }

  /** The device that a message is about; undefined: it is none of a device's. */
  deviceOf(topic: string): string | undefined {
    return named(
      this.#inputs.find(({ filter }) => topicMatches(filter, topic)),
      topic,
    );
  }

  /** The device whose results a topic carries; undefined: it carries none. */
  resultOf(topic: string): string | undefined {
    return topicMatches(this.#output.filter, topic) ? named(this.#output, topic) : undefined;
  }
}

function named(found: DeviceFilter | undefined, topic: string): string | undefined {
  if (found === undefined) return undefined;
  const { before, after } = found;
  const text = topic.split('/')[found.level] ?? '';
  const isOurs =
    text.startsWith(before) && text.endsWith(after) && text.length > before.length + after.length;
  return isOurs ? text.slice(before.length, text.length - after.length) : undefined;
}

/** A level that is the device's name, or has it within, may be anything. */
function deviceFilter(filter: string): DeviceFilter {
  const levels = filter.split('/');
  const level = levels.findIndex((each) => each.includes(anyDevice));
  const [before = '', after = ''] = levels[level]!.split(anyDevice);
  return { filter: filterOfAll(filter), level, before, after };
}
