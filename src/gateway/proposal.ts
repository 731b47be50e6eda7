/** From what was heard to a config that `validate` accepts; only the model is missing. */
import { stringify } from 'yaml';
import { readRoutes } from './config/channels.ts';
import { Problems, Section } from './config/checker.ts';
import type { ReadingSource } from './payloads/readings.ts';
import type { HeardValue } from './sniffer.ts';

/** A channel as the config could have it. */
export interface ProposedChannel {
  readonly name: string;
  readonly value: HeardValue;
}

/** Values that say how a device is, and not what it measures. */
const aboutTheDevice =
  /(^|[^a-z])(linkquality|last_seen|rssi|snr|uptime|battery|heap|ts|minute_ts|id|update|power_outage_count|time|timestamp|sequence|seq|factor)([^a-z]|$)/i;
const nameMax = 64;

/** Channels worth proposing, each with a name of its own; at most `max`. */
export function proposeChannels(values: readonly HeardValue[], max = 60): ProposedChannel[] {
  const names = new Set<string>();
  const usable = values.filter(
    (value) =>
      !aboutTheDevice.test(String(value.source.value)) &&
      !isToldElsewhere(value, values) &&
      isAccepted(value.source),
  );
  return usable.slice(0, max).map((value) => ({ name: uniqueName(value.name, names), value }));
}

/** Whether a config may have it, and a terminal show it. */
function isAccepted(source: ReadingSource): boolean {
  if (Object.values(source).some((text) => printable(String(text)) !== String(text))) return false;
  const problems = new Problems();
  const channels = [{ name: 'a', unit: '', center: 0, scale: 1 }];
  readRoutes(new Section(problems, [], { channels: { a: source } }), channels, {
    topicPrefix: 'dormouse',
  });
  return problems.list.length === 0;
}

/** A Shelly tells the same on its status topics, if they are switched on, as in its notifications. */
function isToldElsewhere({ source }: HeardValue, values: readonly HeardValue[]): boolean {
  const match = source.preset === 'shelly' ? /^(.*)\/status\/([^/]+)$/.exec(source.topic ?? '') : null;
  if (match === null) return false;
  const [, device, component] = match;
  return values.some(
    ({ source: other }) => other.device === device && other.value === `${component}.${source.value}`,
  );
}

/** Letters, digits and _ in lower case, beginning with a letter, different from the others. */
function uniqueName(text: string, taken: Set<string>): string {
  const plain = text
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}]+/gu, '_')
    .replaceAll(/^_+|_+$/g, '');
  const stem = /^\p{L}/u.test(plain) ? plain.slice(0, nameMax) : `c_${plain.slice(0, nameMax)}`;
  let name = stem;
  for (let count = 2; taken.has(name); count++) name = `${stem}_${count}`;
  taken.add(name);
  return name;
}

export interface ProposalOptions {
  /** The `mqtt` section. */
  readonly mqtt: Readonly<Record<string, unknown>>;
  readonly seconds: number;
}

/** The config as YAML, with what was heard of each channel beside it. */
export function proposeConfig(
  channels: readonly ProposedChannel[],
  { mqtt, seconds }: ProposalOptions,
): string {
  const topics = new Set(channels.map(({ value: { source } }) => source.device ?? source.topic));
  return [
    `# Proposed by dormouse sniff after ${seconds} s. Keep the channels that your model should look at.`,
    'gateway: gateway',
    'model: model.safetensors # train it on these channels, by these names',
    `mqtt: ${flow(mqtt)}`,
    'channels:',
    ...channels.map(({ name, value }) => `  ${name}: ${entryOf(value)} # ${remark(value, seconds)}`),
    ...(topics.size > 1
      ? ['frame: { mode: grid } # a tick each interval of the model, since several devices speak']
      : []),
    '',
  ].join('\n');
}

function entryOf({ source, states }: HeardValue): string {
  const entry: ReadingSource & { states?: object } = { ...source };
  if (states !== undefined) entry.states = Object.fromEntries(states);
  return flow(entry);
}

function flow(value: object): string {
  return stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim();
}

/** What was heard of a value, in a few words. */
export function remark({ unit, updates, min, max }: HeardValue, seconds: number): string {
  const range = Number.isNaN(min)
    ? 'no number yet'
    : min === max
      ? `${short(min)}`
      : `${short(min)} to ${short(max)}`;
  return printable(`${range}${unit === undefined ? '' : ` ${unit}`}, ${perMinute(updates, seconds)}`);
}

export function perMinute(count: number, seconds: number): string {
  return `${short((60 * count) / seconds)} a minute`;
}

export function short(value: number): string {
  return String(Number(value.toPrecision(5)));
}

/** Foreign text without what would move a terminal's cursor, end a line or turn the direction of writing. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, '?');
}
