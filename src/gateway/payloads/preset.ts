/** What a payload format has to say to the config: its topics, and how its values are named. */
import { describe, type Section } from '../config/checker.ts';
import { type JsonPath, parseValuePath } from '../json-path.ts';
import { topicFilterProblem } from '../mqtt/topics.ts';
import type { ValueRule } from './rule.ts';

/** A channel that asks for its value. */
export interface BindRequest {
  /** The channel's name, which is the value's where none is given. */
  readonly channel: string;
  /** The model's unit of the channel. */
  readonly unit: string;
  readonly topic?: string;
  readonly device?: string;
  readonly value?: string;
  /** Topics that begin so are the gateway's own: for replies. */
  readonly topicPrefix: string;
  /** Where problems are noted, and where a format's own keys are. */
  readonly section: Section;
}

/** A topic filter and what its payloads say of the channel. */
export interface Binding {
  readonly filter: string;
  readonly rule: ValueRule;
  readonly identity?: readonly JsonPath[];
  /** Its payloads never tell their time, so it is left out where those of the others do. */
  readonly isTimeless?: true;
}

export interface Preset {
  /** Keys that this format has beside those of all. */
  readonly keys: readonly string[];
  /** What `device` is called; absent: topics must be given. */
  readonly device?: string;
  /** Where the value is; problems are noted, and whatever is returned then is not used. */
  bind(request: BindRequest): readonly Binding[];
}

/** The topic filter of a request, after noting what is wrong with it. */
export function topicOf(request: BindRequest): string {
  const filter = request.section.text('topic', undefined, 'a topic filter');
  const problem = filter === '' ? undefined : topicFilterProblem(filter);
  if (problem !== undefined)
    request.section.add('topic', 'an MQTT topic filter', `${describe(filter)}, with ${problem}`);
  return filter;
}

/** The path of a request's value, [] after noting a problem. */
export function pathOf(request: BindRequest, example: string): JsonPath {
  const text = request.value ?? request.channel;
  const path = parseValuePath(text);
  if (path !== undefined) return path;
  // A channel's name may be anything, and then it is a key.
  if (request.value === undefined) return [text];
  request.section.add('value', `a path such as ${example}`, describe(text));
  return [];
}

/** A device's name as it stands in topics, '' after noting a problem. */
export function deviceOf(request: BindRequest, what: string): string {
  const device = request.device ?? '';
  const problem = /[+#\0]/.test(device) || device === '' ? describe(device) : undefined;
  if (problem !== undefined) request.section.add('device', `${what}, without wildcards`, problem);
  return device;
}
