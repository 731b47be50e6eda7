/** The part of the config that is about recording: what is recorded, for which task, and where the labels come from. */
import type { Channel, ModelMeaning } from '../../engine/model.ts';
import type { RecordingTask } from '../../recording/description.ts';
import { type JsonPath, parseValuePath } from '../json-path.ts';
import { topicFilterProblem } from '../mqtt/topics.ts';
import { describe, type Section } from './checker.ts';

/** Where the label of each row comes from. */
export interface LabelConfig {
  readonly filter: string;
  /** Absent: the whole payload is the label, as text. */
  readonly path?: JsonPath;
  /** Each message moves on to the next class, whatever it says: a push button. */
  readonly isButton: boolean;
}

export interface RecordConfig {
  readonly task: RecordingTask;
  /** classify: their names; of anomaly `0` and `1`; else empty. */
  readonly classes: readonly string[];
  /** forecast: ticks to predict. */
  readonly horizon?: number;
  readonly label?: LabelConfig;
}

const keys = ['task', 'horizon', 'classes', 'label', 'channels'];
const labelKeys = ['topic', 'value', 'button'];
const classesMax = 127;

/** The section `record`; absent: an anomaly recording without labels. */
export function readRecord(root: Section): RecordConfig {
  const section = root.section('record', keys);
  const task = section.choice<RecordingTask>(
    'task',
    ['classify', 'anomaly', 'forecast'],
    section.has('classes') ? 'classify' : 'anomaly',
  );
  const label = section.has('label') ? readLabel(section.section('label', labelKeys)) : undefined;
  if (task === 'classify' && label === undefined)
    section.add('label', 'a topic that tells the class, since the task is classify', 'nothing');
  if (task === 'forecast' && label !== undefined)
    section.add('label', 'nothing, since a forecast has no labels', 'one');
  return {
    task,
    classes: readClasses(section, task),
    ...(task === 'forecast' ? { horizon: section.whole('horizon', 1, 4096, 1) } : {}),
    ...(label === undefined ? {} : { label }),
  };
}

function readClasses(section: Section, task: RecordingTask): readonly string[] {
  if (task !== 'classify') {
    if (section.has('classes'))
      section.add('classes', `nothing, since the task is ${task}`, describe(section.value('classes')));
    return task === 'anomaly' ? ['0', '1'] : [];
  }
  const given = section.value('classes');
  const names = Array.isArray(given) ? given.map((name) => (isWord(name) ? String(name) : '')) : [];
  const isGood = names.every((name) => name !== '') && new Set(names.map(folded)).size === names.length;
  if (isGood && names.length >= 2 && names.length <= classesMax) return names;
  section.add('classes', `a list of 2 to ${classesMax} different names`, describe(given));
  return [];
}

/** YAML reads some names as numbers or switches. */
function isWord(name: unknown): boolean {
  return typeof name === 'string' || typeof name === 'number' || typeof name === 'boolean';
}

export const folded = (text: string) => text.trim().toLowerCase();

function readLabel(section: Section): LabelConfig {
  const filter = section.text('topic', undefined, 'a topic');
  const problem = filter === '' ? undefined : topicFilterProblem(filter);
  if (problem !== undefined)
    section.add('topic', 'an MQTT topic filter', `${describe(filter)}, with ${problem}`);
  const value = section.optionalText('value', 'a path');
  const path = value === undefined ? undefined : parseValuePath(value);
  if (value !== undefined && path === undefined)
    section.add('value', "a path such as $.a.b, $['a b'] or $.a[0]", describe(value));
  return { filter, isButton: section.flag('button', false), ...(path === undefined ? {} : { path }) };
}

/** What stands for the model's meaning where there is no model yet; every problem is noted. */
export function meaningToRecord(
  root: Section,
  model: ModelMeaning | undefined,
): Pick<ModelMeaning, 'channels' | 'intervalMs' | 'spikes'> {
  const named = root.section('record').has('channels') ? namedChannels(root) : undefined;
  if (named === undefined && model !== undefined) return model;
  const channels = named ?? listedChannels(root);
  const zeros = channels.map(() => 0);
  const frame = root.section('frame');
  if (frame.value('mode') === 'grid' && !frame.has('intervalMs') && model === undefined)
    frame.add('intervalMs', 'the milliseconds between ticks, since there is no model that says', 'nothing');
  return {
    channels,
    intervalMs: model?.intervalMs ?? 1000,
    spikes: { delta: zeros, heartbeat: zeros.map(() => 1), refractory: zeros },
  };
}

/** `record.channels`: names and units. */
function namedChannels(root: Section): Channel[] {
  const section = root.section('record').section('channels');
  return Object.keys(section.fields).map((name) =>
    channelOf(name, section.optionalText(name, "the unit's text")),
  );
}

function listedChannels(root: Section): Channel[] {
  const section = root.section('channels');
  const names = Object.keys(section.fields);
  if (names.length === 0)
    section.add('', 'the channels to be recorded, here or under record.channels, or a model', 'nothing');
  return names.map((name) =>
    channelOf(name, section.section(name).optionalText('unit', 'the unit of the payload')),
  );
}

function channelOf(name: string, unit = ''): Channel {
  return { name, unit, center: 0, scale: 1 };
}
