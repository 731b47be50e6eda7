/** Sparkplug B in: what is known of an edge node since its birth, and when to ask it to be born again. */
import { ProtobufError } from '../../protobuf/read.ts';
import {
  dataTypes,
  decodeSparkplug,
  encodeSparkplug,
  readingOf,
  type SparkplugMetric,
} from '../sparkplug/payload.ts';
import { type BindRequest, deviceOf, type Preset } from './preset.ts';
import type { Route, SparkplugRule } from './rule.ts';

const namespace = 'spBv1.0';
export const rebirthMetric = 'Node Control/Rebirth';
export const birthDeathMetric = 'bdSeq';

const deviceExpected = 'a <group>/<edge node> or <group>/<edge node>/<device>';

/** `value` is a metric's name, slashes and all. */
export const sparkplug: Preset = {
  keys: [],
  device: '<group>/<edge node>, or <group>/<edge node>/<device>',
  bind(request) {
    if (request.topic !== undefined) {
      request.section.add('topic', `${deviceExpected} as 'device' instead`, 'a topic');
      return [];
    }
    const rule = ruleOf(request);
    // Every device's messages, whoever is wanted: the sequence number runs through all of a node.
    return [{ filter: `${namespace}/${rule.group}/+/${rule.edge}/#`, rule }];
  },
};

function ruleOf(request: BindRequest): SparkplugRule {
  const [group = '', edge = '', device, ...more] = deviceOf(request, deviceExpected).split('/');
  if (more.length > 0 || edge === '' || group === '' || device === '')
    request.section.add('device', deviceExpected, JSON.stringify(request.device ?? ''));
  const metric = request.value ?? request.channel;
  return { kind: 'sparkplug', group, edge, ...(device === undefined ? {} : { device }), metric };
}

/** A value that nobody tells any more. */
export const gone = Symbol('gone');
/** What is told of a message: for the channel at `index` of the route, a raw value; undefined: none that is a reading. */
type ReportValue = (index: number, value: number | boolean | string | null | undefined | typeof gone) => void;
export type SparkplugProblem = 'notSparkplug' | 'sequenceGap' | 'noBirth' | 'historical' | 'offline';

/** Sparkplug's topics: `spBv1.0/<group>/<type>/<edge>[/<device>]`. */
interface Address {
  readonly type: string;
  readonly device: string | undefined;
}

/** An alias or a name of a birth that some channels of ours want. */
interface Known {
  readonly indices: readonly number[];
  readonly dataType: number | undefined;
}

/** An edge node as we know it. Remembers only what the route's channels need, however much the node sends. */
export class SparkplugEdge {
  /** Told when the node should be asked for a birth; may be told at every message until one comes. */
  onBirthWanted: () => void = () => {};
  readonly #indices = new Map<string, number[]>();
  readonly #known = new Map<string, Known>();
  readonly #byAlias = new Map<number, Known>();
  #isBorn = false;
  #birthDeathSequence: number | undefined;
  #sequence = -1;

  /** For a route whose channels are all this node's. */
  constructor(route: Route) {
    for (const [index, { rule }] of route.channels.entries()) {
      if (rule.kind !== 'sparkplug') continue;
      const key = keyOf(rule.device, rule.metric);
      this.#indices.set(key, [...(this.#indices.get(key) ?? []), index]);
    }
  }

  /** Whether there was a birth, and nothing is missing since. */
  get isBorn(): boolean {
    return this.#isBorn;
  }

  /** Takes a message in. Never throws; a problem is told, and nothing of that message is taken but what was reported. */
  receive(
    topic: string,
    bytes: Uint8Array,
    report: ReportValue,
    onProblem: (kind: SparkplugProblem) => void,
  ): void {
    const address = addressOf(topic);
    if (address === undefined) return;
    try {
      this.#take(address, bytes, report, onProblem);
    } catch (error) {
      if (!(error instanceof ProtobufError)) throw error;
      onProblem('notSparkplug');
    }
  }

