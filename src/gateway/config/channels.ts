/** The part of the config that is about channels, checked against the model's. */
import type { Channel, SpikeSettings } from '../../engine/model.ts';
import { didYouMean } from '../../text/nearest.ts';
import type { Binding, BindRequest, Preset } from '../payloads/preset.ts';
import { type PresetName, presetNames, presets } from '../payloads/presets.ts';
import type { ChannelSource, Route, ValueRule } from '../payloads/rule.ts';
import { type Conversion, conversionBetween, isKnownUnit } from '../payloads/units.ts';
import { describe, type Section } from './checker.ts';

const commonKeys = ['preset', 'topic', 'device'];
const channelKeys = [...commonKeys, 'value', 'unit', 'scale', 'offset', 'states'];
const sourceKeys = [...commonKeys, 'object'];
const statesMax = 256;

/** Routes while they are put together. */
interface OpenRoute extends Route {
  readonly channels: ChannelSource[];
}

export interface RouteOptions {
  /** Of the gateway's own topics. */
  readonly topicPrefix: string;
  /** Payloads tell their time, so those that never do are left out. */
  readonly hasTimestamp?: boolean;
}

/**
 * One route per topic filter. Every channel of the model needs an entry of its own under `channels`, or `source`, whose
 * payloads call the values as the model does.
 */
export function readRoutes(root: Section, channels: readonly Channel[], options: RouteOptions): Route[] {
  const source = root.has('source') ? root.section('source') : undefined;
  if (source !== undefined) noteUnknownKeys(source, sourceKeys);
  const section = root.section('channels');
  noteUnknownChannels(section, channels);
  const routes = new OpenRoutes(options);
  let isSourceWrong = false;
  for (const [index, channel] of channels.entries()) {
    if (section.has(channel.name)) readChannel(section.section(channel.name), index, channel, routes);
    else if (source === undefined) noteMissing(section, channel.name);
    else if (!isSourceWrong) isSourceWrong = !readFromSource(source, index, channel, routes);
  }
  return routes.list;
}

function noteMissing(section: Section, name: string): void {
  section.add(name, "a topic and a value for this channel of the model, or a 'source' for all", 'nothing');
}

function readChannel(section: Section, index: number, channel: Channel, routes: OpenRoutes): void {
  noteUnknownKeys(section, channelKeys);
  const value = readValue(section);
  const request = {
    ...requestOf(section, channel, routes.options),
    ...(value === undefined ? {} : { value }),
  };
  const source = { channel: index, name: channel.name, ...readMeaning(section, channel) };
  routes.add(section, bind(section, request), source);
}

/** False after noting a problem, which the next channel would have too. */
function readFromSource(section: Section, index: number, channel: Channel, routes: OpenRoutes): boolean {
  const { length } = section.problems.list;
  if (section.has('object') && section.value('object') !== true)
    section.add('object', 'true', describe(section.value('object')));
  const bindings = bind(section, requestOf(section, channel, routes.options));
  routes.add(section, bindings, { channel: index, name: channel.name });
  return section.problems.list.length === length;
}

function requestOf(section: Section, { name, unit }: Channel, { topicPrefix }: RouteOptions): BindRequest {
  const topic = section.optionalText('topic', 'a topic filter');
  const device = section.optionalText('device', "a device's name");
  return {
    section,
    topicPrefix,
    channel: name,
    unit,
    ...(topic === undefined ? {} : { topic }),
    ...(device === undefined ? {} : { device }),
  };
}

/** `value` may be a number in the document: a column. */
function readValue(section: Section): string | undefined {
  const value = section.value('value');
  return typeof value === 'number'
    ? String(value)
    : section.optionalText('value', 'text: where the value is');
}

function bind(section: Section, request: BindRequest): readonly Binding[] {
  const { length } = section.problems.list;
  const name = section.choice<PresetName>('preset', presetNames, 'json');
  if (section.problems.list.length > length) return [];
  const preset: Preset = presets[name];
  if (request.device !== undefined && preset.device === undefined) {
    section.add('device', `a topic: ${name} has no devices`, describe(request.device));
    return [];
  }
  if (request.device !== undefined && request.topic !== undefined) {
    section.add('topic', "either 'topic' or 'device'", 'both');
    return [];
  }
  if (request.device === undefined && request.topic === undefined && preset.device !== undefined) {
    section.add('device', `a device (${preset.device}), or a topic`, 'nothing');
    return [];
  }
  return preset.bind(request);
}

/** Routes while they are put together, by their filters. */
class OpenRoutes {
  readonly options: RouteOptions;
  readonly #routes = new Map<string, OpenRoute>();

  constructor(options: RouteOptions) {
    this.options = options;
  }

