/** Zigbee2MQTT: `<base>/<friendly name>` with a JSON object, and what `<base>/bridge/devices` says of its keys. */
import { describe } from '../config/checker.ts';
import { type BindRequest, deviceOf, type Preset, pathOf, topicOf } from './preset.ts';
import type { PathRule } from './rule.ts';

const defaultBase = 'zigbee2mqtt';

/** `value` is a key, or a path such as `color.x`. */
export const zigbee2mqtt: Preset = {
  keys: ['base'],
  device: 'the friendly name',
  bind(request) {
    const path = pathOf(request, 'temperature');
    const rule: PathRule = { kind: 'path', path, text: request.value ?? request.channel };
    if (request.device === undefined) {
      const filter = topicOf(request);
      return [{ filter, rule: { ...rule, ...definitionOf(filter) } }];
    }
    const [base, device] = [baseOf(request), deviceOf(request, 'a friendly name')];
    const filter = `${base}/${device}`;
    return [
      { filter, rule: { ...rule, definition: { topic: `${base}/bridge/devices`, device } } },
      { filter: `${filter}/availability`, rule: { kind: 'availability' }, isTimeless: true },
    ];
  },
};

/** A topic that names one device names its definition too, if the base topic is a single level. */
function definitionOf(filter: string): Pick<PathRule, 'definition'> {
  const at = filter.indexOf('/');
  if (at < 1 || /[+#]/.test(filter)) return {};
  return { definition: { topic: `${filter.slice(0, at)}/bridge/devices`, device: filter.slice(at + 1) } };
}

function baseOf(request: BindRequest): string {
  const base = request.section.text('base', defaultBase, "Zigbee2MQTT's base topic");
  if (/[+#\0]/.test(base)) request.section.add('base', 'a topic without wildcards', describe(base));
  return base;
}

/** One value that a device tells, as its definition says. */
export interface Exposed {
  /** The key in payloads, `a.b` within a composite. */
  readonly property: string;
  readonly kind: 'numeric' | 'binary' | 'enum';
  readonly unit?: string;
  readonly min?: number;
  readonly max?: number;
  /** What the texts of a binary or enum mean, by their lower case. */
  readonly states?: ReadonlyMap<string, number>;
}

export interface ExposedDevice {
  readonly name: string;
  readonly model: string;
  readonly exposes: readonly Exposed[];
}

/** Bounds of what a list of devices may make us remember. */
const devicesMax = 1000;
const exposesMax = 256;
const depthMax = 6;
const nameMax = 256;

type Fields = Readonly<Record<string, unknown>>;

/** Reads the document of `bridge/devices`; what makes no sense in it is left out. Never throws. */
export function readDevices(document: unknown): ExposedDevice[] {
  if (!Array.isArray(document)) return [];
  return document.slice(0, devicesMax).flatMap((entry) => {
    const name = textOf(entry, 'friendly_name');
    const definition = own(entry, 'definition');
    if (name === undefined || own(entry, 'type') === 'Coordinator') return [];
    const exposes: Exposed[] = [];
    collect(own(definition, 'exposes'), '', exposes, 0);
    const model = `${textOf(definition, 'vendor') ?? ''} ${textOf(definition, 'model') ?? ''}`.trim();
    return [{ name, model, exposes }];
  });
}

/** Composites nest their features under a key; a light, a switch or a climate device only groups them. */
function collect(list: unknown, prefix: string, into: Exposed[], depth: number): void {
  if (!Array.isArray(list) || depth > depthMax) return;
  for (const item of list) {
    if (into.length >= exposesMax) return;
    const property = textOf(item, 'property');
    const inner =
      own(item, 'type') === 'composite' && property !== undefined ? `${prefix}${property}.` : prefix;
    collect(own(item, 'features'), inner, into, depth + 1);
    const exposed = property === undefined ? undefined : readExposed(item as Fields, `${prefix}${property}`);
    if (exposed !== undefined && isPublished(item)) into.push(exposed);
  }
}

/** Bit 1 of `access`: the value is in the published state. */
function isPublished(item: unknown): boolean {
  const access = own(item, 'access');
  return typeof access !== 'number' || (access & 1) === 1;
}

function readExposed(item: Fields, property: string): Exposed | undefined {
  const kind = own(item, 'type');
  if (kind === 'numeric') {
    const unit = textOf(item, 'unit');
    return {
      property,
      kind,
      ...(unit === undefined ? {} : { unit }),
      ...limit('min', own(item, 'value_min')),
      ...limit('max', own(item, 'value_max')),
    };
  }
  if (kind === 'binary')
    return { property, kind, states: statesOf([own(item, 'value_off'), own(item, 'value_on')]) };
  const values = own(item, 'values');
  return kind === 'enum' && Array.isArray(values)
    ? { property, kind, states: statesOf(values.slice(0, exposesMax)) }
    : undefined;
}

function limit(key: 'min' | 'max', value: unknown): { min?: number; max?: number } {
  return typeof value === 'number' && Number.isFinite(value) ? { [key]: value } : {};
}

/** Texts by their places: off is 0, on is 1; of an enum the first is 0. */
function statesOf(values: readonly unknown[]): ReadonlyMap<string, number> {
  const states = new Map<string, number>();
  for (const [index, value] of values.entries()) {
    if (typeof value === 'string' && value.length <= nameMax) states.set(value.toLowerCase(), index);
  }
  return states;
}

function own(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Fields)[key];
}

function textOf(value: unknown, key: string): string | undefined {
  const text = own(value, key);
  return typeof text === 'string' && text.length <= nameMax ? text : undefined;
}
