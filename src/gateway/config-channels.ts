/** The part of the config that is about channels, checked against the model's. */
import type { Channel, SpikeSettings } from '../engine/model.ts';
import { didYouMean } from '../text/nearest.ts';
import { describe, type Section } from './checker.ts';
import type { Route, ValueRule } from './config.ts';
import { readJsonPath } from './config-sections.ts';
import { topicFilterProblem } from './topics.ts';

interface Binding {
  readonly filter: string;
  readonly rule: ValueRule;
}

/**
 * One route per topic filter. Every channel of the model needs a topic: its own under `channels`, or that of
 * `source`, whose payloads are objects with the channels as keys.
 */
export function readRoutes(root: Section, channels: readonly Channel[]): Route[] {
  const source = root.has('source') ? readSource(root.section('source', ['topic', 'object'])) : undefined;
  const section = root.section('channels');
  noteUnknownChannels(section, channels);
  const routes = new Map<string, { channel: number; name: string; rule: ValueRule }[]>();
  for (const [channel, { name }] of channels.entries()) {
    const own = section.has(name) ? readBinding(section.section(name, ['topic', 'value'])) : undefined;
    const { filter, rule } = own ?? source ?? missing(section, name);
    const list = routes.get(filter) ?? [];
    routes.set(filter, list);
    list.push({ channel, name, rule });
  }
  return [...routes].map(([filter, list]) => ({ filter, channels: list }));
}

function missing(section: Section, name: string): Binding {
  section.add(name, "a topic and a value for this channel of the model, or a 'source' for all", 'nothing');
  return { filter: '', rule: { kind: 'plain' } };
}

function readSource(section: Section): Binding {
  if (section.value('object') !== true) section.add('object', 'true', describe(section.value('object')));
  return { filter: readFilter(section), rule: { kind: 'key' } };
}

function readBinding(section: Section): Binding {
  return { filter: readFilter(section), rule: readValueRule(section) };
}

function readValueRule(section: Section): ValueRule {
  const expected = "'plain' or a JSON path such as $.temperature";
  const text = section.text('value', undefined, expected);
  if (text === 'plain' || text === '') return { kind: 'plain' };
  if (text.startsWith('$')) return { kind: 'path', path: readJsonPath(section, 'value'), text };
  section.add('value', expected, describe(text));
  return { kind: 'plain' };
}

function readFilter(section: Section): string {
  const filter = section.text('topic', undefined, 'a topic filter');
  const problem = filter === '' ? undefined : topicFilterProblem(filter);
  if (problem !== undefined)
    section.add('topic', 'an MQTT topic filter', `${describe(filter)}, with ${problem}`);
  return filter;
}

const spikeKeys = ['delta', 'heartbeat', 'refractory'] as const;

/** The model's spike settings with the overrides of `spikes`, per channel. */
export function readSpikes(
  section: Section,
  channels: readonly Channel[],
  model: SpikeSettings,
): SpikeSettings {
  noteUnknownChannels(section, channels);
  const settings = {
    delta: [...model.delta],
    heartbeat: [...model.heartbeat],
    refractory: [...model.refractory],
  };
  for (const [index, { name }] of channels.entries()) {
    if (!section.has(name)) continue;
    const own = section.section(name, spikeKeys);
    settings.delta[index] = own.number('delta', { min: 0, max: Number.MAX_VALUE }, model.delta[index]);
    settings.heartbeat[index] = own.whole('heartbeat', 1, 1_000_000_000, model.heartbeat[index]);
    settings.refractory[index] = own.whole('refractory', 0, 1_000_000_000, model.refractory[index]);
  }
  return settings;
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