  #take(
    { type, device }: Address,
    bytes: Uint8Array,
    report: ReportValue,
    onProblem: (kind: SparkplugProblem) => void,
  ): void {
    const { seq, metrics } = decodeSparkplug(bytes);
    if (type === 'NDEATH') {
      if (this.#isThisLifes(metrics)) this.#bury(undefined, report, onProblem);
      return;
    }
    if (type === 'NBIRTH') this.#beBorn(seq, metrics);
    else this.#follow(seq, onProblem);
    if (type === 'DDEATH') this.#bury(device, report, onProblem);
    else if (type === 'NBIRTH' || type === 'DBIRTH') this.#learn(device, metrics);
    if (type !== 'DDEATH') for (const metric of metrics) this.#read(device, metric, report, onProblem);
    if (!this.#isBorn) this.onBirthWanted();
  }

  /** A will that comes late belongs to the life before. */
  #isThisLifes(metrics: readonly SparkplugMetric[]): boolean {
    return (
      this.#birthDeathSequence === undefined || birthDeathSequenceOf(metrics) === this.#birthDeathSequence
    );
  }

  #beBorn(seq: number | undefined, metrics: readonly SparkplugMetric[]): void {
    this.#known.clear();
    this.#byAlias.clear();
    this.#birthDeathSequence = birthDeathSequenceOf(metrics);
    this.#sequence = seq ?? 0;
    this.#isBorn = true;
  }

  /** Whatever is missing may have been a birth with other aliases, so these are void until the next. */
  #follow(seq: number | undefined, onProblem: (kind: SparkplugProblem) => void): void {
    if (this.#isBorn && seq !== (this.#sequence + 1) % 256) {
      onProblem('sequenceGap');
      this.#loseBirth();
    }
    this.#sequence = seq ?? this.#sequence;
  }

  #loseBirth(): void {
    this.#isBorn = false;
    this.#byAlias.clear();
  }

  #bury(device: string | undefined, report: ReportValue, onProblem: (kind: SparkplugProblem) => void): void {
    let any = false;
    for (const [key, indices] of this.#indices) {
      if (device !== undefined && !key.startsWith(keyOf(device, ''))) continue;
      for (const index of indices) report(index, gone);
      any = true;
    }
    if (any) onProblem('offline');
    if (device === undefined) this.#loseBirth();
  }

  #learn(device: string | undefined, metrics: readonly SparkplugMetric[]): void {
    for (const { name, alias, dataType } of metrics) {
      const indices = name === undefined ? undefined : this.#indices.get(keyOf(device, name));
      if (indices === undefined) continue;
      const known = { indices, dataType };
      this.#known.set(keyOf(device, name!), known);
      if (alias !== undefined) this.#byAlias.set(alias, known);
    }
  }

  #read(
    device: string | undefined,
    metric: SparkplugMetric,
    report: ReportValue,
    onProblem: (kind: SparkplugProblem) => void,
  ): void {
    const found = this.#find(device, metric);
    if (found === undefined) {
      if (metric.name === undefined && !this.#isBorn) onProblem('noBirth');
    } else if (metric.isHistorical) onProblem('historical');
    else
      for (const index of found.indices) report(index, readingOf(metric, found.dataType ?? metric.dataType));
  }

  #find(device: string | undefined, { name, alias, dataType }: SparkplugMetric): Known | undefined {
    if (name === undefined) return alias === undefined ? undefined : this.#byAlias.get(alias);
    const key = keyOf(device, name);
    const indices = this.#indices.get(key);
    return indices === undefined ? undefined : (this.#known.get(key) ?? { indices, dataType });
  }
}

/** The command that asks an edge node to publish its births again. */
export function rebirthRequest(
  { group, edge }: Pick<SparkplugRule, 'group' | 'edge'>,
  nowMs: number,
): { readonly topic: string; readonly payload: Uint8Array; readonly qos: 0; readonly retain: false } {
  const metric = { name: rebirthMetric, timestampMs: nowMs, dataType: dataTypes.boolean, value: true };
  const payload = encodeSparkplug({ timestampMs: nowMs, metrics: [metric] });
  return { topic: `${namespace}/${group}/NCMD/${edge}`, payload, qos: 0, retain: false };
}

/** Metrics of a device and of the node itself may have the same name. */
function keyOf(device: string | undefined, metric: string): string {
  return device === undefined ? `/${metric}` : `${device}/${metric}`;
}

const read = new Set(['NBIRTH', 'NDEATH', 'NDATA', 'DBIRTH', 'DDEATH', 'DDATA']);

/** Undefined for commands and for what is not Sparkplug's. */
function addressOf(topic: string): Address | undefined {
  const [prefix, , type = '', , device, ...more] = topic.split('/');
  if (prefix !== namespace || !read.has(type) || more.length > 0) return undefined;
  return type.startsWith('D') === (device !== undefined) ? { type, device } : undefined;
}

function birthDeathSequenceOf(metrics: readonly SparkplugMetric[]): number | undefined {
  const metric = metrics.find(({ name }) => name === birthDeathMetric);
  const value = metric === undefined ? undefined : readingOf(metric);
  return typeof value === 'number' ? value : undefined;
}