  get list(): Route[] {
    return [...this.#routes.values()];
  }

  /** Adds a channel where its values come from; payloads of one topic have one encoding. */
  add(section: Section, bindings: readonly Binding[], source: Omit<ChannelSource, 'rule'>): void {
    for (const { filter, rule, identity, isTimeless } of bindings) {
      if (this.options.hasTimestamp && isTimeless) continue;
      const route = this.#open(filter, identity);
      const other = route.channels.find((each) => !canShareTopic(each.rule, rule));
      if (other !== undefined)
        section.add('preset', `the encoding that ${other.name} has on ${describe(filter)} too`, 'another');
      route.channels.push({ ...source, rule });
    }
  }

  #open(filter: string, identity: Binding['identity']): OpenRoute {
    const route = this.#routes.get(filter) ?? {
      filter,
      channels: [],
      ...(identity === undefined ? {} : { identity }),
    };
    this.#routes.set(filter, route);
    return route;
  }
}

function canShareTopic(one: ValueRule, other: ValueRule): boolean {
  if (one.kind === 'path' && other.kind === 'path') return one.encoding === other.encoding;
  return (one.kind === 'sparkplug') === (other.kind === 'sparkplug');
}

/** What a value means: its unit, scale and offset, and words. */
function readMeaning(section: Section, { unit }: Channel): Pick<ChannelSource, 'conversion' | 'states'> {
  const conversion = readConversion(section, unit);
  const states = section.has('states') ? readStates(section.section('states')) : undefined;
  return {
    ...(conversion === undefined ? {} : { conversion }),
    ...(states === undefined ? {} : { states }),
  };
}

function readConversion(section: Section, to: string): Conversion | undefined {
  const range = { min: -1e12, max: 1e12 };
  const own = { scale: section.number('scale', range, 1), offset: section.number('offset', range, 0) };
  const hasOwn = section.has('scale') || section.has('offset');
  const from = section.optionalText('unit', 'the unit of the payload');
  if (from === undefined) return hasOwn ? own : undefined;
  const units = conversionBetween(from, to);
  if (units === undefined) noteUnit(section, from, to);
  else if (!hasOwn) return units.scale === 1 && units.offset === 0 ? undefined : units;
  return units && { scale: own.scale * units.scale, offset: own.offset * units.scale + units.offset };
}

function noteUnit(section: Section, from: string, to: string): void {
  const what = `a unit that can be converted to the model's, ${describe(to)}`;
  section.add('unit', what, `${isKnownUnit(from) ? '' : 'the unknown unit '}${describe(from)}`);
}

function readStates(section: Section): ReadonlyMap<string, number> {
  const names = Object.keys(section.fields);
  if (names.length > statesMax)
    section.problems.add(section.path, `at most ${statesMax} words`, String(names.length));
  const range = { min: -Number.MAX_VALUE, max: Number.MAX_VALUE };
  return new Map(names.slice(0, statesMax).map((name) => [name.toLowerCase(), section.number(name, range)]));
}

/** Keys beyond those of all depend on the preset. */
function noteUnknownKeys(section: Section, common: readonly string[]): void {
  const name = section.value('preset');
  const isKnown = typeof name === 'string' && Object.hasOwn(presets, name);
  const preset: Preset | undefined = isKnown ? presets[name as PresetName] : undefined;
  section.onlyKeys([...common, ...(preset?.keys ?? [])]);
}

const spikeKeys = ['delta', 'heartbeat', 'firstHeartbeat', 'refractory'] as const;

/** The model's spike settings with the overrides of `spikes`, per channel. */
export function readSpikes(
  section: Section,
  channels: readonly Channel[],
  model: SpikeSettings,
): SpikeSettings {
  noteUnknownChannels(section, channels);
  const settings = {
    ...model,
    delta: [...model.delta],
    heartbeat: [...model.heartbeat],
    refractory: [...model.refractory],
  };
  const first = [...(model.firstHeartbeat ?? settings.heartbeat)];
  for (const [index, { name }] of channels.entries()) {
    if (!section.has(name)) continue;
    const own = section.section(name, spikeKeys);
    settings.delta[index] = own.number('delta', { min: 0, max: Number.MAX_VALUE }, model.delta[index]);
    settings.heartbeat[index] = own.whole('heartbeat', 1, 1_000_000_000, model.heartbeat[index]);
    if (own.has('firstHeartbeat')) first[index] = own.whole('firstHeartbeat', 1, 1_000_000_000);
    settings.refractory[index] = own.whole('refractory', 0, 1_000_000_000, model.refractory[index]);
  }
  const isSooner = first.some((intervals, index) => intervals < settings.heartbeat[index]!);
  return isSooner ? { ...settings, firstHeartbeat: first } : settings;
}

function noteUnknownChannels(section: Section, channels: readonly Channel[]): void {
  const names = channels.map(({ name }) => name);
  for (const key of Object.keys(section.fields)) {
    if (names.includes(key)) continue;
    const near = didYouMean(key, names);
    section.add(
      key,
      `a channel of the model (${names.join(', ')})`,
      `the unknown channel ${describe(key)}${near}`,
    );
  }
}
